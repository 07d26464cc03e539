//! A kill during a checkpoint leaves a file with some of the pages of its `-wal`. Together they are
//! whole, however little makes sense of the file alone.

use std::collections::BTreeMap;
use std::path::Path;

use creditd::server::files::audit;
use creditd::store::Store as _;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::{Hand, batch, grant};

const CHARGES: usize = 5_000;
const STEPS: usize = 40;

/// A file whose pages VACUUM has moved in the `-wal` alone, and a reader that keeps them there.
async fn vacuumed() -> (TempDir, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("creditd.db");
    let clock = Hand::new();
    let open = || SqliteStore::open(&path, clock.clone(), SqliteSettings::default()).unwrap();
    let store = open();
    grant(&store, "team-a", "g", "10000").await.unwrap();
    store.write_batch(batch(0, CHARGES)).await.unwrap();
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE junk AS SELECT randomblob(500) AS bytes FROM entries;
             UPDATE entries SET service = service;",
        )
        .unwrap();
    drop(connection);
    let store = open();
    store.write_batch(batch(1, CHARGES)).await.unwrap();
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("DROP TABLE junk; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    let reader = Connection::open(&path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM file;")
        .unwrap();
    // As a server begins its -wal.
    connection
        .execute_batch(
            "PRAGMA wal_autocheckpoint = 0;
             UPDATE file SET probes = probes + 1, in_use = 1,
                    checkpointed = (SELECT max(position) FROM entries);
             VACUUM;",
        )
        .unwrap();
    (directory, reader)
}

/// The newest version of each page in a `-wal`, and how many bytes a page has.
fn pages(wal: &[u8]) -> (BTreeMap<usize, &[u8]>, usize) {
    let number = |bytes: &[u8], at: usize| {
        let bytes = bytes[at..at + 4].try_into().unwrap();
        usize::try_from(u32::from_be_bytes(bytes)).unwrap()
    };
    let page_bytes = number(wal, 8);
    let frames = wal[32..].chunks_exact(24 + page_bytes);
    let frames = frames.filter(|frame| frame[8..16] == wal[16..24]);
    let pages = frames.map(|frame| (number(frame, 0), &frame[24..]));
    (pages.collect(), page_bytes)
}

fn write(directory: &Path, file: &[u8], wal: &[u8]) -> std::path::PathBuf {
    let path = directory.join("creditd.db");
    std::fs::write(&path, file).unwrap();
    std::fs::write(directory.join("creditd.db-wal"), wal).unwrap();
    path
}

#[tokio::test]
async fn a_checkpoint_that_was_interrupted_loses_nothing() {
    let (directory, reader) = vacuumed().await;
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let (mut file, wal) = (read("creditd.db"), read("creditd.db-wal"));
    drop(reader);
    let (pages, page_bytes) = pages(&wal);
    assert!(pages.len() > 150, "{}", pages.len());
    let mut alone_unsound = 0;
    for chunk in pages.iter().collect::<Vec<_>>().chunks(pages.len() / STEPS) {
        let place = tempfile::tempdir().unwrap();
        let path = write(place.path(), &file, &wal);
        let report = audit(&path, &mut |_, _| {}).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.entries, 1 + 2 * u64::try_from(CHARGES).unwrap());
        // Without its -wal it is not.
        let alone = tempfile::tempdir().unwrap();
        let path = write(alone.path(), &file, &[]);
        let is_sound = audit(&path, &mut |_, _| {}).is_ok_and(|report| report.is_sound());
        alone_unsound += usize::from(!is_sound);
        for (page, bytes) in chunk {
            let at = (*page - 1) * page_bytes;
            file.resize(file.len().max(at + page_bytes), 0);
            file[at..at + page_bytes].copy_from_slice(bytes);
        }
    }
    assert!(alone_unsound > STEPS / 2, "{alone_unsound}");
    // And a server goes on with it.
    let place = tempfile::tempdir().unwrap();
    let path = write(place.path(), &file, &wal);
    let store = SqliteStore::open(&path, Hand::new(), SqliteSettings::default()).unwrap();
    store.write_batch(batch(2, 1)).await.unwrap();
}
