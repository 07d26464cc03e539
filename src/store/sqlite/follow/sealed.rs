//! Files of a continuous backup: a line that names the format, a line of JSON, a body, and the
//! SHA-256 of all that. Each gets its name once it is whole and on disk.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::frames::WalPosition;
use super::reading::{Boot, Reading};
use super::tail::Pending;
use crate::domain::Timestamp;
use crate::failpoint;
use crate::rfc3339;

const FORMAT: &[u8] = b"creditd backup, format 1\n";
const SHA_BYTES: usize = 32;
/// A larger file is none of ours: a segment has pages of 32 MiB, and few of one transaction more.
const FILE_BYTES_MAX: u64 = 1 << 30;
const HEADER_BYTES_MAX: usize = 64 << 10;

/// A SHA-256 in hexadecimal digits.
pub(super) type Sha = String;

/// Where a `-wal` was read up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    salt: String,
    frame: u32,
    checksum: (u32, u32),
}

impl Place {
    pub(super) fn new(position: &WalPosition) -> Self {
        Self {
            salt: hex(&position.salt),
            frame: position.frame,
            checksum: position.checksum,
        }
    }

    pub(super) fn position(&self) -> Option<WalPosition> {
        let number = u64::from_str_radix(&self.salt, 16).ok()?;
        Some(WalPosition {
            salt: number.to_be_bytes(),
            frame: self.frame,
            checksum: self.checksum,
        })
    }
}

/// Where a generation ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) generation: String,
    /// The number of its last segment; 0: it has only its base.
    pub(super) sequence: u64,
    pub(super) sha256: Sha,
    pub(super) time: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) epoch: u64,
}

/// What is known of a generation's base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) generation: String,
    /// The random bytes by which data files differ.
    pub(super) file_key: String,
    pub(super) time: String,
    /// The time since boot then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<Boot>,
    /// How often the clock had been set back: times go back from one epoch to the next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) epoch: u64,
    pub(super) page_bytes: u64,
    pub(super) base_bytes: u64,
    pub(super) base_sha256: Sha,
    pub(super) wal: Place,
    /// How the generation before it ended; None for the first one.
    pub(super) before: Option<End>,
}

impl Manifest {
    /// When the base was begun.
    pub(super) fn reading(&self) -> Result<Reading, String> {
        Ok(Reading {
            wall: time_of(&self.time)?,
            boot: self.boot.clone(),
        })
    }
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentHeader {
    pub(super) generation: String,
    pub(super) sequence: u64,
    /// The SHA-256 of the segment before it, or of the manifest.
    pub(super) previous: Sha,
    /// The moment up to which it has everything.
    pub(super) time: String,
    /// Whether it ends at that moment. Otherwise the next one goes on.
    pub(super) whole: bool,
    pub(super) frames: u64,
    pub(super) pages: u64,
    pub(super) page_bytes: u64,
    /// How many pages the file has at its end, where it is whole.
    pub(super) database_pages: u32,
    pub(super) wal: Place,
}

/// A time of a header. Those that creditd writes can be read.
pub(super) fn time_of(text: &str) -> Result<Timestamp, String> {
    rfc3339::parse(text).ok_or_else(|| format!("\"{text}\" is no time"))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(u32::from(number), 16).unwrap_or_default();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// Hashes what is written through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a file under its name with `.partial`, syncs it, and gives it its name in place of one
/// that may be there. Returns its SHA-256.
pub(super) fn write(
    path: &Path,
    header: &impl Serialize,
    pages: Option<&Pending>,
) -> std::io::Result<Sha> {
    let partial = crate::store::sqlite::backup::partial_path(path);
    let written = write_partial(&partial, header, pages).and_then(|sha| {
        failpoint::pass("backup-partial");
        std::fs::rename(&partial, path)?;
        sync_directory(path)?;
        Ok(sha)
    });
    if written.is_err() {
        // What is incomplete is useless, and takes room.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn write_partial(
    partial: &Path,
    header: &impl Serialize,
    pages: Option<&Pending>,
) -> std::io::Result<Sha> {
    let mut out = Hashing {
        inner: BufWriter::new(File::create(partial)?),
        hash: Sha256::new(),
    };
    out.write_all(FORMAT)?;
    serde_json::to_writer(&mut out, header)?;
    out.write_all(b"\n")?;
    if let Some(pending) = pages {
        let mut body = DeflateEncoder::new(&mut out, Compression::fast());
        for (page, bytes) in &pending.pages {
            body.write_all(&page.to_be_bytes())?;
            body.write_all(bytes)?;
        }
        body.finish()?;
    }
    let sha = out.hash.finalize();
    let mut inner = out.inner;
    inner.write_all(&sha)?;
    inner.flush()?;
    inner.get_ref().sync_all()?;
    Ok(hex(&sha))
}

/// Syncs the directory in which a path is.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(crate::store::sqlite::open::directory_of(path))?.sync_all()
}

/// A file whose SHA-256 is right.
pub(super) struct Sealed<H> {
    pub(super) header: H,
    pub(super) body: Vec<u8>,
    pub(super) sha256: Sha,
}

/// Reads a file whole, and checks it.
pub(super) fn read<H: DeserializeOwned>(path: &Path) -> Result<Sealed<H>, String> {
    let failed = |problem: &str| format!("{}: {problem}", path.display());
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => failed("it is missing"),
        _ => failed(&error.to_string()),
    })?;
    let mut bytes = Vec::new();
    (file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| failed(&error.to_string()))?;
    let end = bytes.len().saturating_sub(SHA_BYTES);
    let (content, sha) = bytes.split_at(end);
    if Sha256::digest(content).as_slice() != sha {
        return Err(failed("it is damaged: its SHA-256 is another"));
    }
    let sha256 = hex(sha);
    let (header, at) = header_of(content).map_err(|problem| failed(&problem))?;
    bytes.truncate(end);
    let body = bytes.split_off(at);
    Ok(Sealed {
        header,
        body,
        sha256,
    })
}

/// Reads only the header, unchecked.
pub(super) fn read_header<H: DeserializeOwned>(path: &Path) -> Result<H, String> {
    let failed = |problem: String| format!("{}: {problem}", path.display());
    let mut bytes = Vec::new();
    let limit = u64::try_from(HEADER_BYTES_MAX).unwrap_or_default();
    let read = File::open(path).and_then(|file| {
        let mut file = BufReader::new(file.take(limit));
        let mut format = vec![0; FORMAT.len()];
        file.read_exact(&mut format)?;
        bytes.append(&mut format);
        std::io::BufRead::read_until(&mut file, b'\n', &mut bytes)
    });
    read.map_err(|error| failed(error.to_string()))?;
    header_of(&bytes).map(|(header, _)| header).map_err(failed)
}

/// The header, and where the body begins.
fn header_of<H: DeserializeOwned>(bytes: &[u8]) -> Result<(H, usize), String> {
    let rest = bytes
        .strip_prefix(FORMAT)
        .ok_or("it is no file of a creditd backup of format 1")?;
    let end = rest.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or("it has no header")?;
    let header = serde_json::from_slice(rest.get(..end).unwrap_or_default());
    let header = header.map_err(|error| format!("its header is wrong ({error})"))?;
    Ok((header, end.saturating_add(FORMAT.len()).saturating_add(1)))
}
