//! docs/command-line.md beside the program: it names each command, and no option that no
//! command has; and what `creditd serve --help` says of defaults is what a server takes.

use std::collections::BTreeSet;

use creditd::app::access::Authentication;
use creditd::server::{Config, Options};

use crate::support::root;
use crate::support::server::program;

fn help(command: &[&str]) -> String {
    let output = program().args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below this one.
fn commands_of(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// What looks like a long option.
fn options_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let words = words.map(|word| word.trim_end_matches('-'));
    words
        .filter(|word| word.len() > 3 && word.starts_with("--") && !word.starts_with("---"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_knows_each_command_and_no_option_that_is_none() {
    let page = std::fs::read_to_string(root("docs/command-line.md")).unwrap();
    let top = help(&[]);
    let mut options = options_in(&top);
    let names = commands_of(&top);
    assert!(names.len() > 15, "{names:?}");
    for name in &names {
        assert!(page.contains(&format!("creditd {name}")), "creditd {name}");
        let text = help(&[name]);
        options.extend(options_in(&text));
        for below in commands_of(&text) {
            options.extend(options_in(&help(&[name, &below])));
        }
    }
    let unknown: Vec<_> = options_in(&page).difference(&options).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new(), "no command has them");
}

#[test]
fn the_help_of_serve_says_the_defaults() {
    let text = help(&["serve"])
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let config = Options::default().over(Options::default()).unwrap();
    let Config {
        listen,
        admin_listen: None,
        listen_unix: None,
        tls: None,
        clients: _,
        authentication: Authentication::WhereKnown,
        admin_key: None,
        admin_key_file: None,
        insecure: false,
        reflection: true,
        account_calls_per_second_max: 0,
        data,
        rate_cards: _,
        default_rate_card: None,
        revision_age_days_max: None,
        accept_clock: None,
        store,
        watchers_max,
        // One a core.
        threads: _,
        calls_max,
        call_memory_bytes_max,
        connections_max,
        connection_idle_max,
        connection_age_max,
        deadline_max,
        drain_max,
        slow_call_min,
        log_calls: false,
        otlp_endpoint: None,
        trace_calls_per_million: 0,
        log_format: _,
        log_level,
        options: _,
        given: _,
    } = config
    else {
        panic!("{config:?}");
    };
    let defaults = [
        ("listen", listen.to_string()),
        ("data", data.display().to_string()),
        ("revision-age-days-max", "for ever".to_owned()),
        ("request-id-hours", store.request_hours.to_string()),
        (
            "request-id-days-credits",
            store.request_days_credits.to_string(),
        ),
        (
            "request-id-memory-mib-max",
            (store.request_filter_bytes_max >> 20).to_string(),
        ),
        ("accounts-in-memory-max", store.accounts_max.to_string()),
        ("watchers-max", watchers_max.to_string()),
        ("calls-max", calls_max.to_string()),
        (
            "call-memory-mib-max",
            (call_memory_bytes_max >> 20).to_string(),
        ),
        ("connections-max", connections_max.to_string()),
        (
            "connection-idle-seconds-max",
            connection_idle_max.as_secs().to_string(),
        ),
        (
            "connection-age-seconds-max",
            connection_age_max.as_secs().to_string(),
        ),
        (
            "slow-call-ms",
            slow_call_min.unwrap().as_millis().to_string(),
        ),
        ("deadline-ms-max", deadline_max.as_millis().to_string()),
        ("drain-ms-max", drain_max.as_millis().to_string()),
        ("log-level", log_level),
    ];
    for (option, default) in defaults {
        let at = text
            .find(&format!("--{option} <"))
            .unwrap_or_else(|| panic!("{option}"));
        let rest = &text[at..];
        let says = rest.split("[default: ").nth(1).unwrap_or_default();
        let says = says.split(']').next().unwrap_or_default();
        assert_eq!(says, default, "--{option}");
    }
}
