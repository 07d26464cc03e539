//! Files that are deleted, renamed, replaced, overwritten or cut under a server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{AT_ONCE, NOTICED_MAX, another_file, complaint, over, refused_charge, spend_one};
use crate::support::books::{audit, entries, read};
use crate::support::health::Health;
use crate::support::requests::charge;
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, balance, grant};

/// What is done to the file, what the log says, and what the next start does.
struct Case {
    name: &'static str,
    take: fn(&Path, &Path),
    says: &'static str,
    /// Whether what is open can still be read.
    readable: bool,
    next: Next,
}

enum Next {
    /// All that was answered is there.
    Whole,
    /// It refuses to start, with these words.
    Refuses(&'static str),
    /// It starts: nothing says that there were data before.
    New,
    /// It starts and warns.
    Warns(&'static str),
}

fn remove(directory: &Path, names: &[&str]) {
    for name in names {
        std::fs::remove_file(directory.join(name)).unwrap();
    }
}

const FILES: [&str; 3] = ["creditd.db", "creditd.db-wal", "creditd.db-shm"];

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "all of it deleted",
            take: |here, _| remove(here, &FILES),
            says: "was deleted or renamed",
            readable: true,
            next: Next::New,
        },
        Case {
            name: "the file deleted",
            take: |here, _| remove(here, &["creditd.db"]),
            says: "was deleted or renamed",
            readable: true,
            next: Next::Refuses("its -wal is there"),
        },
        Case {
            name: "replaced by another file",
            take: |here, other| {
                std::fs::copy(other, here.join("other.db")).unwrap();
                std::fs::rename(here.join("other.db"), here.join("creditd.db")).unwrap();
            },
            says: "another file has taken",
            readable: true,
            next: Next::Refuses("belongs to another file"),
        },
        Case {
            name: "overwritten by another file",
            take: |here, other| {
                std::fs::copy(other, here.join("creditd.db")).unwrap();
            },
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("belongs to another file"),
        },
        Case {
            name: "cut to nothing",
            take: |here, _| drop(std::fs::File::create(here.join("creditd.db")).unwrap()),
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("its -wal is there"),
        },
        Case {
            name: "cut in half",
            take: |here, _| {
                let path = here.join("creditd.db");
                let file = std::fs::File::options().write(true).open(path).unwrap();
                let bytes = file.metadata().unwrap().len();
                file.set_len(bytes / 2).unwrap();
            },
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("it is damaged"),
        },
        Case {
            name: "the -wal deleted",
            take: |here, _| remove(here, &["creditd.db-wal"]),
            says: "-wal was deleted",
            readable: true,
            next: Next::Whole,
        },
        Case {
            name: "the -shm deleted",
            take: |here, _| remove(here, &["creditd.db-shm"]),
            says: "-shm was deleted",
            readable: true,
            next: Next::Whole,
        },
        Case {
            name: "the -wal cut",
            take: |here, _| drop(std::fs::File::create(here.join("creditd.db-wal")).unwrap()),
            says: "has overwritten the data file's -wal or cut it",
            readable: false,
            next: Next::Warns("the -wal which that had is missing"),
        },
    ]
}

/// The server finds out within a second, also without any call. It writes nothing more, and
/// reads the open file as long as it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_what_it_was_is_noticed() {
    let other = another_file().await;
    let other = other.path().join("creditd.db");
    for Case {
        name,
        take,
        says,
        readable,
        next,
    } in cases()
    {
        eprintln!("{name}");
        let server = Program::start();
        let mut health = Health::of(&server).await;
        let mut ledger = spend_one(&server).await;
        let listed = entries(&mut ledger, "team-a", 10).await;
        take(server.directory.path(), &other);
        let start = Instant::now();
        health.wait(ServingStatus::NotServing).await;
        assert!(
            start.elapsed() < NOTICED_MAX,
            "{name}: {:?}",
            start.elapsed()
        );
        server.wait_for_log(says);
        for n in 0..3 {
            let took = refused_charge(&mut ledger, &format!("d{n}")).await;
            assert!(took < AT_ONCE, "{name}: {took:?}");
        }
        assert_eq!(read(&mut ledger, "team-a").await.available, "99", "{name}");
        let list = pb::ListEntriesRequest {
            account: "team-a".to_owned(),
            ..pb::ListEntriesRequest::default()
        };
        match ledger.list_entries(list).await {
            Ok(page) => {
                let page = page.into_inner().entries;
                assert!(readable && page.len() == listed.len(), "{name}");
            }
            Err(status) => assert!(!readable, "{name}: {status:?}"),
        }
        if readable && matches!(next, Next::New | Next::Refuses(_)) {
            rescue(&server, name).await;
        }
        after(server.kill(), name, &next).await;
    }
}

/// The advice in the log brings everything back.
async fn rescue(server: &Program, name: &str) {
    let log = server.log();
    let command = log.lines().find_map(|line| line.split_once(": cp /proc/"));
    let command = format!("cp /proc/{}", command.unwrap().1);
    let done = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(server.directory.path())
        .status();
    assert!(done.unwrap().success(), "{name}: {command}");
    let rescued = tempfile::tempdir().unwrap();
    for (from, to) in [("rescued.db", FILES[0]), ("rescued.db-wal", FILES[1])] {
        std::fs::rename(server.directory.path().join(from), rescued.path().join(to)).unwrap();
    }
    let (code, out, err) = run(rescued.path(), &["audit"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{name}: {out}");
    let server = over(rescued);
    assert_eq!(
        read(&mut server.ledger().await, "team-a").await.available,
        "99"
    );
}

async fn after(directory: tempfile::TempDir, name: &str, next: &Next) {
    match next {
        Next::Refuses(words) => {
            let complaint = complaint(directory.path());
            assert!(complaint.contains(words), "{name}: {complaint}");
        }
        Next::Whole => {
            let server = over(directory);
            let mut ledger = server.ledger().await;
            assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "99", "{name}");
        }
        Next::New => {
            let server = over(directory);
            assert!(
                server
                    .ledger()
                    .await
                    .get_balance(balance("team-a"))
                    .await
                    .is_err()
            );
        }
        Next::Warns(words) => over(directory).wait_for_log(words),
    }
}

/// A file that comes back is served again, and the server also stops as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_back_is_written_again() {
    let server = Program::start();
    let mut health = Health::of(&server).await;
    let mut ledger = spend_one(&server).await;
    let here = server.directory.path().to_owned();
    for n in 0..2 {
        std::fs::rename(here.join("creditd.db"), here.join("moved.db")).unwrap();
        // At once, whether or not it was noticed before.
        refused_charge(&mut ledger, &format!("d{n}")).await;
        assert_eq!(health.ledger().await, ServingStatus::NotServing);
        // Sent again it is not answered by what stands in a file that may be gone for good.
        refused_charge(&mut ledger, &format!("d{n}")).await;
        std::fs::rename(here.join("moved.db"), here.join("creditd.db")).unwrap();
        let start = Instant::now();
        health.wait(ServingStatus::Serving).await;
        assert!(start.elapsed() < NOTICED_MAX, "{:?}", start.elapsed());
        // Nobody was told whether the refused charge was made: its request_id says.
        ledger
            .charge(charge(&format!("d{n}"), "team-a", "1"))
            .await
            .unwrap();
    }
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "97");
    let server = over(server.stop());
    assert_eq!(
        read(&mut server.ledger().await, "team-a").await.available,
        "97"
    );
}

/// Nothing that was answered is missing, whenever the file is taken away under a load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_in_the_file_that_has_the_path() {
    let other = another_file().await;
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000000")).await.unwrap();
    let here = server.directory.path().to_owned();
    let count = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..8)
        .map(|task| {
            let (mut ledger, count) = (ledger.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for n in 0..u64::MAX {
                    let sent = Instant::now();
                    let id = format!("c{task}-{n}");
                    if ledger.charge(charge(&id, "team-a", "1")).await.is_err() {
                        break;
                    }
                    answered.push((id, sent));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                answered
            })
        })
        .collect();
    let start = Instant::now();
    while count.load(Ordering::Relaxed) < 100 {
        assert!(start.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    std::fs::copy(other.path().join("creditd.db"), here.join("other.db")).unwrap();
    std::fs::hard_link(here.join("creditd.db"), here.join("kept.db")).unwrap();
    std::fs::rename(here.join("other.db"), here.join("creditd.db")).unwrap();
    let replaced = Instant::now();
    let mut answered = Vec::new();
    for task in load {
        answered.extend(task.await.unwrap());
    }
    let late = answered.iter().filter(|(_, sent)| *sent > replaced).count();
    assert_eq!(late, 0, "answered although another file had the path");
    let directory = server.kill();
    let here = directory.path();
    std::fs::rename(here.join("kept.db"), here.join("creditd.db")).unwrap();
    let server = over(directory);
    let mut ledger = server.ledger().await;
    for (id, _) in answered {
        let again = ledger.charge(charge(&id, "team-a", "1")).await.unwrap();
        assert!(again.into_inner().replayed, "{id}");
    }
}
