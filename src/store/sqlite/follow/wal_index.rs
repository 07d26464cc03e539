//! The header of SQLite's WAL index, which is the `-shm`.
//!
//! It is read as SQLite reads it, without a lock: it is there twice, and has a checksum. Its
//! layout is part of SQLite's WAL format, by which all processes with the file open agree.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::frames::checksum;

const HEADER_BYTES: usize = 48;
/// Over which the header's own checksum is.
const SUMMED_BYTES: usize = 40;

/// What the `-wal` has, after its newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexHeader {
    /// Counts commits, and goes on over resets of the `-wal`. It begins anew where SQLite
    /// recovers the index.
    pub(super) change: u32,
    /// The frame of the newest commit; 0: none.
    pub(super) frames: u32,
    /// As the `-wal` has it; another one after each reset.
    pub(super) salt: [u8; 8],
    /// The checksum of the newest frame.
    pub(super) checksum: (u32, u32),
}

/// Reads the header. None: it is being written, or there is none yet.
pub(super) fn read(shm: &File) -> std::io::Result<Option<IndexHeader>> {
    let mut bytes = [0_u8; HEADER_BYTES * 2];
    match shm.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8; HEADER_BYTES * 2]) -> Option<IndexHeader> {
    let (first, second) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let number = |at: usize| {
        let bytes = first.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let is_native_big_endian = cfg!(target_endian = "big");
    let sum = checksum(is_native_big_endian, first.get(..SUMMED_BYTES)?, (0, 0));
    let is_initialised = *first.get(12)? != 0;
    if first != second || !is_initialised || sum != (number(40)?, number(44)?) {
        return None;
    }
    Some(IndexHeader {
        change: number(8)?,
        frames: number(16)?,
        salt: *first.get(32..)?.first_chunk::<8>()?,
        checksum: (number(24)?, number(28)?),
    })
}
