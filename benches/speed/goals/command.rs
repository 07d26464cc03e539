//! Rows that another program measures, such as those of the clients.

use std::process::{Command, Stdio};

use serde::Deserialize;

use super::row::{Goal, Row};
use crate::setup::Setup;

/// What such a program prints, a line each. Other lines that it prints are shown.
#[derive(Deserialize)]
struct Line {
    name: String,
    creditd: f64,
    yardstick: f64,
    ratio: f64,
    /// The least ratio.
    goal: f64,
    #[serde(default)]
    unit: String,
    note: Option<String>,
    /// Where it is not that the ratio is at least the goal.
    met: Option<bool>,
}

/// Runs a shell's command, which finds the programs in BENCH_CREDITD and BENCH_YARDSTICK.
pub fn rows(command: &str, setup: &Setup) -> Result<Vec<Row>, String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .env("BENCH_CREDITD", &setup.program)
        .env("BENCH_YARDSTICK", &setup.yardstick)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command}: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut rows = Vec::new();
    for line in text.lines() {
        if !line.starts_with('{') {
            eprintln!("{line}");
            continue;
        }
        let line: Line =
            serde_json::from_str(line).map_err(|error| format!("{command}: {error}: {line}"))?;
        rows.push(row(line));
    }
    Ok(rows)
}

fn row(line: Line) -> Row {
    let goal = Goal::TimesAtLeast(line.goal);
    let mut row = Row::of_one(&line.name, &line.unit, goal, Some(line.creditd));
    row.yardstick = Some(line.yardstick);
    row.ratio = Some(line.ratio);
    row.met = Some(line.met.unwrap_or(line.ratio >= line.goal));
    row.note = line.note;
    row
}
