//! `creditd reload`.

use super::failure::Failure;
use super::output::{Format, print};
use super::refusal::Words;
use super::remote::Remote;
use crate::app::reload::Change;
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd reload
  creditd reload --addr unix:/run/creditd.sock --json

It needs a key with scope admin, once the server asks for keys. The exit status is 3 where the
configuration is wrong.";

/// Have a running server read its configuration again, as SIGHUP does
///
/// It reads its file, and the rate cards, certificates and keys that this names. All of it is
/// taken, or nothing where something is wrong: then all problems are told, and the old
/// configuration serves on. It prints what changed, and which options only a restart takes.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let call = async |connection| {
        let request = pb::ReloadConfigRequest {};
        client::admin(connection).reload_config(request).await
    };
    let again = "it may have been reloaded: run it again, and it is";
    let reply = args.remote.change(Words::of(""), Some(again), call)?;
    print(args.format, &reply, || {
        let line = |change: &pb::ConfigChange| {
            let change = Change {
                what: change.what.clone(),
                before: change.before.clone(),
                after: change.after.clone(),
            };
            change.to_string()
        };
        let mut lines: Vec<_> = reply.changes.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("nothing changed".to_owned());
        }
        let restart = reply.need_restart.iter().map(line);
        lines.extend(restart.map(|line| format!("needs a restart: {line}")));
        lines.join("\n")
    })
}
