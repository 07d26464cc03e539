//! Frames of a `-wal`, one after another, each checked by SQLite's checksums.
//!
//! The checksum of a frame is over all frames before it, so one that follows from a position
//! proves that the `-wal` still has what was read up to there.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first four bytes of a `-wal`; the last bit says that its checksums are of big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// A place in a `-wal`: behind a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalPosition {
    pub(super) salt: [u8; 8],
    /// The number of that frame; 0: before the first one.
    pub(super) frame: u32,
    /// Its checksum; of no meaning before the first one.
    pub(super) checksum: (u32, u32),
}

/// The frames behind a position.
pub(super) struct Frames<'a> {
    wal: &'a File,
    big_endian: bool,
    pub(super) position: WalPosition,
    /// Header and page of the frame that was read last.
    frame: Vec<u8>,
}

/// What the header of a frame says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) page: u32,
    /// How many pages the file has after the commit that ends with this frame; 0: it ends none.
    pub(super) database_pages: u32,
}

impl<'a> Frames<'a> {
    /// The frames behind a position. None: the `-wal` is not that one.
    pub(super) fn behind(
        wal: &'a File,
        position: WalPosition,
        page_bytes: usize,
    ) -> std::io::Result<Option<Self>> {
        let mut header = [0_u8; WAL_HEADER_BYTES];
        if !read_whole(wal, &mut header, 0)? {
            return Ok(None);
        }
        let magic = be(&header, 0).unwrap_or_default();
        let big_endian = magic & 1 == 1;
        let mut frames = Self {
            wal,
            big_endian,
            position,
            frame: vec![0; page_bytes.saturating_add(FRAME_HEADER_BYTES)],
        };
        if position.frame > 0 {
            // After a reset the header is that of the newer frames; the older ones follow.
            return Ok((magic & !1 == MAGIC).then_some(frames));
        }
        let (summed, sum) = header.split_at(WAL_HEADER_BYTES.saturating_sub(8));
        let expected = (be(sum, 0), be(sum, 4));
        frames.position.checksum = checksum(big_endian, summed, (0, 0));
        let (first, second) = frames.position.checksum;
        let is_right = magic & !1 == MAGIC
            && (Some(first), Some(second)) == expected
            && header.get(16..24) == Some(&position.salt[..]);
        Ok(is_right.then_some(frames))
    }

    /// Reads the next frame. None: there is no other that follows.
    pub(super) fn next(&mut self) -> std::io::Result<Option<FrameHeader>> {
        let before = u64::from(self.position.frame);
        let bytes = u64::try_from(self.frame.len()).unwrap_or(u64::MAX);
        let header_bytes = u64::try_from(WAL_HEADER_BYTES).unwrap_or_default();
        let at = before.saturating_mul(bytes).saturating_add(header_bytes);
        if !read_whole(self.wal, &mut self.frame, at)? {
            return Ok(None);
        }
        let Some((header, page)) = self.frame.split_at_checked(FRAME_HEADER_BYTES) else {
            return Ok(None);
        };
        let (summed, rest) = header.split_at(8);
        let mut sum = checksum(self.big_endian, summed, self.position.checksum);
        sum = checksum(self.big_endian, page, sum);
        let is_right = rest.get(..8) == Some(&self.position.salt[..])
            && (Some(sum.0), Some(sum.1)) == (be(rest, 8), be(rest, 12));
        let found = FrameHeader {
            page: be(summed, 0).unwrap_or_default(),
            database_pages: be(summed, 4).unwrap_or_default(),
        };
        if !is_right || found.page == 0 {
            return Ok(None);
        }
        self.position.frame = self.position.frame.saturating_add(1);
        self.position.checksum = sum;
        Ok(Some(found))
    }

    /// The page of the frame that was read last.
    pub(super) fn page(&self) -> &[u8] {
        self.frame.get(FRAME_HEADER_BYTES..).unwrap_or_default()
    }
}

/// Whether so many bytes are there.
fn read_whole(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn be(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// SQLite's checksum of a multiple of eight bytes, begun with another one.
pub(super) fn checksum(big_endian: bool, bytes: &[u8], begun: (u32, u32)) -> (u32, u32) {
    let word = |bytes: &[u8; 4]| match big_endian {
        true => u32::from_be_bytes(*bytes),
        false => u32::from_le_bytes(*bytes),
    };
    let (mut first, mut second) = begun;
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    for [left, right] in pairs {
        first = first.wrapping_add(word(left)).wrapping_add(second);
        second = second.wrapping_add(word(right)).wrapping_add(first);
    }
    (first, second)
}
