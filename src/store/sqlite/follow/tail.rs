//! Reads what a `-wal` has behind a position, over its resets, and proves that nothing between
//! was missed.
//!
//! While the salt is the same, each frame follows from the one before by its checksum. After a
//! reset the frames that were not read yet are still in the file, until newer ones overwrite
//! them. SQLite's index counts commits over resets. So the commits that are found behind the
//! position, and those since the reset, must be as many as it counted: otherwise there is a gap.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::frames::{Frames, WalPosition};
use super::source::Source;
use super::wal_index::IndexHeader;
use crate::domain::Timestamp;

/// Pages that wait to be written into a segment take so many bytes at most, and while one is
/// written twice as many with those in it.
pub const PENDING_BYTES_MAX: usize = 32 << 20;
/// What is read from behind a reset takes so many bytes at most.
pub const BEHIND_RESET_BYTES_MAX: usize = 256 << 20;
/// A frame that does not follow was overwritten meanwhile: the index is then read again.
const LOOKS_MAX: usize = 8;

/// Why a look failed.
#[derive(Debug)]
pub(super) enum LookError {
    /// It cannot be proved that nothing was missed.
    Gap(String),
    /// The files cannot be read now.
    Failed(String),
}

/// What was read and is not in a segment yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The newest version of each page.
    pub(super) pages: BTreeMap<u32, Box<[u8]>>,
    pub(super) bytes: usize,
    /// How many pages the file has after the newest commit.
    pub(super) database_pages: u32,
    pub(super) frames: u64,
}

impl Pending {
    fn add(&mut self, page: u32, bytes: Box<[u8]>) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len());
        if let Some(older) = self.pages.insert(page, bytes) {
            self.bytes = self.bytes.saturating_sub(older.len());
        }
    }

    /// Adds what was read before: newer versions of pages stay.
    fn add_older(&mut self, older: Self) {
        self.frames = self.frames.saturating_add(older.frames);
        if self.database_pages == 0 {
            self.database_pages = older.database_pages;
        }
        for (page, bytes) in older.pages {
            let length = bytes.len();
            if let Entry::Vacant(vacant) = self.pages.entry(page) {
                vacant.insert(bytes);
                self.bytes = self.bytes.saturating_add(length);
            }
        }
    }
}

/// How far the `-wal` was read.
pub(super) struct Tail {
    pub(super) position: WalPosition,
    /// What the index counted there; None: that is not known, so no reset can be passed.
    change: Option<u32>,
    pub(super) pending: Pending,
    /// How many bytes of pages are in the segment that is being written.
    writing_bytes: usize,
    /// The moment up to which everything was read; None while there is more.
    pub(super) whole_until: Option<Timestamp>,
}

/// What a look found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// How many frames the `-wal` has.
    pub(super) frames: u32,
    /// Whether there are new ones.
    pub(super) has_new: bool,
}

enum Crossed {
    Yes,
    /// The `-wal` changed meanwhile.
    Again,
}

impl Tail {
    /// From where the index says that the `-wal` ends.
    pub(super) fn at(header: &IndexHeader) -> Self {
        let position = WalPosition {
            salt: header.salt,
            frame: header.frames,
            checksum: header.checksum,
        };
        Self {
            change: Some(header.change),
            ..Self::behind(position)
        }
    }

    /// From a position that another process has noted.
    pub(super) fn behind(position: WalPosition) -> Self {
        Self {
            position,
            change: None,
            pending: Pending::default(),
            writing_bytes: 0,
            whole_until: None,
        }
    }

    /// Reads what is new. `now` is a moment before this call.
    pub(super) fn look(&mut self, source: &Source, now: Timestamp) -> Result<Extent, LookError> {
        let mut has_new = false;
        for _ in 0..LOOKS_MAX {
            let header = source.header().map_err(LookError::Failed)?;
            if header.salt != self.position.salt {
                self.whole_until = None;
                has_new = true;
                match self.cross_reset(source, &header)? {
                    Crossed::Yes => {}
                    Crossed::Again => continue,
                }
            }
            if header.frames < self.position.frame {
                return Err(LookError::Gap(format!(
                    "the -wal has {} frames, and had {}",
                    header.frames, self.position.frame
                )));
            }
            has_new |= header.frames > self.position.frame;
            if !self.read_up_to(source, &header)? {
                continue;
            }
            let frames = header.frames;
            if self.position.frame < frames {
                self.whole_until = None;
                return Ok(Extent { frames, has_new });
            }
            let is_same = match frames {
                0 => self.change == Some(header.change),
                _ => self.position.checksum == header.checksum,
            };
            if !is_same {
                return Err(LookError::Gap(
                    "the -wal is not the one that was read before".to_owned(),
                ));
            }
            self.change = Some(header.change);
            self.whole_until = Some(now);
            return Ok(Extent { frames, has_new });
        }
        Err(LookError::Gap(format!(
            "frame {} of the -wal does not follow from those before it",
            self.position.frame.saturating_add(1)
        )))
    }

    /// Takes what was read, to be written.
    pub(super) fn take(&mut self) -> Pending {
        self.writing_bytes = self.pending.bytes;
        std::mem::take(&mut self.pending)
    }

    /// What was taken is written.
    pub(super) fn end_writing(&mut self) {
        self.writing_bytes = 0;
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&mut self, older: Pending) {
        self.writing_bytes = 0;
        self.pending.add_older(older);
    }

    /// Whether a segment is to be written before more can be read.
    pub(super) fn is_full(&self) -> bool {
        let bytes_max = match self.writing_bytes {
            0 => PENDING_BYTES_MAX,
            _ => PENDING_BYTES_MAX.saturating_mul(2),
        };
        self.pending.bytes.saturating_add(self.writing_bytes) >= bytes_max
    }

    /// Reads frames up to that of the index, or until enough pages wait. False: one of them does
    /// not follow.
    fn read_up_to(&mut self, source: &Source, header: &IndexHeader) -> Result<bool, LookError> {
        if self.position.frame >= header.frames {
            return Ok(true);
        }
        let Some(mut frames) = frames(source, self.position)? else {
            return Ok(false);
        };
        while self.position.frame < header.frames && !self.is_full() {
            self.whole_until = None;
            let Some(frame) = frames.next().map_err(unreadable)? else {
                return Ok(false);
            };
            self.pending.add(frame.page, frames.page().into());
            if frame.database_pages > 0 {
                self.pending.database_pages = frame.database_pages;
                self.change = self.change.map(|change| change.wrapping_add(1));
            }
            self.position = frames.position;
        }
        Ok(true)
    }

    /// Goes on behind a reset of the `-wal`, if nothing before it was missed.
    fn cross_reset(&mut self, source: &Source, header: &IndexHeader) -> Result<Crossed, LookError> {
        let gap = |problem: &str| Err(LookError::Gap(problem.to_owned()));
        let Some(change) = self.change else {
            return gap("the -wal was reset while nobody followed it");
        };
        let (mut found, mut found_commits) = (Pending::default(), 0_u32);
        if let Some(mut frames) = frames(source, self.position)? {
            // Those behind the newest commit were never committed.
            let (mut open, mut open_bytes) = (Vec::new(), 0_usize);
            while let Some(frame) = frames.next().map_err(unreadable)? {
                open.push((frame.page, Box::from(frames.page())));
                open_bytes = open_bytes.saturating_add(frames.page().len());
                if found.bytes.saturating_add(open_bytes) > BEHIND_RESET_BYTES_MAX {
                    return gap("too much was written before the -wal was reset");
                }
                if frame.database_pages > 0 {
                    found_commits = found_commits.saturating_add(1);
                    found.database_pages = frame.database_pages;
                    for (page, bytes) in open.drain(..) {
                        found.add(page, bytes);
                    }
                    open_bytes = 0;
                }
            }
        }
        let begin = WalPosition {
            salt: header.salt,
            frame: 0,
            checksum: (0, 0),
        };
        let mut commits_since = 0_u32;
        if header.frames > 0 {
            let Some(mut frames) = frames(source, begin)? else {
                return Ok(Crossed::Again);
            };
            while frames.position.frame < header.frames {
                match frames.next().map_err(unreadable)? {
                    None => return Ok(Crossed::Again),
                    Some(frame) if frame.database_pages > 0 => {
                        commits_since = commits_since.wrapping_add(1);
                    }
                    Some(_) => {}
                }
            }
        }
        let change_at_reset = header.change.wrapping_sub(commits_since);
        let missed = change_at_reset.wrapping_sub(change);
        if missed != found_commits {
            return gap("the -wal was reset before all of it was read");
        }
        if found_commits > 0 {
            self.pending.database_pages = found.database_pages;
        }
        for (page, bytes) in found.pages {
            self.pending.add(page, bytes);
        }
        self.position = begin;
        self.change = Some(change_at_reset);
        Ok(Crossed::Yes)
    }
}

fn frames<'a>(source: &'a Source, position: WalPosition) -> Result<Option<Frames<'a>>, LookError> {
    Frames::behind(&source.wal, position, source.page_bytes).map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> LookError {
    LookError::Failed(format!("the -wal cannot be read: {error}"))
}
