//! Reads a configuration as "creditd serve" does: the command line, the environment, the file.

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::variables;
use crate::app::token::{ADMIN_TOKEN_BYTES_MIN, TOKEN_BYTES_MAX, Token};
use crate::cli::Line;
use crate::cli::failure::Failure;
use crate::server::{self, Config, Options};

// The options of a server, and the file that has others. (Documentation of the struct would
// replace that of the subcommand it is part of.)
#[allow(missing_docs)]
#[derive(clap::Args, Debug)]
pub(in crate::cli) struct ConfigArgs {
    #[command(flatten)]
    options: Options,
    /// TOML file with these options as keys, _ for -; all but --accept-clock
    #[arg(long, env = "CREDITD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The configuration.
///
/// # Errors
/// All that is wrong with it.
pub(in crate::cli) fn load(args: ConfigArgs) -> Result<Config, Failure> {
    let (config, mut problems) = read(args);
    if problems.is_empty() {
        return Ok(config);
    }
    problems.extend(server::check(&config).problems);
    Err(Failure::usage(problems.join("\n")))
}

/// The configuration, and all that is wrong with it but for the files that it names; in the place
/// of what cannot be used stands the default.
pub(super) fn read(args: ConfigArgs) -> (Config, Vec<String>) {
    let ConfigArgs {
        mut options,
        config,
    } = args;
    // Names and values that are no text are of other programs.
    let environment = std::env::vars_os();
    let environment = environment.filter_map(|(name, value)| {
        Some((
            name.into_string().ok()?,
            value.to_string_lossy().into_owned(),
        ))
    });
    let mut problems = variables::problems(&Line::command(), environment);
    let admin_key = admin_key().unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    options.rate_card_file = rate_card_files(options.rate_card_file);
    let (file, of_file) = config
        .as_deref()
        .map(Options::read_file)
        .unwrap_or_default();
    let (config, of_options) = options.read_over(file);
    problems.extend(of_file.into_iter().chain(of_options));
    let config = Config {
        admin_key,
        ..config
    };
    (config, problems)
}

/// The key that is given by the environment: an option would be in every list of processes.
fn admin_key() -> Result<Option<Token>, String> {
    // One that is empty was meant to be one: without it anybody would be let in.
    let Some(text) = std::env::var_os("CREDITD_ADMIN_KEY") else {
        return Ok(None);
    };
    let key = text.to_str().and_then(Token::of_admin);
    key.map(Some).ok_or_else(|| {
        format!(
            "CREDITD_ADMIN_KEY is set and is no key: leave it out, or give {ADMIN_TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters without spaces, such as \"openssl rand -hex 32\" prints"
        )
    })
}

/// Files of rate cards: those that are named, or those of the variable's older name.
fn rate_card_files(named: Vec<PathBuf>) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named;
    }
    let text = std::env::var("CREDITD_RATE_CARD").unwrap_or_default();
    let files = text.split(',').filter(|file| !file.is_empty());
    files.map(PathBuf::from).collect()
}
