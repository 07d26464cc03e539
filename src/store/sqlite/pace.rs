//! How long the writer's turns are. Whoever comes now waits until the current group is on disk,
//! so a group decides for at most twice as long as its commit takes: a slow disk gets large groups,
//! a fast one short waits. Slices of batches get half of a commit's time.

use std::time::Duration;

/// How long a group takes slices of batches, at least.
pub const SLICE_MIN: Duration = Duration::from_millis(1);
/// The same, at most.
pub const SLICE_MAX: Duration = Duration::from_millis(25);
/// For how many slices' time a group decides single commands: the commit is shared by many.
const DECIDING_SLICES: u32 = 4;
/// What is aimed at for the time in the queue, where a group takes less.
pub const DELAY_TARGET_MIN: Duration = Duration::from_millis(10);
/// A command counts as so many, so that shares of one count too.
const SCALE: u64 = 1_024;

/// What a group did before its commit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupWork {
    /// How many single commands it decided.
    pub(super) writes: usize,
    /// How long those took.
    pub(super) deciding: Duration,
    /// How many items of batches it decided.
    pub(super) items: usize,
    /// How long those took.
    pub(super) slices: Duration,
}

/// How long commands and commits took lately, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The time of the commands, and their number times [`SCALE`]; older ones count less.
    deciding: u64,
    decided: u64,
    /// The time of slices, within a group.
    slices: u64,
    commit: u64,
}

impl Pace {
    /// For how long a group takes slices of batches.
    pub(super) fn slice_max(&self) -> Duration {
        Duration::from_nanos(self.commit >> 1).clamp(SLICE_MIN, SLICE_MAX)
    }

    /// For how long a group decides single commands.
    pub(super) fn deciding_max(&self) -> Duration {
        self.slice_max().saturating_mul(DECIDING_SLICES)
    }

    /// Notes a group on disk: how long it took to write its rows, and to commit them.
    pub(super) fn note(&mut self, work: GroupWork, [rows, commit]: [Duration; 2]) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (writes, items) = (number(work.writes), number(work.items));
        let row = nanos(rows).checked_div(writes.saturating_add(items));
        let rows_of = |count: u64| count.saturating_mul(row.unwrap_or_default());
        let slices = nanos(work.slices).saturating_add(rows_of(items));
        self.slices = aged(self.slices).saturating_add(slices >> 3);
        self.commit = aged(self.commit).saturating_add(nanos(commit) >> 3);
        if writes > 0 {
            let deciding = nanos(work.deciding).saturating_add(rows_of(writes));
            self.deciding = aged(self.deciding).saturating_add(deciding);
            self.decided = aged(self.decided).saturating_add(writes.saturating_mul(SCALE));
        }
    }

    /// A full group of so many commands at most: how many it has, and how long it takes.
    fn full_group(&self, length_max: usize) -> (u64, u64) {
        let one = self
            .deciding
            .saturating_mul(SCALE)
            .checked_div(self.decided);
        let one = one.unwrap_or_default().max(1);
        let fit = nanos(self.deciding_max()).div_euclid(one).max(1);
        let length = fit.min(u64::try_from(length_max).unwrap_or(u64::MAX));
        let deciding = length.saturating_mul(one);
        let time = deciding.saturating_add(self.slices);
        (length, time.saturating_add(self.commit).max(1))
    }

    /// How long a command may wait in the queue while there are more than can be done: about as
    /// long as a full group takes.
    pub(super) fn delay_target(&self, length_max: usize) -> Duration {
        let (_, time) = self.full_group(length_max);
        Duration::from_nanos(time).max(DELAY_TARGET_MIN)
    }

    /// How many commands are done in that time.
    pub(super) fn queue_target(&self, length_max: usize) -> usize {
        let (length, time) = self.full_group(length_max);
        let delay = nanos(self.delay_target(length_max));
        let commands = delay.saturating_mul(length).div_euclid(time);
        usize::try_from(commands).unwrap_or(usize::MAX)
    }
}

/// What counts of a sum when the next group is added.
const fn aged(sum: u64) -> u64 {
    sum.saturating_sub(sum >> 3)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// After many groups of so many commands at 10 µs each, rows included, with a commit of so many µs.
    fn pace(commands: u32, commit: u32) -> Pace {
        let mut pace = Pace::default();
        for _ in 0..100 {
            let work = GroupWork {
                writes: usize::try_from(commands).unwrap(),
                deciding: 6 * MICRO * commands,
                ..GroupWork::default()
            };
            pace.note(work, [4 * MICRO * commands, MICRO * commit]);
        }
        pace
    }

    #[test]
    fn a_slice_takes_half_of_a_commit_within_bounds() {
        for (commit, slice_micros) in [(10, 1_000), (6_000, 3_000), (400_000, 25_000)] {
            let found = pace(100, commit).slice_max().as_micros();
            assert!(found.abs_diff(slice_micros) <= 1, "{commit}: {found}");
        }
    }

    /// A command in a group of one is as quick as one of many: the commit is not its own.
    #[test]
    fn the_queue_is_what_is_done_in_the_time_of_a_full_group() {
        for commands in [1, 300] {
            // 400 commands are decided and written in 4 ms, and committed in 400 µs: 909 in 10 ms.
            let quick = pace(commands, 400);
            assert_eq!(quick.delay_target(1_024), DELAY_TARGET_MIN);
            assert!(quick.queue_target(1_024).abs_diff(909) < 5, "{quick:?}");
            // 1,024 commands in 10.24 ms, and 20 ms to commit them.
            let slow = pace(commands, 20_000);
            let delay = slow.delay_target(1_024).as_micros();
            assert!(delay.abs_diff(30_240) < 5, "{slow:?}");
            assert!(slow.queue_target(1_024).abs_diff(1_024) < 5, "{slow:?}");
        }
    }

    #[test]
    fn nothing_known_yet_is_no_division_by_zero() {
        assert_eq!(Pace::default().delay_target(1_024), DELAY_TARGET_MIN);
        assert!(Pace::default().queue_target(1_024) >= 1_024);
    }
}
