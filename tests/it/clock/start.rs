//! A server that starts with a wrong clock, or with a right one after a long time.

use std::path::Path;

use rusqlite::Connection;

use super::{BACK, LOST, before, brief, check_refusal, count, health, told, wait_for_health};
use crate::support::books::{audit, read};
use crate::support::clocks::{Clocks, DAY, HOUR, SECOND, YEAR, from_now};
use crate::support::grant;
use crate::support::requests::charge;
use crate::support::server::run;

const AHEAD: &str = "more than a day ahead";
const ACCEPTED: &str = "because --accept-clock says so";
const USELESS: &str = "--accept-clock does nothing";

/// The machine was booted since the server stopped.
fn boot_anew(directory: &Path) {
    let file = Connection::open(directory.join("creditd.db")).unwrap();
    let sql = "UPDATE clock SET boot_id = 'another boot'";
    assert_eq!(file.execute(sql, []).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_compares_the_clock_with_what_the_file_knows() {
    // Booted anew; how far wall time and the time since boot are; believed; warned.
    for (anew, wall, boot, believed, warned) in [
        (false, 0, 0, true, false),
        (false, 8 * HOUR, 0, false, false),
        (false, 10 * YEAR, 0, false, false),
        (false, -8 * HOUR, 0, false, false),
        (false, -10 * YEAR, 0, false, false),
        (false, 5 * SECOND, 0, true, false),
        // A night, a journey: the same boot, or another one.
        (false, 10 * HOUR, 10 * HOUR, true, false),
        (false, 90 * DAY, 90 * DAY, true, false),
        (false, DAY, 2 * DAY, false, false),
        (true, 10 * HOUR, 0, true, false),
        (true, 2 * DAY, 0, true, true),
        (true, 390 * DAY, 0, true, true),
        (true, 410 * DAY, 0, false, false),
        (true, 10 * YEAR, 0, false, false),
        (true, -30 * SECOND, 0, true, false),
        (true, -8 * HOUR, 0, false, false),
        (true, -10 * YEAR, 0, false, false),
    ] {
        let what = format!("{anew} {wall} {boot}");
        let clocks = Clocks::new();
        let server = clocks.server(None, &[]);
        let mut ledger = server.ledger().await;
        before(&mut ledger).await;
        // However it ends: what is compared is kept along with what was written.
        let directory = match wall % (2 * HOUR) == 0 {
            true => server.stop(),
            false => server.kill(),
        };
        if anew {
            boot_anew(directory.path());
        }
        clocks.shift(wall, boot);
        let server = clocks.server(Some(directory), &[]);
        let mut ledger = server.ledger().await;
        assert_eq!(health(&server).await, told(believed), "{what}");
        for (line, told) in [(LOST, !believed), (AHEAD, warned)] {
            if told {
                server.wait_for_log(line);
            }
        }
        assert_eq!(count(&server, LOST), usize::from(!believed), "{what}");
        assert_eq!(count(&server, AHEAD), usize::from(warned), "{what}");
        if believed {
            ledger.charge(charge("n", "team-a", "1")).await.unwrap();
            let plan_is_over = wall > HOUR;
            let left = read(&mut ledger, "team-a").await.available;
            let plan = if plan_is_over { 0 } else { 89 };
            let all: i64 = left.parse().unwrap();
            assert!((plan + 35..=plan + 50).contains(&all), "{what}: {left}");
            continue;
        }
        // By what is known the plan's credits are there, or are over.
        let now = read(&mut ledger, "team-a").await;
        let grants = if boot > HOUR { 1 } else { 2 };
        assert_eq!(now.grants.len(), grants, "{what}");
        let refusal = ledger.charge(charge("n", "team-a", "1")).await;
        check_refusal(&refusal.unwrap_err(), wall, boot);
        let again = ledger.charge(charge("c1", "team-a", "10")).await.unwrap();
        assert!(again.into_inner().replayed);
        clocks.shift(boot, boot);
        wait_for_health(&server, true).await;
        server.wait_for_log(BACK);
        assert_eq!(
            (count(&server, LOST), count(&server, BACK)),
            (1, 1),
            "{what}"
        );
        ledger.charge(charge("n", "team-a", "1")).await.unwrap();
        audit(&mut ledger, "team-a").await;
    }
}

/// A real jump: a virtual machine that was suspended for hours, a clock that was corrected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_accepts_a_jump() {
    let clocks = Clocks::new();
    let server = clocks.server(None, &[]);
    let mut ledger = server.ledger().await;
    before(&mut ledger).await;
    clocks.set(8 * HOUR);
    server.wait_for_log(LOST);
    // What the log says is what helps.
    let log = server.log();
    let line = log.lines().find(|line| line.contains(LOST)).unwrap();
    let (_, option) = line.split_once("--accept-clock ").unwrap();
    let time = option.split_whitespace().next().unwrap();
    let directory = server.stop();
    let server = clocks.server(Some(directory), &["--accept-clock", time]);
    assert_eq!(health(&server).await, told(true));
    server.wait_for_log(ACCEPTED);
    let mut ledger = server.ledger().await;
    // The plan's hour is over.
    assert_eq!(read(&mut ledger, "team-a").await.available, "50");
    ledger.grant(brief("g2", "1", 9 * HOUR)).await.unwrap();

    // It is accepted once: a jump back is one again, with the option left in place too.
    let directory = server.stop();
    let server = clocks.server(Some(directory), &[]);
    assert_eq!(health(&server).await, told(true));
    let variables = [("CREDITD_ACCEPT_CLOCK", time)];
    let directory = server.stop();
    clocks.set(11 * 24 * HOUR);
    let server = clocks.server_with(Some(directory), &[], &variables);
    assert_eq!(health(&server).await, told(false));
    server.wait_for_log(USELESS);
    clocks.set(8 * HOUR);
    wait_for_health(&server, true).await;
    let directory = server.stop();
    let (status, out, err) = run(directory.path(), &["audit"]);
    assert_eq!(status, Some(0), "{out}{err}");
}

/// A clock that was ahead is set back. Entries are dated at the last one until it has
/// come there, and the next starts need no option.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_operator_accepts_a_jump_back() {
    let clocks = Clocks::new();
    clocks.set(8 * HOUR);
    let server = clocks.server(None, &[]);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "10")).await.unwrap();
    let mut directory = server.stop();
    clocks.right();
    let now = creditd::rfc3339::format(from_now(0));
    let server = clocks.server(Some(directory), &["--accept-clock", &now]);
    assert_eq!(health(&server).await, told(true));
    let mut ledger = server.ledger().await;
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    audit(&mut ledger, "team-a").await;
    directory = server.stop();
    for anew in [false, true] {
        if anew {
            boot_anew(directory.path());
        }
        let server = clocks.server(Some(directory), &[]);
        assert_eq!(health(&server).await, told(true), "{anew}");
        directory = server.stop();
    }
}

#[test]
fn a_time_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (status, _, err) = run(directory.path(), &["serve", "--accept-clock", "tomorrow"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("2027-01-31T12:00:00Z"), "{err}");
}
