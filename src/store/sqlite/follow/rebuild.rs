//! Puts a base and its segments together, each checked by its SHA-256 first.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::read::DeflateDecoder;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::base::HashWriter;
use super::choose::Chosen;
use super::directory::{BASE, manifest_path, name_of, segment_path};
use super::sealed::{self, Manifest, Sealed, SegmentHeader, hex};
use crate::domain::Timestamp;
use crate::store::sqlite::backup::make_private;

pub(super) const EXCHANGED: &str =
    "it does not follow from the segment before it: it was exchanged, or is another generation's";

/// Why a file was not rebuilt.
pub(super) enum NotRebuilt {
    /// A file of the copy is wrong.
    Damaged(String),
    /// The file cannot be written.
    Unwritten(String),
}

use NotRebuilt::{Damaged, Unwritten};

/// Writes the base and the segments into a file, and makes it a data file that no server uses.
pub(super) fn rebuild(
    chosen: &Chosen,
    partial: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), NotRebuilt> {
    let unwritten = |error: &dyn std::fmt::Display| Unwritten(error.to_string());
    let file = make_private(partial).map_err(|error| unwritten(&error))?;
    let manifest = read_manifest(&chosen.path).map_err(Damaged)?;
    read_base(&chosen.path, &manifest.header, &mut |part, at| {
        file.write_all_at(part, at)
            .map_err(|error| unwritten(&error))
    })?;
    let mut previous = manifest.sha256;
    for sequence in 1..=chosen.segments {
        let segment = read_segment(&chosen.path, sequence, &previous).map_err(Damaged)?;
        let page_bytes = manifest.header.page_bytes;
        apply(&segment.header, &segment.body, page_bytes, &file).map_err(|problem| {
            let path = segment_path(&chosen.path, sequence);
            Damaged(format!("{}: {problem}", path.display()))
        })?;
        previous = segment.sha256;
        progress(sequence, chosen.segments);
    }
    file.sync_all().map_err(|error| unwritten(&error))?;
    drop(file);
    let finish = || -> rusqlite::Result<()> {
        let connection = Connection::open(partial)?;
        // No server uses it, and it has no -wal.
        connection.execute("UPDATE file SET in_use = 0", [])?;
        connection.close().map_err(|(_, error)| error)
    };
    finish().map_err(|error| unwritten(&error))
}

/// The newest moment of a generation up to which each file is right.
pub(super) fn sound_until(chosen: &Chosen) -> Option<Timestamp> {
    let manifest = read_manifest(&chosen.path).ok()?;
    let mut moment = sealed::time_of(&manifest.header.time).ok()?;
    read_base(&chosen.path, &manifest.header, &mut |_, _| Ok(())).ok()?;
    let mut previous = manifest.sha256;
    for sequence in 1..=chosen.segments {
        let Ok(segment) = read_segment(&chosen.path, sequence, &previous) else {
            break;
        };
        if segment.header.whole {
            moment = sealed::time_of(&segment.header.time).ok()?;
        }
        previous = segment.sha256;
    }
    Some(moment)
}

fn read_manifest(generation: &Path) -> Result<Sealed<Manifest>, String> {
    let path = manifest_path(generation);
    let manifest = sealed::read::<Manifest>(&path)?;
    match manifest.header.generation == name_of(generation) {
        true => Ok(manifest),
        false => Err(format!(
            "{}: it belongs to generation {}; put each file back where it was",
            path.display(),
            manifest.header.generation
        )),
    }
}

/// Reads a segment that follows from the file with that SHA-256.
fn read_segment(
    generation: &Path,
    sequence: u64,
    previous: &str,
) -> Result<Sealed<SegmentHeader>, String> {
    let path = segment_path(generation, sequence);
    let segment = sealed::read::<SegmentHeader>(&path)?;
    let header = &segment.header;
    let follows = header.generation == name_of(generation)
        && header.sequence == sequence
        && header.previous == previous;
    match follows {
        true => Ok(segment),
        false => Err(format!("{}: {EXCHANGED}", path.display())),
    }
}

/// Takes a part of a base, and where it is.
type Take<'a> = dyn FnMut(&[u8], u64) -> Result<(), NotRebuilt> + 'a;

/// Reads a base, part by part, each with where it is.
fn read_base(
    generation: &Path,
    manifest: &Manifest,
    take: &mut Take<'_>,
) -> Result<(), NotRebuilt> {
    let path = generation.join(BASE);
    let damaged = |problem: &str| Damaged(format!("{}: {problem}", path.display()));
    let mut base = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => damaged("it is missing"),
        _ => damaged(&error.to_string()),
    })?;
    let (mut hash, mut at) = (HashWriter(Sha256::new()), 0_u64);
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let bytes = base
            .read(&mut buffer)
            .map_err(|error| damaged(&error.to_string()))?;
        let part = buffer.get(..bytes).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        hash.0.update(part);
        take(part, at)?;
        at = at.saturating_add(u64::try_from(bytes).unwrap_or_default());
    }
    let is_right = at == manifest.base_bytes && hex(&hash.0.finalize()) == manifest.base_sha256;
    match is_right {
        true => Ok(()),
        false => Err(damaged("it is damaged: its SHA-256 is another")),
    }
}

/// Writes the pages of a segment into the file.
fn apply(header: &SegmentHeader, body: &[u8], page_bytes: u64, file: &File) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    if header.pages > 0 && header.page_bytes != page_bytes {
        return Err("its pages have another size".to_owned());
    }
    let mut body = DeflateDecoder::new(body);
    let mut page = vec![0_u8; usize::try_from(header.page_bytes).unwrap_or_default()];
    for _ in 0..header.pages {
        let mut number = [0_u8; 4];
        body.read_exact(&mut number).map_err(failed)?;
        body.read_exact(&mut page).map_err(failed)?;
        let before = u64::from(u32::from_be_bytes(number)).checked_sub(1);
        let before = before.ok_or("it has a page without a number")?;
        file.write_all_at(&page, before.saturating_mul(page_bytes))
            .map_err(failed)?;
    }
    if header.whole && header.database_pages > 0 {
        let bytes = u64::from(header.database_pages).saturating_mul(page_bytes);
        file.set_len(bytes).map_err(failed)?;
    }
    Ok(())
}
