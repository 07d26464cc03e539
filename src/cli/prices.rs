//! Where `creditd estimate` and `creditd rates` have their prices from: the rate card that is
//! built in, files, or a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use clap::builder::NonEmptyStringValueParser;
use clap::parser::ValueSource;

use super::addr::{self, Address};
use super::failure::Failure;
use super::key::KeyArgs;
use super::remote::Remote;
use super::times::{self, Moment};
use super::tls::Tls;
use crate::domain::pricing::{Catalog, Selector};
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;
use crate::server::offline_prices;

// Where prices come from, and which ones.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Source {
    /// Ask this server: host and port, or unix: and the path of a socket
    #[arg(long, env = "CREDITD_ADDR", value_name = "HOST:PORT", value_parser = addr::parse)]
    addr: Option<Address>,
    /// How long to wait for its answer
    #[arg(
        long,
        env = "CREDITD_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = times::timeout
    )]
    timeout: Duration,
    #[command(flatten)]
    tls: Tls,
    #[command(flatten)]
    key: KeyArgs,
    /// Ask no server, whatever the environment says
    #[arg(long, conflicts_with_all = ["account"])]
    offline: bool,
    /// File with a rate card, instead of the built-in one and of any server's; may be repeated
    /// (in the environment: separated by commas)
    #[arg(
        long = "rate-card-file",
        env = "CREDITD_RATE_CARD_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    rate_card_files: Vec<PathBuf>,
    /// Prices of the rate card of that name [default: the server's, or the first file's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    rate_card: Option<String>,
    /// Prices with exactly that revision
    #[arg(
        long,
        value_name = "REVISION",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "price_time"
    )]
    revision: Option<String>,
    /// Prices in force then: a time, a day, or tomorrow [default: now]
    #[arg(long, value_name = "TIME", value_parser = times::either)]
    price_time: Option<Moment>,
    /// Prices of that account; an estimate also says whether it can pay
    #[arg(
        long,
        value_name = "ACCOUNT",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) account: String,
}

/// Where prices come from.
pub(super) enum Asked {
    /// Cards on this machine, and the name of their source.
    Here(Box<Catalog>, String),
    /// A server.
    Server(Remote),
}

impl Source {
    /// What to ask. What was typed goes before what the environment says, and there a
    /// server before files.
    pub(super) fn asked(&self, matches: &ArgMatches) -> Result<Asked, Failure> {
        let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let files_typed = typed("rate_card_files");
        if let (Some(addr), false) = (&self.addr, self.offline) {
            if files_typed && typed("addr") {
                return Err(Failure::usage(
                    "--rate-card-file is priced here and --addr by a server; leave one of them out",
                ));
            }
            if !files_typed {
                return Ok(Asked::Server(Remote {
                    addr: addr.clone(),
                    timeout: self.timeout,
                    tls: self.tls.clone(),
                    key: self.key.clone(),
                }));
            }
        }
        if self.offline && typed("addr") {
            return Err(Failure::usage(
                "--offline asks no server; leave it or --addr out",
            ));
        }
        if !self.account.is_empty() {
            return Err(Failure::usage(
                "--account is known to a server alone; name one by --addr, and leave --rate-card-file out",
            ));
        }
        let files: Vec<PathBuf> = self.rate_card_files.to_vec();
        let catalog = offline_prices(&files).map_err(|error| error.to_string())?;
        let origin = match files.as_slice() {
            [] => "built in, no server was asked".to_owned(),
            files => {
                let names = files.iter().map(|file| file.display().to_string());
                names.collect::<Vec<_>>().join(", ")
            }
        };
        Ok(Asked::Here(Box::new(catalog), origin))
    }

    /// Whether certain prices are named.
    pub(super) fn selects(&self) -> bool {
        self.rate_card.is_some() || self.revision.is_some() || self.price_time.is_some()
    }

    /// Which prices, of cards that are here.
    pub(super) fn selector(&self) -> Selector<'_> {
        Selector {
            rate_card: self.rate_card.as_deref().unwrap_or_default(),
            revision: self.revision.as_deref().unwrap_or_default(),
            price_time: self.price_time.map(|moment| moment.time),
        }
    }

    /// Which prices, of a server.
    pub(super) fn to_pb(&self) -> pb::PriceSelector {
        pb::PriceSelector {
            account: self.account.clone(),
            rate_card: self.rate_card.clone().unwrap_or_default(),
            revision: self.revision.clone().unwrap_or_default(),
            price_time: self.price_time.map(|moment| timestamp_to_pb(moment.time)),
        }
    }

    /// What to say where a card that is no file's name was not found.
    pub(super) fn hint(&self) -> &'static str {
        let name = self.rate_card.as_deref().unwrap_or_default();
        let like_a_file = name.contains('/') || name.ends_with(".toml");
        match like_a_file {
            true => "; --rate-card is a name, a file goes behind --rate-card-file",
            false => "",
        }
    }
}
