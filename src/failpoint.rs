//! Failpoints: a test has a debug build panic at a named place. A release build has none.
//!
//! `CREDITD_FAILPOINT` names a file. The thread that passes the place whose name is in the
//! file removes the file and panics; where " hangs" stands behind the name, it sleeps for a minute.

/// Passes a place; in a release build there is nothing to pass.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) const fn pass(_place: &str) {}

/// Passes a place, or panics there.
#[cfg(debug_assertions)]
pub(crate) fn pass(place: &str) {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("CREDITD_FAILPOINT").map(PathBuf::from));
    let Some(file) = &*FILE else { return };
    let Ok(named) = std::fs::read_to_string(file) else {
        return;
    };
    let named = named.trim();
    let hangs = named.strip_suffix(" hangs") == Some(place);
    // Only one of those who pass at the same time removes it.
    if hangs && std::fs::remove_file(file).is_ok() {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    if named == place && std::fs::remove_file(file).is_ok() {
        #[expect(clippy::panic, reason = "that is what it is for")]
        std::panic::panic_any(format!("failpoint {place}"));
    }
}
