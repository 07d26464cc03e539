//! Keys on the command line.

use super::{ADMIN_KEY, serve_with};
use crate::support::server::{program, run};

/// The program's status, output and errors, with this key in its environment.
fn with_key(key: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let output = program()
        .args(args)
        .env("CREDITD_KEY", key)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn keys_are_administered_by_the_command_line() {
    let server = serve_with(&[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("admin.key");
    std::fs::write(&file, format!("{ADMIN_KEY}\n")).unwrap();
    let file = file.to_str().unwrap();
    let addr = server.address.as_str();
    let admin = |args: &[&str]| {
        let all = [args, &["--addr", addr, "--key-file", file]].concat();
        let (status, out, err) = run(directory.path(), &all);
        assert_eq!(status, Some(0), "{args:?}: {err}");
        out
    };
    let created = admin(&[
        "keys",
        "create",
        "--scope",
        "read",
        "--scope",
        "charge",
        "--account",
        "team-*",
        "--title",
        "billing worker",
        "--calls-per-second-max",
        "200",
    ]);
    let fact = |name: &str| {
        let line = created.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].trim().to_owned()
    };
    let (id, secret) = (fact("key_id"), fact("secret"));
    assert!(secret.starts_with(&format!("creditd_{id}_")), "{created}");
    assert_eq!(fact("accounts"), "team-*");
    assert_eq!(fact("limit"), "200 calls/s");
    assert!(
        created.ends_with("The secret is not shown again.\n"),
        "{created}"
    );
    let listed = admin(&["keys", "list"]);
    assert!(
        listed.contains(&id) && listed.contains("billing worker"),
        "{listed}"
    );
    assert!(!listed.contains(&secret));
    // By the environment, and refused in words of the command line.
    let (status, _, err) = with_key(&secret, &["balance", "other", "--addr", addr]);
    assert_eq!(
        (status, err.contains("NOT_ALLOWED")),
        (Some(3), true),
        "{err}"
    );
    let (status, _, err) = with_key(&secret, &["balance", "team-a", "--addr", addr]);
    assert_eq!(
        (status, err.contains("ACCOUNT_NOT_FOUND")),
        (Some(4), true),
        "{err}"
    );
    let (status, _, err) = run(directory.path(), &["balance", "team-a", "--addr", addr]);
    assert_eq!(status, Some(3), "{err}");
    assert!(
        err.contains("CREDITD_KEY") && err.contains("--key-file"),
        "{err}"
    );
    admin(&["keys", "revoke", &id]);
    let (_, _, err) = with_key(&secret, &["balance", "team-a", "--addr", addr]);
    assert!(err.contains("KEY_INVALID"), "{err}");
    assert_eq!(admin(&["keys", "list"]), "no keys\n");
    assert!(admin(&["keys", "list", "--revoked"]).contains(&id));
    let log = admin(&["keys", "log"]);
    let lines: Vec<Vec<&str>> = log
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert_eq!(lines[1][1..4], ["admin", "revoke_key", &id]);
    assert_eq!(lines[2][1..4], ["admin", "create_key", &id]);
}

/// What is wrong with a key is said before anything is sent.
#[test]
fn a_key_is_not_sent_where_others_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("empty", ""),
        ("words", "two words\n"),
        ("key", "some-key-of-mine\n"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    for (args, expected) in [
        // 192.0.2.0/24 is nowhere: nothing is sent there.
        (
            ["--addr", "192.0.2.1:50051", "--key-file", "key"],
            "https://192.0.2.1:50051",
        ),
        (
            ["--addr", "credits.example:50051", "--key-file", "key"],
            "https://credits.example:50051",
        ),
        (
            ["--addr", "127.0.0.1:1", "--key-file", "missing"],
            "--key-file missing",
        ),
        (
            ["--addr", "127.0.0.1:1", "--key-file", "empty"],
            "has no key",
        ),
        (
            ["--addr", "127.0.0.1:1", "--key-file", "words"],
            "has no key",
        ),
    ] {
        let all = [&["balance", "team-a"], args.as_slice()].concat();
        let (status, _, err) = run(directory.path(), &all);
        assert_eq!(status, Some(2), "{args:?}: {err}");
        assert!(err.contains(expected), "{args:?}: {err}");
        assert!(!err.contains("some-key-of-mine"), "{err}");
    }
    let (status, _, err) = with_key("some-key-of-mine", &["balance", "a", "--addr", "192.0.2.1"]);
    assert_eq!(
        (status, err.contains("https://192.0.2.1")),
        (Some(2), true),
        "{err}"
    );
}
