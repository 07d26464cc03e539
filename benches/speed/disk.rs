//! What the disk itself costs, without a server: the floor under every figure.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::load::Spread;

/// A page of the data file.
const BLOCK: [u8; 8_192] = [0x5a; 8_192];
const TIMES: usize = 1_000;
/// A slow disk is measured less often.
const TIME_MAX: Duration = Duration::from_secs(3);

/// What the disk takes for 8 KiB, one after another.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Disk {
    /// A file grows by them; then fsync.
    pub append_fsync: Spread,
    /// They replace what stands in a file; then fdatasync.
    pub overwrite_fdatasync: Spread,
}

impl Disk {
    pub fn measure(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join("disk");
        let mut file = File::create(&path)?;
        let append_fsync = append(&mut file)?;
        let blocks = append_fsync.count;
        let overwrite_fdatasync = repeat(|number| {
            use std::os::unix::fs::FileExt as _;
            let offset = (number % blocks) * BLOCK.len();
            file.write_all_at(&BLOCK, u64::try_from(offset).unwrap_or_default())?;
            file.sync_data()
        })?;
        std::fs::remove_file(path)?;
        Ok(Self {
            append_fsync,
            overwrite_fdatasync,
        })
    }
}

/// A file grows by 8 KiB, again and again, and is synced.
pub fn append_fsync(directory: &Path) -> std::io::Result<Spread> {
    let path = directory.join("append");
    let spread = append(&mut File::create(&path)?)?;
    std::fs::remove_file(path)?;
    Ok(spread)
}

fn append(file: &mut File) -> std::io::Result<Spread> {
    repeat(|_| {
        file.write_all(&BLOCK)?;
        file.sync_all()
    })
}

fn repeat(mut step: impl FnMut(usize) -> std::io::Result<()>) -> std::io::Result<Spread> {
    let begin = Instant::now();
    let mut nanos = Vec::with_capacity(TIMES);
    while nanos.len() < TIMES && begin.elapsed() < TIME_MAX {
        let start = Instant::now();
        step(nanos.len())?;
        nanos.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(Spread::of(nanos))
}
