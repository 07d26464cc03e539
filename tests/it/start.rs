//! Servers that refuse to start, with a sentence that says what to do.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;

use crate::support::refusal::refused;
use crate::support::server::{Program, Settings, run};
use crate::support::{balance, grant};

/// The complaint of a server that does not start.
fn complaint(directory: &Path, args: &[&str]) -> String {
    let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
    all.extend(args);
    let (code, out, err) = run(directory, &all);
    // 2 where options are wrong, 1 where what they name is.
    assert!(matches!(code, Some(1 | 2)), "{code:?} {err}");
    assert_eq!(out, "", "nothing is promised");
    assert_eq!(err.lines().count(), 1, "one sentence: {err}");
    err.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_data_file_that_cannot_be_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("folder")).unwrap();
    std::fs::write(
        path.join("text.db"),
        "not a database, but long enough to look at ".repeat(40),
    )
    .unwrap();
    let other = rusqlite::Connection::open(path.join("other.db")).unwrap();
    other
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .unwrap();
    drop(other);

    for (data, expected) in [
        (
            "folder",
            "creditd: data file folder: it is a directory; give --data the path of a file, such as folder/creditd.db",
        ),
        (
            "missing/creditd.db",
            "creditd: data file missing/creditd.db: there is no directory missing; make the directory first, or give --data another path",
        ),
        (
            "text.db",
            "creditd: data file text.db: it is not a creditd data file; restore it from a backup if it was one, or give --data another path; creditd makes the file where there is none",
        ),
        (
            "other.db",
            "creditd: data file other.db: it is a SQLite file of another program; give --data another path; creditd makes the file where there is none",
        ),
        (
            "/dev/null",
            "creditd: data file /dev/null: it is not a regular file; give --data the path of a file",
        ),
        (
            "postgres://localhost/creditd",
            "creditd: --data: this version keeps credits in a file; PostgreSQL is not built in, so give the path of a file",
        ),
    ] {
        assert_eq!(complaint(path, &["--data", data]), expected);
    }
    let untouched = std::fs::read_to_string(path.join("text.db")).unwrap();
    assert!(untouched.starts_with("not a database"));
}

/// A data file with one grant in it.
async fn used_file() -> tempfile::TempDir {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("r1", "team-a", "10")).await.unwrap();
    server.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_read_only_file_is_refused() {
    let directory = used_file().await;
    let file = directory.path().join("creditd.db");
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&file, permissions).unwrap();
    assert_eq!(
        complaint(directory.path(), &[]),
        "creditd: data file creditd.db: it cannot be written to; give this user the right to write to the file and its directory, or choose another by --data"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_file_is_refused() {
    let directory = used_file().await;
    let file = directory.path().join("creditd.db");
    let sound = std::fs::read(&file).unwrap();
    let page = 8_192;
    // Each page in turn, but for the first one's header: that is no database then.
    let mut found = 0;
    for start in (0..sound.len()).step_by(page) {
        let mut bytes = sound.clone();
        let from = start + if start == 0 { 100 } else { 0 };
        bytes[from..from + 512].fill(0xA5);
        std::fs::write(&file, &bytes).unwrap();
        let text = complaint(directory.path(), &[]);
        assert!(
            text.starts_with("creditd: data file creditd.db: it is damaged ("),
            "{text}"
        );
        assert!(
            text.ends_with("; restore it from a backup, or start with another file by --data"),
            "{text}"
        );
        found += 1;
    }
    assert!(found >= 5, "{found}");
    std::fs::write(&file, &sound[..page * 2]).unwrap();
    assert!(complaint(directory.path(), &[]).contains("it is damaged"));
    // And the sound one starts.
    std::fs::write(&file, &sound).unwrap();
    drop(Program::start_settings(crate::support::server::Settings {
        directory: Some(directory),
        ..Default::default()
    }));
}

/// Rows that SQLite takes for sound, and that no creditd wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rate_card_that_was_tampered_with_is_refused() {
    let directory = used_file().await;
    let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
    file.execute_batch("UPDATE rate_cards SET content = replace(content, '0.5', '0.4')")
        .unwrap();
    drop(file);
    assert!(complaint(directory.path(), &[]).contains("the content of revision"));
}

/// A start does not read the whole journal. A damaged account is found when it is loaded: it
/// is not served, and the others are.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_account_that_was_tampered_with_is_not_served() {
    for change in [
        "UPDATE accounts SET state = '{'",
        "UPDATE accounts SET state = '{}'",
        "UPDATE accounts SET state = '{\"grants\":[{\"id\":7,\"remaining\":1,\"held\":0}]}'",
        "UPDATE accounts SET head = 77",
        "UPDATE grants SET granted = -1, services = 'x'",
    ] {
        let directory = used_file().await;
        let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
        file.execute_batch(change).unwrap();
        drop(file);
        let server = Program::start_settings(Settings {
            directory: Some(directory),
            ..Settings::default()
        });
        let mut ledger = server.ledger().await;
        ledger.grant(grant("g1", "another", "5")).await.unwrap();
        let refusal = refused(ledger.get_balance(balance("team-a")).await);
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE", "{change}");
        let refusal = refused(ledger.grant(grant("g2", "team-a", "5")).await);
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE", "{change}");
        ledger.grant(grant("g2", "another", "5")).await.unwrap();
        server.wait_for_log("cannot be read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_of_another_version_is_refused() {
    let directory = used_file().await;
    for (version, complains) in [
        (
            99,
            "it has version 99, and this creditd knows versions up to 8; use the newer creditd that wrote it",
        ),
        (
            1,
            "it has version 1, which no released creditd wrote; start with another file by --data",
        ),
        (
            2,
            "it has version 2, which no released creditd wrote; start with another file by --data",
        ),
    ] {
        let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
        file.pragma_update(None, "user_version", version).unwrap();
        drop(file);
        assert_eq!(
            complaint(directory.path(), &[]),
            format!("creditd: data file creditd.db: {complains}")
        );
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, err) = run(directory.path(), &["serve", "--listen", &address]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let expected = format!(
        "creditd: cannot listen on {address}: another program does; stop it, or choose another port by --listen"
    );
    assert_eq!(err.trim_end(), expected);
    assert!(
        !directory.path().join("creditd.db").exists(),
        "nothing was made"
    );
}

#[test]
fn a_second_server_on_one_data_file_is_refused_and_the_first_goes_on() {
    let server = Program::start();
    let text = complaint(server.directory.path(), &[]);
    let expected = "creditd: data file creditd.db: another creditd is using it; stop that server, or give this one a file of its own by --data";
    assert_eq!(text, expected);
    // Another path to the same file is the same file.
    let link = server.directory.path().join("link.db");
    std::os::unix::fs::symlink(server.data(), &link).unwrap();
    std::fs::hard_link(server.data(), server.directory.path().join("hard.db")).unwrap();
    assert!(complaint(server.directory.path(), &["--data", "hard.db"]).contains("another creditd"));
    assert!(complaint(server.directory.path(), &["--data", "link.db"]).contains("another creditd"));
    // It leaves nothing behind: after a kill the file is free.
    let directory = server.kill();
    drop(Program::start_settings(crate::support::server::Settings {
        directory: Some(directory),
        ..Default::default()
    }));
}

#[test]
fn configuration_that_makes_no_sense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(
        path.join("typo.toml"),
        "threads = 1\nlisten_on = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    for (args, expected) in [
        (
            vec!["--config", "typo.toml"],
            "creditd: configuration typo.toml:2: unknown key \"listen_on\"; did you mean \"listen_unix\"?",
        ),
        (
            vec!["--config", "nowhere.toml"],
            "creditd: configuration nowhere.toml: No such file or directory (os error 2); give --config the path of a TOML file",
        ),
        (
            vec!["--threads", "0"],
            "creditd: --threads must be 1 to 256",
        ),
        (
            vec!["--log-level", "verbose"],
            "creditd: --log-level verbose is no level; use error, warn, info, debug or trace",
        ),
        (
            vec!["--rate-card", "nowhere.toml"],
            "creditd: rate card nowhere.toml: No such file or directory (os error 2); give the path of a rate card file",
        ),
    ] {
        let text = complaint(path, &args);
        assert!(text.starts_with(expected), "{text}");
    }
    assert!(!path.join("creditd.db").exists(), "nothing was made");
}

#[test]
fn a_configuration_file_and_the_environment_count() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("creditd.toml"),
        "log_format = \"json\"\ncalls_max = 7\n",
    )
    .unwrap();
    let server = Program::start_settings(crate::support::server::Settings {
        args: vec!["--config".to_owned(), "creditd.toml".to_owned()],
        directory: Some(directory),
        ..Default::default()
    });
    server.wait_for_log("\"message\":\"serving\"");
}

/// A link to a file that is not there yet leads to the file that it makes.
#[test]
fn a_link_to_nothing_is_the_file_that_it_makes() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real.db");
    std::os::unix::fs::symlink(&real, directory.path().join("creditd.db")).unwrap();
    let server = Program::start_settings(crate::support::server::Settings {
        directory: Some(directory),
        ..Default::default()
    });
    let text = complaint(server.directory.path(), &["--data", "real.db"]);
    assert!(text.contains("another creditd"), "{text}");
}

/// A log that nobody reads keeps no server from serving, nor from its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_although_nobody_reads_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut filler = &writer;
    while filler.write(&[b' '; 4_096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    let socket = directory.path().join("socket");
    let socket = socket.to_str().unwrap();
    let mut server = crate::support::server::program()
        .args(["serve", "--listen", "127.0.0.1:0", "--listen-unix", socket])
        .current_dir(directory.path())
        .stdout(std::process::Stdio::null())
        .stderr(writer.try_clone().unwrap())
        .spawn()
        .unwrap();
    crate::support::wait_until("it serves", || {
        let args = ["health", "--addr", &format!("unix:{socket}")];
        run(directory.path(), &args).0 == Some(0)
    });
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    crate::support::wait_until("it has ended", || server.try_wait().unwrap().is_some());
    drop(reader);
}
