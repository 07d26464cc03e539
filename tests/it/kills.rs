//! Servers killed under load, many times: no answered write is lost, and none is done twice.
//!
//! `CREDITD_KILLS` is the number of kills, `CREDITD_SEED` the seed of the random choices. A
//! run that fails prints its seed.

use std::time::Duration;

use creditd::server::files::audit_with_archives;

use crate::support::disk::Disk;
use crate::support::load::Journal;
use crate::support::random::Random;
use crate::support::server::kill_while_starting;

/// What `make test` takes time for.
const KILLS: usize = 30;
/// Ends by the signal to stop, which must lose as little.
const STOPS: usize = 4;
/// Kills over one file. All that was ever sent to it is sent again after each.
const KILLS_A_FILE: usize = 5;

#[derive(Clone, Copy)]
enum End {
    Kill,
    Stop,
}

/// Each step of a commit takes time: whoever answers before the last of them is
/// found out.
const SLOW: &str = "write 200us creditd.db-wal\nsync 2000us creditd.db-wal";

/// Ends servers over one data file so often, in the midst of their work.
async fn ends_over_one_file(end: End, times: usize, disk: &Disk, random: &mut Random) -> Journal {
    let mut journal = Journal::default();
    let mut head = None;
    let mut server = disk.server(None);
    journal.open(&server).await;
    for _ in 0..times {
        let load = journal.start(&server, random).await;
        // The moment is what the test is about.
        tokio::time::sleep(Duration::from_micros(random.between(50_000, 300_000))).await;
        let directory = match end {
            End::Kill => server.kill(),
            End::Stop => server.stop(),
        };
        journal.finish(load).await;
        if random.between(1, 3) == 1 {
            // Half-way through its start, also while it takes in what the kill left.
            let after = Duration::from_micros(random.between(0, 40_000));
            kill_while_starting(directory.path(), after);
        }
        server = disk.server(Some(directory));
        journal.retry(&server).await;
        journal.verify(&server).await;
        // The chains are whole, and go on from what they were before the kill.
        let file = server.directory.path().join("creditd.db");
        let report = audit_with_archives(&file, &[], head.as_ref(), &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        head = report.head;
    }
    // What was answered only after the last kill.
    journal.retry(&server).await;
    journal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_by_kills() {
    let kills = std::env::var("CREDITD_KILLS").map_or(KILLS, |text| {
        text.parse().expect("CREDITD_KILLS is a number")
    });
    let mut random = Random::of_run("kills");
    let disk = Disk::new();
    let mut left = kills;
    let mut slow = false;
    while left > 0 {
        let times = left.min(KILLS_A_FILE);
        // As fast as the disk is, and slowly, in turn.
        disk.fail(if slow { SLOW } else { "" });
        slow = !slow;
        let journal = ends_over_one_file(End::Kill, times, &disk, &mut random).await;
        left -= times;
        let counts = journal.counts;
        eprintln!("kills: {} of {kills}: {counts:?}", kills - left);
        // It was under load: some calls were in flight at each kill.
        assert!(counts.lost >= times, "{counts:?}");
        assert!(counts.answered > 20 * times, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_by_stops() {
    let mut random = Random::of_run("stops");
    let journal = ends_over_one_file(End::Stop, STOPS, &Disk::new(), &mut random).await;
    let counts = journal.counts;
    assert!(counts.answered > 20 * STOPS, "{counts:?}");
}
