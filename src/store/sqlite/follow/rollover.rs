//! How one generation follows upon another, and when the oldest goes.

use std::time::{Duration, Instant};

use super::base::BaseJob;
use super::directory::note_newest;
use super::live::Live;
use super::reading::{CLOCK_BEHIND_MAX, Reading};
use super::{BASE_RETRY_INTERVAL, Follower, RETRY_INTERVAL, is_past};
use crate::domain::Timestamp;
use crate::failpoint;
use crate::rfc3339;

impl Follower<'_> {
    /// Begins a base where one is due, or takes the one that is made.
    pub(super) fn advance_base(&mut self) -> Result<(), String> {
        if let Some(base) = self.base.take_if(|base| base.is_finished()) {
            return self.begin_generation(base);
        }
        let mut began = Reading::now(self.clock);
        let is_set_back = self.is_set_back(began.wall);
        let is_due = match &self.live {
            None => true,
            Some(live) => {
                let age = began.since(&live.began, Duration::MAX);
                is_set_back || !self.settings.once && age >= self.settings.base_every
            }
        };
        let may_try = is_past(self.base_tried, RETRY_INTERVAL)
            && is_past(self.base_failed, BASE_RETRY_INTERVAL);
        if self.base.is_some() || !is_due || !may_try {
            return Ok(());
        }
        self.base_tried = Some(Instant::now());
        let mut epoch = self.epoch;
        if is_set_back {
            epoch = epoch.saturating_add(1);
            tracing::warn!(
                clock_time = rfc3339::format(began.wall),
                newest_moment = rfc3339::format(self.last_time),
                "the clock was set back behind the newest moment of the copy: a new generation begins with the time that it says now"
            );
        } else {
            // The names of two generations differ.
            began.wall = self.now().plus_nanos(1);
            self.last_time = began.wall;
        }
        let directory = self.directory.path();
        self.base = Some(BaseJob::start(&self.source, directory, began, epoch)?);
        Ok(())
    }

    /// Whether the clock was set back behind the newest moment, and stays there.
    fn is_set_back(&mut self, wall: Timestamp) -> bool {
        let is_behind = self.last_time.since(wall) > CLOCK_BEHIND_MAX;
        self.behind = is_behind.then(|| self.behind.unwrap_or_else(Instant::now));
        (self.behind).is_some_and(|behind| behind.elapsed() >= RETRY_INTERVAL)
    }

    /// Goes over to a generation whose base was made.
    fn begin_generation(&mut self, base: BaseJob) -> Result<(), String> {
        // The older one gets what it still can.
        let older = self.cut();
        self.log_failure(older)?;
        let new = base.finish(&self.source, self.end.clone())?;
        let generation = &new.name;
        tracing::info!(
            generation,
            bytes = new.base_bytes,
            "the base of a generation is whole"
        );
        self.report.bases = self.report.bases.saturating_add(1);
        let transaction = new.transaction;
        if new.epoch > self.epoch {
            (self.epoch, self.last_time) = (new.epoch, new.began.wall);
        }
        let live = Live::new(
            &new.path,
            &new.name,
            (&new.manifest_sha256, new.epoch, new.began),
            new.tail,
        );
        let end = live.end().clone();
        (self.live, self.look) = (Some(live), None);
        self.full.end();
        self.end = Some(end.clone());
        failpoint::pass("backup-begun");
        let noted = note_newest(self.directory.path(), &end);
        // All since the base, before its transaction ends.
        let caught_up = self.cut();
        drop(transaction);
        caught_up?;
        self.remove_old();
        noted
    }

    /// Removes what is older than is kept.
    pub(super) fn remove_old(&mut self) {
        let now = Reading::now(self.clock);
        match self.directory.remove_old(&now, &self.settings) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "generations that are not kept any more"),
            Err(problem) => drop(self.log_failure(Err(problem))),
        }
    }
}
