//! Variables of the environment whose names begin as ours do, and that nobody reads.

use std::collections::BTreeSet;

use clap::Command;

use crate::domain::pricing::nearest;

const PREFIX: &str = "CREDITD_";
/// Those that are no option's.
const OTHERS: [&str; 5] = [
    "CREDITD_KEY",
    "CREDITD_ADMIN_KEY",
    // An older name of CREDITD_RATE_CARD_FILE.
    "CREDITD_RATE_CARD",
    // Of tests, which start servers with their own environment.
    "CREDITD_FAILPOINT",
    "CREDITD_BIN",
];

/// The variable of rate card files, and its older name.
const RATE_CARD_FILES: [&str; 2] = ["CREDITD_RATE_CARD_FILE", "CREDITD_RATE_CARD"];

/// What is wrong with the environment: each variable that no command reads, and one that would
/// hide another.
pub(super) fn problems(
    command: &Command,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let variables: Vec<_> = variables.collect();
    let value = |wanted| {
        let mut values = variables.iter().filter(|(name, _)| name == wanted);
        values.next().map_or("", |(_, value)| value)
    };
    let [files, older] = RATE_CARD_FILES.map(value);
    let hides = !files.is_empty() && !older.is_empty() && files != older;
    let mut known: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    collect(command, &mut known);
    let unknown = variables.iter().filter(|(name, value)| {
        name.starts_with(PREFIX) && !known.contains(name.as_str()) && !is_service_link(name, value)
    });
    let unknown = unknown.map(|(name, _)| {
        let text = name.escape_debug();
        match nearest(name, known.iter().map(String::as_str)) {
            Some((nearest, true)) => format!("unknown variable {text}; did you mean {nearest}?"),
            _ => format!(
                "unknown variable {text}; unset it: \"creditd serve --help\" has those that there are"
            ),
        }
    });
    let hides = hides.then(|| {
        let [newer, older] = RATE_CARD_FILES;
        format!("{newer} and {older} are both set, and differ; unset {older}, its older name")
    });
    let mut problems: Vec<_> = hides.into_iter().chain(unknown).collect();
    problems.sort();
    problems
}

/// The variables of a command, and of those below it.
fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(|arg| arg.get_env());
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for below in command.get_subcommands() {
        collect(below, known);
    }
}

/// Whether Kubernetes or Docker set it, for a service with the name of "creditd": where it is.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let of_port = name.split("_PORT_").nth(1).unwrap_or_default();
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT") && is_address)
        || of_port.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn unknown_variables_are_told_with_what_was_meant() {
        let command = crate::cli::Line::command();
        for (name, value, expected) in [
            ("CREDITD_CALLS_MAX", "1", ""),
            ("CREDITD_ADDR", "x", ""),
            ("CREDITD_KEY", "x", ""),
            ("CREDITD_ADMIN_KEY", "x", ""),
            ("CREDITD_CONFIG", "x", ""),
            ("CREDITD_RATE_CARD", "x", ""),
            ("HOME", "x", ""),
            (
                "CREDITD_CALL_MAX",
                "1",
                "unknown variable CREDITD_CALL_MAX; did you mean CREDITD_CALLS_MAX?",
            ),
            (
                "CREDITD_ADMINKEY",
                "secret",
                "unknown variable CREDITD_ADMINKEY; did you mean CREDITD_ADMIN_KEY?",
            ),
            (
                "CREDITD_ZZZZZZZZZZZZZZZZZZZZ",
                "1",
                "unknown variable CREDITD_ZZZZZZZZZZZZZZZZZZZZ; unset it: \"creditd serve --help\" has those that there are",
            ),
            // As Kubernetes sets them in each pod beside a service.
            ("CREDITD_SERVICE_HOST", "10.0.0.1", ""),
            ("CREDITD_SERVICE_PORT", "50051", ""),
            ("CREDITD_SERVICE_PORT_GRPC", "50051", ""),
            ("CREDITD_PORT", "tcp://10.0.0.1:50051", ""),
            ("CREDITD_PORT_50051_TCP", "tcp://10.0.0.1:50051", ""),
            ("CREDITD_PORT_50051_TCP_PROTO", "tcp", ""),
            ("CREDITD_PORT_50051_TCP_PORT", "50051", ""),
            ("CREDITD_PORT_50051_TCP_ADDR", "10.0.0.1", ""),
        ] {
            let variable = (name.to_owned(), value.to_owned());
            let found = problems(&command, std::iter::once(variable));
            assert_eq!(found.join("\n"), expected, "{name}");
        }
    }
}
