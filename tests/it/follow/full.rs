//! A directory that is full for long holds up neither the server's checkpoints nor fills memory.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Follower, generations, restore};
use crate::support::server::Program;
use crate::support::{PATIENCE, shim, wait_until};

/// Rows of a page each, and how many are written at once: 4 MiB of a file of 72 MiB.
const ROWS: usize = 18_000;
const ROWS_AT_ONCE: usize = 1_000;
/// How often all of them are written, which is far more than the follower may hold up.
const ROUNDS: usize = 3;
/// What waits in memory, what the `-wal` has before, and what a slow machine adds.
const WAL_MIB_MAX: u64 = 160;
const MEMORY_MIB_MAX: u64 = 160;

fn mib(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len() >> 20
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_directory_does_not_fill_the_disk_of_the_ledger() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    shim::compile("failing_disk", place.path());
    let faults = place.path().join("faults");
    std::fs::write(&faults, "").unwrap();
    let variables = [
        ("LD_PRELOAD", place.path().join("failing_disk.so").into()),
        ("FAILING_DISK", faults.clone().into()),
    ];
    let server = Program::start();
    let data = server.data();
    let _directory = server.stop();
    let mut follower = Follower::start_with(&data, &copies, &[], &variables);
    follower.wait_whole();
    let full = "write ENOSPC .partial\nwrite ENOSPC base.db\nwrite ENOSPC base.db.partial\n";
    std::fs::write(&faults, full).unwrap();
    // Another writer than the server, as fast as it can.
    let file = Connection::open(&data).unwrap();
    file.busy_timeout(PATIENCE).unwrap();
    file.execute_batch("CREATE TABLE filler (id INTEGER PRIMARY KEY, bytes BLOB)")
        .unwrap();
    let wal = data.with_extension("db-wal");
    let mut longest = 0;
    let start = Instant::now();
    for first in (0..ROUNDS * ROWS).step_by(ROWS_AT_ONCE) {
        let first = first % ROWS;
        let last = first + ROWS_AT_ONCE - 1;
        let sql = format!(
            "INSERT OR REPLACE INTO filler
             WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             SELECT i, randomblob(3600) FROM n"
        );
        file.execute_batch(&sql).unwrap();
        longest = longest.max(mib(&wal));
        assert!(longest < WAL_MIB_MAX, "{longest} {}", follower.log());
        // Not faster than the follower reads.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let memory = follower.memory_mib_max();
    eprintln!(
        "follow: -wal {longest} MiB, memory {memory} MiB, {:?}",
        start.elapsed()
    );
    assert!(memory < MEMORY_MIB_MAX, "{memory}");
    wait_until("it is logged", || {
        follower.log().contains("the copy cannot be continued")
    });
    std::fs::write(&faults, "").unwrap();
    wait_until("there is a new base", || {
        let is_whole = "the base of a generation is whole";
        follower.log().matches(is_whole).count() == 2
    });
    follower.wait_whole();
    assert_eq!(generations(&copies).len(), 2, "{}", follower.log());
    follower.stop();
    let (restored, _) = restore(&copies, None);
    let restored = Connection::open(restored.path().join("creditd.db")).unwrap();
    let count = |file: &Connection| -> i64 {
        file.query_row("SELECT count(*) FROM filler", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&restored), count(&file));
}
