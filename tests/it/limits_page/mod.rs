//! docs/limits.md, beside the limits that the code has: every row of its tables says
//! what a constant says, and every limit has a row.

mod copies;
mod limits;
mod traces;
mod words;

use creditd::rpc::pb::creditd::v1::ErrorReason;
use creditd::store::sqlite::{QUEUE_COMMANDS_MAX, QUEUE_LENGTH_MAX};

use self::limits::limits;
use self::words::number;
use crate::support::root;

fn page() -> String {
    std::fs::read_to_string(root("docs/limits.md")).unwrap()
}

/// A row of the page's table.
struct Row {
    what: String,
    limit: String,
    reasons: Vec<String>,
    seen: String,
}

/// The words of a cell that stand as code.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the table; its head and the names of groups are left out.
fn rows(page: &str) -> Vec<Row> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = rows.filter_map(|cells| match cells[..] {
        ["", what, limit, option, reason, seen, ""] if !limit.is_empty() => Some(Row {
            what: match option {
                "" => what.to_owned(),
                option => format!("{option}, {what}"),
            },
            limit: limit.to_owned(),
            reasons: code(reason).map(str::to_owned).collect(),
            seen: seen.to_owned(),
        }),
        ["", _, "", "", "", "", ""] => None,
        _ => panic!("{cells:?}"),
    });
    rows.skip(1).collect()
}

#[test]
fn the_page_of_limits_says_what_the_code_says() {
    let (page, mut limits) = (page(), limits());
    let mut wrong = Vec::new();
    for Row { what, limit, .. } in rows(&page) {
        match limits.remove(&what) {
            Some(expected) if expected == limit => {}
            Some(expected) => wrong.push(format!("{what}: {expected}, and not {limit}")),
            None => wrong.push(format!("{what}: it is not known here")),
        }
    }
    wrong.extend(limits.keys().map(|what| format!("{what}: it has no row")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let waiting = format!(
        "{} charges and reads in {} calls",
        number(QUEUE_COMMANDS_MAX),
        number(QUEUE_LENGTH_MAX)
    );
    assert!(page.contains(&waiting), "{waiting}");
}

/// What is refused by a reason is refused by its code.
#[test]
fn the_page_of_limits_says_the_codes_of_its_reasons() {
    let errors = std::fs::read_to_string(root("docs/errors.md")).unwrap();
    let mut checked = 0;
    for row in rows(&page()) {
        assert!(!row.seen.is_empty(), "{}", row.what);
        for reason in &row.reasons {
            let (_, about) = errors.split_once(&format!("\n## {reason}\n")).unwrap();
            let (_, expected) = about.split_once("- code: `").unwrap();
            let expected = expected.split('`').next().unwrap();
            let codes = row.seen.split([';', ',']).map(str::trim);
            let mut codes = codes.filter(|code| code.len() > 3);
            assert!(
                codes.any(|code| code == expected),
                "{}: {expected}",
                row.what
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn the_page_of_limits_names_reasons_that_there_are() {
    let mut named = 0;
    for word in code(&page()) {
        let reason =
            word.contains('_') && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if reason {
            let name = format!("ERROR_REASON_{word}");
            assert!(ErrorReason::from_str_name(&name).is_some(), "{word}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

/// Names that everybody sends stand in the comments of the API too.
#[test]
fn the_api_says_what_names_may_be() {
    let proto = std::fs::read_to_string(root("proto/creditd/v1/ledger.proto")).unwrap();
    let limits = limits();
    let service = "service: the key of a row of a rate card, in usages, grants and filters";
    for what in ["account", "request_id", service] {
        let limit = limits[what].replace('`', "");
        assert!(proto.contains(&limit), "{what}: {limit}");
    }
}
