//! What the program says about itself: its version, completions for shells, manual pages.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;
use serde::Serialize;

use super::failure::Failure;
use super::output::{Format, print_own, say};

/// Print the version
#[derive(clap::Args, Debug)]
pub(super) struct Version {
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Printed {
    version: &'static str,
}

pub(super) fn version(args: &Version) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    print_own(args.format, &Printed { version }, || {
        format!("creditd {version}")
    })
}

const COMPLETION_EXAMPLES: &str = "Examples:
  creditd completion bash > /etc/bash_completion.d/creditd
  creditd completion zsh > \"${fpath[1]}/_creditd\"
  creditd completion fish > ~/.config/fish/completions/creditd.fish";

/// Print what a shell needs to complete creditd's commands and options
#[derive(clap::Args, Debug)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(super) struct Completion {
    shell: Shell,
}

pub(super) fn completion(args: &Completion, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "creditd", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}

const MAN_EXAMPLES: &str = "Examples:
  creditd man /usr/local/share/man/man1
  creditd man . && man ./creditd-charge.1";

/// Write the manual pages, one for each command, into a directory
#[derive(clap::Args, Debug)]
#[command(after_help = MAN_EXAMPLES)]
pub(super) struct Man {
    /// Where they go; pages that are there are replaced
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(super) fn man(args: &Man, command: Command) -> Result<(), Failure> {
    let directory = args.directory.display();
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.directory).map_err(
        |error| {
            format!("{directory}: {error}; name a directory that this user may write to").into()
        },
    )
}
