//! What became of a command, a batch or a read, and when: an answer of a store brings it, as far
//! as the store tells. Nobody decides by it.

use std::sync::Arc;
use std::time::Instant;

/// So many groups of a batch are named; the others are counted.
pub const GROUPS_NAMED_MAX: usize = 32;

/// One command, batch or read that a store has answered.
#[derive(Clone, Debug)]
pub struct StoreCall {
    /// "read" or "write".
    pub operation: &'static str,
    /// When it was queued.
    pub queued: Instant,
    /// What came then.
    pub stages: Stages,
}

/// What came after the queue.
#[derive(Clone, Debug)]
pub struct Stages {
    /// When it was taken from the queue, or refused there.
    pub taken: Instant,
    /// When it was decided or read; None: it was not.
    pub decided: Option<Instant>,
    /// The groups in which it was.
    pub groups: Groups,
}

impl Stages {
    /// Taken from the queue then.
    #[must_use]
    pub const fn taken(taken: Instant) -> Self {
        Self {
            taken,
            decided: None,
            groups: Groups {
                groups: Vec::new(),
                left_out: 0,
            },
        }
    }

    /// The same, decided or read by then.
    #[must_use]
    pub fn decided(self, decided: Instant) -> Self {
        Self {
            decided: Some(decided),
            ..self
        }
    }

    /// When its last group had ended.
    #[must_use]
    pub fn committed(&self) -> Option<Instant> {
        Some(self.groups.last()?.ended)
    }
}

/// The groups of a command or of a batch, in their order: a few of them, among them the last.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: Vec<Arc<Group>>,
    /// How many more there were.
    pub left_out: u32,
}

impl Groups {
    /// It was in this group, too.
    pub fn add(&mut self, group: &Arc<Group>) {
        if self.groups.len() >= GROUPS_NAMED_MAX {
            self.groups.pop();
            self.left_out = self.left_out.saturating_add(1);
        }
        self.groups.push(Arc::clone(group));
    }

    /// Those that are named.
    #[must_use]
    pub fn named(&self) -> &[Arc<Group>] {
        &self.groups
    }

    fn last(&self) -> Option<&Group> {
        self.groups.last().map(|group| &**group)
    }
}

/// Commands that one commit made durable, or did not.
#[derive(Clone, Debug)]
pub struct Group {
    /// Counts the groups that wrote since the store was opened.
    pub number: u64,
    /// When the first command was taken.
    pub began: Instant,
    /// When all were decided.
    pub decided: Instant,
    /// When their rows were written.
    pub written: Instant,
    /// When they were durable, or undone.
    pub ended: Instant,
    /// How many there were, each item of a batch as one.
    pub commands: usize,
    /// Whether they are durable.
    pub is_durable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_groups_and_the_last_one_are_named() {
        let now = Instant::now();
        let mut groups = Groups::default();
        for number in 1..=40 {
            groups.add(&Arc::new(Group {
                number,
                began: now,
                decided: now,
                written: now,
                ended: now,
                commands: 1,
                is_durable: true,
            }));
        }
        let named = groups.named().iter().map(|group| group.number);
        let expected: Vec<_> = (1..32).chain([40]).collect();
        assert_eq!(named.collect::<Vec<_>>(), expected);
        assert_eq!(groups.left_out, 8);
    }
}
