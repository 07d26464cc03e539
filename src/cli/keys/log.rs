//! `creditd keys log`.

use clap::builder::NonEmptyStringValueParser;

use crate::cli::failure::Failure;
use crate::cli::list::{Listing, Size};
use crate::cli::output::Format;
use crate::cli::refusal::Words;
use crate::cli::remote::{Remote, time_text};
use crate::rpc::client::{self, Admin};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd keys log
  creditd keys log --key 4k7fq2m9xk4ab
  creditd keys log --json      (all of it, an object a line)";

/// Show what administrators did with keys and rate cards, newest first
///
/// BY is the key that did it, "admin" for one that the server was started with, and "anybody"
/// where the server did not ask for keys. Nothing of it can be changed.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What that key did
    #[arg(long, value_name = "KEY_ID", value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let titles = ["TIME", "BY", "ACTION", "SUBJECT", "TITLE"];
    let mut listing = Listing::new(args.format, args.size, &titles, &[]);
    let request = pb::ListAdminEventsRequest {
        page_size: args.size.page_size(args.format),
        page_token: String::new(),
        key_id: args.key.clone().unwrap_or_default(),
    };
    let fetch = async |admin: &mut Admin, page_token| {
        let request = pb::ListAdminEventsRequest {
            page_token,
            ..request.clone()
        };
        let page = admin.list_admin_events(request).await?.into_inner();
        Ok((page.events, page.next_page_token))
    };
    let each = |event: pb::AdminEvent| {
        listing.add(&event, || {
            let by = match event.key_id.as_str() {
                "" => "anybody",
                id => id,
            };
            vec![
                time_text(event.create_time.as_ref()),
                by.to_owned(),
                event.action.clone(),
                event.subject.clone(),
                event.title.clone(),
            ]
        })
    };
    args.remote
        .pages_of(Words::of(""), client::admin, fetch, each)?;
    listing.end("nothing was done yet")
}
