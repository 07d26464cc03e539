//! Everything that is wrong with a card, as far as it can be told apart: the first problem of
//! each service and of what stands beside them.

use std::path::Path;

use toml::de::DeTable;

use super::bases::Loading;
use super::error::CardFileError;
use super::parse::parse;

/// How many problems are looked for.
const PROBLEMS_MAX: usize = 50;
/// What stands in front of each service.
const SERVICE_HEAD: &str = "[[service]]";

/// The problems of a card, in the order of their lines; none where it is right.
///
/// Each is what the loader says of the text without the services that have one already, so no
/// problem is weaker than the loader's own.
#[must_use]
pub fn problems(file: &Path, text: &str, loading: &Loading<'_>) -> Vec<CardFileError> {
    let mut problems = Vec::new();
    let mut rest = text.to_owned();
    while let Err(problem) = parse(file, &rest, loading) {
        let line = problem.line();
        problems.push(problem);
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
        // Of text that is no TOML nothing else is certain.
        let Ok(table) = DeTable::parse(&rest) else {
            break;
        };
        let blocks = blocks(table.get_ref(), &rest);
        let wrong = blocks.iter().find(|(first, end)| {
            let lines = *first..*end;
            line.is_some_and(|line| lines.contains(&line))
        });
        match wrong {
            Some((first, end)) if blocks.len() > 1 => rest = without_lines(&rest, *first, *end),
            _ => break,
        }
    }
    problems.sort_by_key(CardFileError::line);
    problems
}

/// The lines of each service: the first, and the one after the last.
fn blocks(table: &DeTable<'_>, text: &str) -> Vec<(usize, usize)> {
    let services = table
        .get("service")
        .and_then(|list| list.get_ref().as_array());
    let line_of = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        before.matches('\n').count().saturating_add(1)
    };
    let starts = services
        .into_iter()
        .flatten()
        .map(|service| service.span().start);
    let starts: Vec<usize> = starts
        .filter(|at| {
            text.get(*at..)
                .is_some_and(|rest| rest.starts_with(SERVICE_HEAD))
        })
        .map(line_of)
        .collect();
    let others = table.iter().filter(|(key, _)| key.get_ref() != "service");
    let others: Vec<usize> = others.map(|(key, _)| line_of(key.span().start)).collect();
    let end = text.lines().count().saturating_add(1);
    let blocks = starts.iter().map(|start| {
        let after = starts.iter().chain(&others).filter(|line| *line > start);
        (*start, after.min().copied().unwrap_or(end))
    });
    blocks.collect()
}

/// The text with these lines empty, so that all others keep their numbers.
fn without_lines(text: &str, first: usize, end: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate().map(|(at, line)| {
        match (first..end).contains(&at.saturating_add(1)) {
            true => "\n",
            false => line,
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"format = 2
name = "plan b"
title = "Plan"

[[service]]
key = "one"
title = "One"
rule = "one"
meter = "count"
price = { model = "per_piece", credits = "1" }

[[service]]
key = "fine"
title = "Fine"
rule = "fine"
lines = [{ key = "run", price = "1" }]

[[service]]
key = "two"
title = "Two"
rule = "two"
lines = [{ key = "run" }]

[exchange]
unit = "USD"
credits = "1"
"#;

    fn lines(text: &str) -> Vec<Option<usize>> {
        let problems = problems(Path::new("card.toml"), text, &Loading::ALONE);
        problems.iter().map(CardFileError::line).collect()
    }

    #[test]
    fn each_service_has_a_problem_of_its_own() {
        assert_eq!(lines(CARD), [Some(2), Some(9), Some(22)]);
        let right = CARD.replace("plan b", "plan").replace(
            "meter = \"count\"\n",
            "meter = \"count\"\npiece = \"run\"\n",
        );
        assert_eq!(lines(&right), [Some(23)]);
        let right = right.replace("{ key = \"run\" }", "{ key = \"run\", price = \"1\" }");
        assert_eq!(lines(&right), []);
        // What follows from a service that was left out is no problem of its own.
        let (alone, _) = CARD.split_once("[[service]]\nkey = \"fine\"").unwrap();
        assert_eq!(lines(&alone.replace("plan b", "plan")), [Some(9)]);
        assert_eq!(lines("format = 2\nname = \n[[service]]\n"), [Some(2)]);
    }
}
