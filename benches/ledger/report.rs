//! What was measured, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use super::disk::Disk;
use super::machine::Machine;
use super::spread::Spread;

/// All of a run. It has no date: a run of the same program on the same machine differs
/// in its figures alone.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub settings: Settings,
    pub disk_before: Disk,
    pub rows: Vec<Row>,
    pub disk_after: Disk,
    /// Charges that were answered, all of them found in the balances.
    pub charges_checked: u64,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub struct Settings {
    pub seconds: u64,
    pub warm_up_seconds: u64,
    pub accounts: u32,
    /// "usage" or "amount".
    pub charged: &'static str,
}

/// One load.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub method: &'static str,
    pub charges_per_call: usize,
    pub accounts: u32,
    pub callers: usize,
    pub connections: usize,
    pub charges: u64,
    pub charges_per_second: u64,
    pub calls: Spread,
    /// What each charge cost the server, and those who called it; None where the
    /// system does not say.
    pub server_nanos_per_charge: Option<u64>,
    pub load_nanos_per_charge: Option<u64>,
    pub written_bytes_per_charge: Option<u64>,
}

/// The first lines: where and how.
pub fn print_head(machine: &Machine, settings: &Settings) {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    println!(
        "{} processors ({}), kernel {}, data file on {}",
        machine.processors,
        known(&machine.processor),
        known(&machine.kernel),
        known(&machine.file_system),
    );
    println!(
        "{} s a row after {} s to warm up; the load runs on the same machine; each charge is of {} \
         and answered when it is on disk",
        settings.seconds,
        settings.warm_up_seconds,
        match settings.charged {
            "usage" => "a usage, priced,",
            _ => "an amount",
        },
    );
    println!();
}

pub fn print_disk(when: &str, disk: &Disk) {
    for (what, spread) in [
        ("append of 8 KiB and fsync", &disk.append_fsync),
        (
            "overwrite of 8 KiB and fdatasync",
            &disk.overwrite_fdatasync,
        ),
    ] {
        println!(
            "disk {when:6} {what:33} p50 {} ms, p99 {} ms ({} times)",
            millis(spread.p50_nanos),
            millis(spread.p99_nanos),
            spread.count,
        );
    }
}

pub fn print_row_head() {
    println!();
    println!(
        "{:<19} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}",
        "",
        "accounts",
        "callers",
        "charges/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "server µs",
        "load µs",
        "disk B",
    );
}

/// One line; what a charge cost stands at its end.
pub fn print_row(row: &Row) {
    let method = match row.charges_per_call {
        1 => row.method.to_owned(),
        many => format!("{} of {}", row.method, thousands(many)),
    };
    let figure = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
    println!(
        "{:<19} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}",
        method,
        thousands(row.accounts),
        thousands(row.callers),
        thousands(row.charges_per_second),
        millis(row.calls.p50_nanos),
        millis(row.calls.p99_nanos),
        millis(row.calls.max_nanos),
        figure(row.server_nanos_per_charge.map(micros)),
        figure(row.load_nanos_per_charge.map(micros)),
        figure(row.written_bytes_per_charge.map(thousands)),
    );
}

/// Milliseconds with three decimals.
fn millis(nanos: u64) -> String {
    format!("{:.3}", Duration::from_nanos(nanos).as_secs_f64() * 1e3)
}

/// Microseconds with one decimal.
fn micros(nanos: u64) -> String {
    format!("{:.1}", Duration::from_nanos(nanos).as_secs_f64() * 1e6)
}

/// A number with commas.
fn thousands(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
