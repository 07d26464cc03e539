//! `creditd keys list`.

use super::{accounts, limit};
use crate::cli::failure::Failure;
use crate::cli::list::{Listing, Size};
use crate::cli::output::Format;
use crate::cli::refusal::Words;
use crate::cli::remote::{Remote, time_text};
use crate::rpc::client::{self, Admin};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd keys list
  creditd keys list --revoked
  creditd keys list --json      (all of them, an object a line)";

/// List the keys of a server, in the order of their creation
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Those that were revoked, too
    #[arg(long)]
    revoked: bool,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let titles = [
        "KEY_ID",
        "TITLE",
        "SCOPES",
        "ACCOUNTS",
        "LIMIT",
        "CREATED",
        "LAST USED",
        "EXPIRES",
        "REVOKED",
    ];
    let mut listing = Listing::new(args.format, args.size, &titles, &[]);
    let request = pb::ListKeysRequest {
        page_size: args.size.page_size(args.format),
        page_token: String::new(),
        show_revoked: args.revoked,
    };
    let fetch = async |admin: &mut Admin, page_token| {
        let request = pb::ListKeysRequest {
            page_token,
            ..request.clone()
        };
        let page = admin.list_keys(request).await?.into_inner();
        Ok((page.keys, page.next_page_token))
    };
    let each = |key: pb::Key| {
        listing.add(&key, || {
            vec![
                key.key_id.clone(),
                key.title.clone(),
                key.scopes.join(" "),
                accounts(&key),
                limit(&key),
                time_text(key.create_time.as_ref()),
                time_text(key.last_use_time.as_ref()),
                time_text(key.expire_time.as_ref()),
                match &key.revoke_time {
                    None => "no".to_owned(),
                    time => time_text(time.as_ref()),
                },
            ]
        })
    };
    args.remote
        .pages_of(Words::of(""), client::admin, fetch, each)?;
    listing.end("no keys")
}
