//! Health follows the ledger's disk, and whether the clock is believed.

use std::time::Duration;

use tokio::sync::watch;

use super::checked_clock::CheckedClock;
use crate::rpc::health::State;
use crate::store::Clock as _;

/// How often the clock is checked where no call reads it.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Tells health whether the ledger can write, for as long as it has a writer. A ledger whose
/// clock is not believed cannot.
pub(super) async fn follow(
    mut writable: watch::Receiver<bool>,
    clock: &CheckedClock,
    state: &watch::Sender<State>,
) {
    let mut believed = clock.watch();
    loop {
        let can_write = *writable.borrow_and_update() && *believed.borrow_and_update();
        state.send_if_modified(|state| {
            std::mem::replace(&mut state.writable, can_write) != can_write
        });
        let changed = tokio::select! {
            changed = writable.changed() => changed,
            changed = believed.changed() => changed,
            () = tokio::time::sleep(CLOCK_CHECK_INTERVAL) => {
                // A jump is noticed also where no call reads the clock.
                clock.now();
                Ok(())
            }
        };
        if changed.is_err() {
            return;
        }
    }
}
