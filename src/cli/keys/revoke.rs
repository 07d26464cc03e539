//! `creditd keys revoke`.

use crate::cli::failure::Failure;
use crate::cli::output::{Format, facts, print};
use crate::cli::refusal::Words;
use crate::cli::remote::{Remote, time_text};
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd keys revoke 4k7fq2m9xk4ab";

/// Revoke a key at once: its next call is refused, and its watches end
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Its key_id, which "creditd keys list" shows; not its secret
    key_id: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request = pb::RevokeKeyRequest {
        key_id: args.key_id.clone(),
    };
    let call = async |connection| client::admin(connection).revoke_key(request).await;
    let again = "it may have been revoked: run it again, and it is";
    let reply = args.remote.change(Words::of(""), Some(again), call)?;
    let key = reply.key.as_ref().ok_or("the server sent no key")?;
    print(args.format, &reply, || {
        facts(&[
            ("revoked", &key.key_id),
            ("title", &key.title),
            ("at", &time_text(key.revoke_time.as_ref())),
        ])
    })
}
