//! `creditd keys create`.

use super::{accounts, limit};
use crate::cli::failure::Failure;
use crate::cli::output::{Format, facts, print};
use crate::cli::refusal::Words;
use crate::cli::remote::{Remote, time_text};
use crate::cli::times::{self, Moment};
use crate::domain::keys::Scope;
use crate::rpc::client;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd keys create --scope charge --scope read --title \"billing worker\"
  creditd keys create --scope read --account team-a --account 'eu-*' --expire-time 90d
  creditd keys create --scope charge --calls-per-second-max 200
  creditd keys create --scope admin --json | jq -r .secret > admin.key

From the first key on the server asks every caller for one.";

/// What this command calls fields of its request.
const FLAGS: &[(&str, &str)] = &[
    ("key.title", "--title"),
    ("key.scopes", "--scope"),
    ("key.accounts", "--account"),
    ("key.expire_time", "--expire-time"),
    ("key.calls_per_second_max", "--calls-per-second-max"),
];

/// Create a key, and print its secret, which is never shown again
///
/// A key may do what its scopes say: price asks for prices, read reads accounts, charge spends
/// what they have and gives it back, grant gives credits, takes them away and sets how accounts are
/// priced, admin does all of that, keys and rate cards. Callers send it with each call.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What it may do; may be repeated, or have commas between
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required = true,
        value_delimiter = ',',
        value_parser = scope
    )]
    scopes: Vec<Scope>,
    /// Account that it may name, or the beginning of such names and *; may be repeated
    /// [default: all]
    #[arg(long = "account", value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// For people: who uses it, and where
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    title: String,
    /// From when on it is refused: a time, a day, or so long from now, such as 90d
    /// [default: never]
    #[arg(long, value_name = "TIME", value_parser = times::future)]
    expire_time: Option<Moment>,
    /// Refuse what it calls beyond so many times a second [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    calls_per_second_max: i32,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::named(text).ok_or_else(|| "use price, read, charge, grant or admin".to_owned())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request = pb::CreateKeyRequest {
        key: Some(pb::Key {
            title: args.title.clone(),
            scopes: (args.scopes.iter())
                .map(|scope| scope.name().to_owned())
                .collect(),
            accounts: args.accounts.clone(),
            expire_time: args.expire_time.map(|moment| timestamp_to_pb(moment.time)),
            calls_per_second_max: args.calls_per_second_max,
            ..pb::Key::default()
        }),
    };
    let call = async |connection| client::admin(connection).create_key(request).await;
    let again = "it may have been created: \"creditd keys list\" shows it, and \"creditd keys revoke\" takes it back";
    let words = Words {
        account: "",
        flags: FLAGS,
        hints: &[],
    };
    let reply = args.remote.change(words, Some(again), call)?;
    let key = reply.key.as_ref().ok_or("the server sent no key")?;
    print(args.format, &reply, || {
        let facts = facts(&[
            ("secret", &reply.secret),
            ("key_id", &key.key_id),
            ("title", &key.title),
            ("scopes", &key.scopes.join(" ")),
            ("accounts", &accounts(key)),
            ("expires", &time_text(key.expire_time.as_ref())),
            ("limit", &limit(key)),
        ]);
        format!("{facts}The secret is not shown again.\n")
    })
}
