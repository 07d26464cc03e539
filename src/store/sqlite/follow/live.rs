//! The generation that gets segments.

use std::path::{Path, PathBuf};

use super::directory::{Directory, manifest_path, segment_path};
use super::reading::Reading;
use super::sealed::{self, End, Manifest, Place, SegmentHeader};
use super::tail::{Pending, Tail};
use crate::domain::Timestamp;
use crate::rfc3339;

pub(super) struct Live {
    path: PathBuf,
    end: End,
    /// When its base was begun.
    pub(super) began: Reading,
    pub(super) tail: Tail,
}

impl Live {
    /// One that has its base, and no segment.
    pub(super) fn new(
        path: &Path,
        name: &str,
        (manifest_sha256, epoch, began): (&str, u64, Reading),
        tail: Tail,
    ) -> Self {
        Self {
            path: path.to_owned(),
            end: End {
                generation: name.to_owned(),
                sequence: 0,
                sha256: manifest_sha256.to_owned(),
                time: rfc3339::format(began.wall),
                epoch,
            },
            began,
            tail,
        }
    }

    /// One that another process has written, if it can be read.
    pub(super) fn again(directory: &Directory, end: &End, place: &Place) -> Result<Self, String> {
        let path = directory.path().join(&end.generation);
        let manifest = sealed::read::<Manifest>(&manifest_path(&path))?;
        // An empty -wal looks like any other one: only a frame shows that it is the same.
        let position = place.position().filter(|position| position.frame > 0);
        let position = position.ok_or("the -wal was empty when it was last followed")?;
        Ok(Self {
            path,
            end: end.clone(),
            began: manifest.header.reading()?,
            tail: Tail::behind(position),
        })
    }

    pub(super) fn generation(&self) -> &str {
        &self.end.generation
    }

    pub(super) const fn end(&self) -> &End {
        &self.end
    }

    /// Takes what was read, to be written as a segment. `time` is the moment of one that is not
    /// whole.
    pub(super) fn next_segment(&mut self, time: Timestamp) -> Segment {
        let tail = &mut self.tail;
        let is_whole = tail.whole_until.is_some();
        let sequence = self.end.sequence.saturating_add(1);
        let mut pending = tail.take();
        if is_whole {
            // A page behind the end of the file was freed.
            let behind = pending
                .pages
                .split_off(&pending.database_pages.saturating_add(1));
            drop(behind);
        }
        let page_bytes = (pending.pages.first_key_value()).map_or(0, |(_, page)| page.len());
        let header = SegmentHeader {
            generation: self.end.generation.clone(),
            sequence,
            previous: self.end.sha256.clone(),
            time: rfc3339::format(tail.whole_until.unwrap_or(time)),
            whole: is_whole,
            frames: pending.frames,
            pages: u64::try_from(pending.pages.len()).unwrap_or(u64::MAX),
            page_bytes: u64::try_from(page_bytes).unwrap_or_default(),
            database_pages: pending.database_pages,
            wal: Place::new(&tail.position),
        };
        Segment {
            path: segment_path(&self.path, sequence),
            epoch: self.end.epoch,
            header,
            pending,
        }
    }

    /// Goes on behind a segment that was written.
    pub(super) fn advance(&mut self, end: &End) {
        if end.generation == self.end.generation {
            self.end = end.clone();
            self.tail.end_writing();
        }
    }
}

/// A segment that is to be written.
pub(super) struct Segment {
    path: PathBuf,
    epoch: u64,
    pub(super) header: SegmentHeader,
    pub(super) pending: Pending,
}

impl Segment {
    /// Writes it, and returns where the generation ends with it.
    pub(super) fn write(&self) -> Result<End, String> {
        let written = sealed::write(&self.path, &self.header, Some(&self.pending));
        let sha256 = written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        Ok(End {
            generation: self.header.generation.clone(),
            sequence: self.header.sequence,
            sha256,
            time: self.header.time.clone(),
            epoch: self.epoch,
        })
    }
}
