//! `creditd accounts`.

use super::account::ShownAccount;
use super::failure::Failure;
use super::list::{Listing, Size};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Ledger, Remote};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd accounts
  creditd accounts --prefix team- --limit 10
  creditd accounts --json     (all of them, an object a line)";

/// List accounts by name, with what they have left and how they are priced
///
/// Of an account without a rate card the default one is meant.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Those whose names begin so
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    prefix: String,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let titles = ["ACCOUNT", "AVAILABLE", "HELD", "RATE CARD", "ATTRIBUTES"];
    let mut listing = Listing::new(args.format, args.size, &titles, &[1, 2]);
    let request = pb::ListAccountsRequest {
        prefix: args.prefix.clone(),
        page_size: args.size.page_size(args.format),
        page_token: String::new(),
    };
    let fetch = async |ledger: &mut Ledger, page_token| {
        let request = pb::ListAccountsRequest {
            page_token,
            ..request.clone()
        };
        let page = ledger.list_accounts(request).await?.into_inner();
        Ok((page.accounts, page.next_page_token))
    };
    args.remote
        .pages(Words::of(""), fetch, |account: pb::Account| {
            listing.add(&account, || {
                let balance = account.balance.clone().unwrap_or_default();
                vec![
                    account.account.clone(),
                    balance.available,
                    balance.held,
                    account.rate_card.clone(),
                    ShownAccount::of(&account).attributes,
                ]
            })
        })?;
    listing.end("no accounts")
}
