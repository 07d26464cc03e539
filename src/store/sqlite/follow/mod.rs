//! Keeps a continuous copy of a data file, beside the server that writes to it.
//!
//! A directory has generations. Each has a base, which is a whole copy of one moment, and
//! segments: the newest version of each page that the `-wal` got since, up to a commit. Each
//! segment names the SHA-256 of the one before it. `restore.rs` puts them together.
//!
//! # How nothing is missed
//!
//! The follower reads the `-wal` and the header of SQLite's index without a lock, every few
//! milliseconds, and writes a segment every interval. A read transaction prevents a reset of the
//! `-wal`, or a second one where all was checkpointed, and with it the server's checkpoints. So
//! one is held only while the `-wal` is small or nobody writes, and while a base is made. It is renewed, the new one before the old one ends, so that a checkpoint
//! that waits for readers gets its turn.
//!
//! Otherwise the server resets its `-wal` when it will. Then the frames that were not read yet
//! follow in the file behind the newer ones, as long as fewer were written than the `-wal` had.
//! `tail.rs` counts commits, and so proves that none is missing. Where it cannot be proved, a new
//! generation begins with a new base, and the log says so.
//!
//! # What a kill leaves
//!
//! A file gets its name once it is whole and synced, a generation once its base is. Whatever was
//! being made has another name, and the next start removes it. That start goes on with the newest
//! generation if the `-wal` still has the frame that its last segment ended with.

mod advice;
mod base;
mod choose;
mod directory;
mod frames;
mod hold;
mod live;
mod origin;
mod reading;
mod rebuild;
mod restore;
mod retention;
mod rollover;
mod sealed;
mod settings;
mod source;
mod tail;
mod wal_index;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::base::BaseJob;
use self::directory::{Directory, note_newest};
use self::hold::FullHold;
use self::live::Live;
use self::sealed::End;
use self::source::Source;
use self::tail::{Extent, LookError};
use super::status_file::StatusFile;
use crate::domain::Timestamp;
use crate::failpoint;
use crate::store::Clock;

pub use self::hold::{FULL_HOLD_MAX, FULL_WAL_BYTES_MAX};
pub use self::reading::CLOCK_BEHIND_MAX;
pub use self::restore::{Generation, Restored, list_generations, restore};
pub use self::settings::{FollowReport, FollowSettings};
pub use self::tail::{BEHIND_RESET_BYTES_MAX, PENDING_BYTES_MAX};

/// From so many frames in the `-wal` on no read transaction is held while others write: the server
/// begins a checkpoint at 1,000.
const RELEASE_FRAMES: u32 = 400;
/// Without a new frame for so long nobody writes.
const QUIET: Duration = Duration::from_millis(250);
/// A read transaction that is held is renewed so often.
const RENEW_INTERVAL: Duration = Duration::from_millis(250);
/// Time between two looks at the `-wal`: without a read transaction, and with one.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const HELD_LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// Time between two attempts to write a segment, and between two bases at least.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two attempts to make a base, which can fail after much of the work.
const BASE_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two lines of the log about failures.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two lines of the log about progress, and two removals of what is old.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

struct Follower<'a> {
    clock: &'a dyn Clock,
    settings: FollowSettings,
    directory: Directory,
    source: Source,
    /// The generation that gets segments; None where it cannot be gone on with.
    live: Option<Live>,
    /// The next generation's base, while it is made.
    base: Option<BaseJob>,
    /// Where the newest generation ends.
    end: Option<End>,
    /// How often the clock was set back.
    epoch: u64,
    /// No moment of the epoch is later.
    last_time: Timestamp,
    /// Since when the clock is behind that.
    behind: Option<Instant>,
    look: Option<Extent>,
    full: FullHold,
    /// When there was a new frame.
    moved: Instant,
    renewed: Instant,
    base_tried: Option<Instant>,
    base_failed: Option<Instant>,
    cut_failed: Option<Instant>,
    report: FollowReport,
    failure_logged: Option<Instant>,
    /// The log says that it is behind.
    is_behind: bool,
    progress_logged: Instant,
    status_failed: bool,
}

/// Follows a data file into a directory, until `stop` is set.
///
/// # Errors
/// Why it cannot begin; with [`FollowSettings::once`] also why the round failed.
pub fn follow(
    data: &Path,
    directory: &Path,
    settings: FollowSettings,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<FollowReport, String> {
    let (source, warning) = Source::open(data)?;
    if let Some(warning) = warning {
        tracing::warn!("data file {}: {warning}", data.display());
    }
    let directory = Directory::open(directory)?;
    directory.check_key(&source.key)?;
    let found = directory.contents()?;
    let mut follower = Follower {
        clock,
        settings,
        source,
        live: None,
        base: None,
        epoch: 0,
        last_time: Timestamp::from_unix_nanos(0),
        behind: None,
        look: None,
        full: FullHold::default(),
        moved: Instant::now(),
        renewed: Instant::now(),
        base_tried: None,
        base_failed: None,
        cut_failed: None,
        report: FollowReport::default(),
        failure_logged: None,
        is_behind: false,
        progress_logged: Instant::now(),
        status_failed: false,
        end: None,
        directory,
    };
    if let Some(found) = found {
        (follower.epoch, follower.last_time) = found.newest;
        let live = match (&found.end, found.place) {
            (Some(end), Ok(place)) => Live::again(&follower.directory, end, &place),
            (_, Err(reason)) => Err(reason),
            (None, Ok(_)) => Err("its end is not known".to_owned()),
        };
        follower.end = found.end;
        match live {
            Ok(live) => follower.live = Some(live),
            Err(reason) => follower.give_up(&reason),
        }
    }
    tracing::info!(
        data = %data.display(),
        directory = %follower.directory.path().display(),
        generation = follower.live.as_ref().map(|live| live.generation()),
        "a continuous backup has begun"
    );
    follower.run(stop)?;
    Ok(follower.report)
}

impl Follower<'_> {
    fn run(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let mut next_round = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if self.source.is_replaced() && !self.reopen(stop) {
                continue;
            }
            let looked = self.look_on();
            self.log_failure(looked)?;
            let is_full = self.live.as_ref().is_some_and(|live| live.tail.is_full());
            if is_full && is_past(self.cut_failed, RETRY_INTERVAL) {
                let written = self.cut();
                self.log_failure(written)?;
            }
            let made = self.advance_base();
            if made.is_err() {
                self.base_failed = Some(Instant::now());
            }
            self.log_failure(made)?;
            let now = Instant::now();
            if now >= next_round {
                self.directory.keep_lock()?;
                next_round = now.checked_add(self.settings.interval).unwrap_or(now);
                let round = self.round();
                let has_all = round.is_ok() && self.live.is_some() && self.cut_failed.is_none();
                self.log_failure(round)?;
                if has_all && std::mem::take(&mut self.is_behind) {
                    tracing::info!("the continuous backup goes on, and has all again");
                }
                let is_done = self.live.is_some() && self.base.is_none();
                if self.settings.once && is_done {
                    return Ok(());
                }
                self.keep_house();
            }
            let pause = match self.source.is_held() {
                true => HELD_LOOK_INTERVAL,
                false => LOOK_INTERVAL,
            };
            if self.settings.once && self.base.as_ref().is_some_and(BaseJob::is_finished) {
                next_round = Instant::now();
            }
            std::thread::sleep(pause.min(next_round.saturating_duration_since(Instant::now())));
        }
        self.directory.keep_lock()?;
        // What came since the last segment.
        self.cut_failed = None;
        let round = self.round();
        tracing::info!(
            segments = self.report.segments,
            "the continuous backup has ended"
        );
        round
    }

    /// A moment of the directory, and not earlier than those before it.
    fn now(&mut self) -> Timestamp {
        self.last_time = self.last_time.max(self.clock.now());
        self.last_time
    }

    /// Reads what is new in the `-wal`. A gap ends the generation.
    fn look(&mut self) -> Result<(), String> {
        let now = self.now();
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        match live.tail.look(&self.source, now) {
            Ok(look) => {
                if look.has_new {
                    self.moved = Instant::now();
                }
                self.look = Some(look);
                Ok(())
            }
            Err(LookError::Failed(problem)) => Err(problem),
            Err(LookError::Gap(reason)) => {
                self.give_up(&reason);
                Ok(())
            }
        }
    }

    /// Ends the generation: a new one begins with a base.
    fn give_up(&mut self, reason: &str) {
        let generation = self.live.take();
        tracing::warn!(
            reason,
            generation = generation.as_ref().map(Live::generation),
            "the copy cannot be continued, and begins anew with a base; until that is whole, no newer moment can be restored"
        );
        self.full.end();
    }

    /// Looks, and holds or ends the read transaction.
    fn look_on(&mut self) -> Result<(), String> {
        let frames = self.look.map_or(0, |look| look.frames);
        let is_quiet = self.moved.elapsed() >= QUIET;
        let is_full = self.live.as_ref().is_some_and(|live| live.tail.is_full());
        if is_full && let Some(reason) = self.full.advance(frames, self.source.page_bytes) {
            self.give_up(&reason);
        }
        // What cannot be read now must not be overwritten, for a while.
        let is_wanted = self.live.is_some() && (frames < RELEASE_FRAMES || is_quiet || is_full);
        match (is_wanted, self.source.is_held()) {
            (true, false) => self.renew(),
            (true, true) if self.renewed.elapsed() >= RENEW_INTERVAL => self.renew(),
            (false, true) => {
                self.source.release();
                self.look()
            }
            (true, true) | (false, false) => self.look(),
        }
    }

    /// Holds a newer read transaction, and ends the older one when all before the newer was read.
    fn renew(&mut self) -> Result<(), String> {
        self.renewed = Instant::now();
        let before = self.source.hold()?;
        let looked = self.look();
        self.source.end(before);
        looked
    }

    /// Writes what was read as segments, the last of them whole.
    fn cut(&mut self) -> Result<(), String> {
        let written = self.cut_all();
        self.cut_failed = written.is_err().then(Instant::now);
        written
    }

    fn cut_all(&mut self) -> Result<(), String> {
        loop {
            self.look()?;
            let is_empty = |live: &Live| live.tail.pending.frames == 0;
            if self.live.as_ref().is_none_or(is_empty) || self.write_segment()? {
                return Ok(());
            }
        }
    }

    /// Writes what was read as one segment, and returns whether it is whole. Meanwhile it reads
    /// on: the `-wal` may be reset twice while a slow disk is synced.
    fn write_segment(&mut self) -> Result<bool, String> {
        let Some(live) = &mut self.live else {
            return Ok(true);
        };
        let segment = live.next_segment(self.last_time);
        let directory = self.directory.path().to_owned();
        let joined = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let end = segment.write()?;
                failpoint::pass("backup-segment");
                let noted = note_newest(&directory, &end);
                Ok((end, noted))
            });
            while !thread.is_finished() {
                let looked = self.look_on();
                let _ = self.log_failure(looked);
                std::thread::sleep(LOOK_INTERVAL);
            }
            thread.join()
        });
        let written = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (end, noted) = match written {
            Ok(written) => written,
            Err(problem) => {
                if let Some(live) = &mut self.live {
                    live.tail.put_back(segment.pending);
                }
                return Err(problem);
            }
        };
        if let Some(live) = &mut self.live {
            live.advance(&end);
        }
        self.full.end();
        self.end = Some(end);
        self.report.segments = self.report.segments.saturating_add(1);
        self.report.pages = self.report.pages.saturating_add(segment.header.pages);
        noted.map(|()| segment.header.whole)
    }

    /// Makes the copy whole up to now, and says so beside the data file.
    fn round(&mut self) -> Result<(), String> {
        if !is_past(self.cut_failed, RETRY_INTERVAL) {
            return Ok(());
        }
        let wall = self.clock.now();
        self.cut()?;
        // A failure puts off the next round; a gap leaves no generation.
        let is_whole = self.live.is_some();
        if !is_whole || self.source.is_replaced() {
            return Ok(());
        }
        self.report.whole_until = Some(wall);
        let written = StatusFile::Backup.write(self.source.path(), wall);
        if let (Err(error), false) = (&written, self.status_failed) {
            tracing::warn!(%error, "the moment of the copy cannot be noted beside the data file");
        }
        self.status_failed = written.is_err();
        Ok(())
    }

    /// Opens the files that are at the paths now. False: that did not work.
    fn reopen(&mut self, stop: &AtomicBool) -> bool {
        self.full.end();
        if self.live.take().is_some() {
            tracing::warn!(
                "another file has taken the data file's place, or its -wal or -shm: the copy begins anew with a base"
            );
        }
        if let Some(base) = self.base.take() {
            // It was of the file before.
            drop(
                base.finish(&self.source, None)
                    .map(|new| std::fs::remove_dir_all(new.path)),
            );
        }
        let path = self.source.path().to_owned();
        let opened = Source::open(&path).and_then(|(source, _)| {
            self.directory.check_key(&source.key)?;
            Ok(source)
        });
        match opened {
            Ok(source) => {
                self.source = source;
                (self.look, self.base_tried, self.base_failed) = (None, None, None);
                true
            }
            Err(problem) => {
                let _ = self.log_failure(Err(problem));
                let since = Instant::now();
                while since.elapsed() < RETRY_INTERVAL && !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(HELD_LOOK_INTERVAL);
                }
                false
            }
        }
    }

    /// Logs how far the copy is, and removes what is older than is kept, both now and then.
    fn keep_house(&mut self) {
        if self.progress_logged.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.progress_logged = Instant::now();
        self.remove_old();
        let FollowReport {
            segments, pages, ..
        } = self.report;
        tracing::info!(segments, pages, "the continuous backup goes on");
    }

    /// Logs a failure, a few a minute. A single round fails by it.
    fn log_failure(&mut self, done: Result<(), String>) -> Result<(), String> {
        let Err(problem) = done else {
            return Ok(());
        };
        if self.settings.once {
            return Err(problem);
        }
        if is_past(self.failure_logged, FAILURE_LOG_INTERVAL) {
            self.failure_logged = Some(Instant::now());
            self.is_behind = true;
            tracing::error!(problem, "the continuous backup is behind, and tries again");
        }
        Ok(())
    }
}

/// Whether so much time has passed since then, or it never was.
fn is_past(at: Option<Instant>, interval: Duration) -> bool {
    at.is_none_or(|at| at.elapsed() >= interval)
}
