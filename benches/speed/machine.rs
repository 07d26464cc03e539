//! What is known about the machine, and what a process has used of it, where the system
//! says so.

use std::path::Path;

use serde::Serialize;

/// Nanoseconds in one tick of the processor times in /proc: Linux tells programs of 100
/// a second, whatever it uses itself.
const TICK_NANOS: u64 = 10_000_000;

/// Where the figures are from.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub processors: usize,
    pub processor: Option<String>,
    pub kernel: Option<String>,
    /// Of the directory with the data file.
    pub file_system: Option<String>,
}

impl Machine {
    pub fn of(directory: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(": ")?.1.to_owned())
        });
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            processor,
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            file_system: read("/proc/self/mountinfo")
                .and_then(|mounts| file_system(&mounts, directory)),
        }
    }

    /// Whether a data file there would not be on a disk.
    pub fn in_memory(&self) -> bool {
        matches!(self.file_system.as_deref(), Some("tmpfs" | "ramfs"))
    }
}

/// The kind of file system that holds a directory: of the longest mount point above it,
/// the one that was mounted last.
fn file_system(mounts: &str, directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let point = line.split(' ').nth(4)?;
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        directory.starts_with(point).then_some((point.len(), kind))
    });
    let longest = mounts.max_by_key(|(length, _)| *length);
    longest.map(|(_, kind)| kind.to_owned())
}

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub processor_nanos: u64,
    pub written_bytes: u64,
}

impl Used {
    /// None where the system does not say.
    pub fn by(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may have spaces in it.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let user: u64 = fields.get(11)?.parse().ok()?;
        let system: u64 = fields.get(12)?.parse().ok()?;
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "))?;
        Some(Self {
            processor_nanos: (user + system) * TICK_NANOS,
            written_bytes: written.parse().ok()?,
        })
    }

    /// What was used from one look to the next.
    pub fn between(begin: Option<Self>, end: Option<Self>) -> Option<Self> {
        let (begin, end) = (begin?, end?);
        Some(Self {
            processor_nanos: end.processor_nanos.saturating_sub(begin.processor_nanos),
            written_bytes: end.written_bytes.saturating_sub(begin.written_bytes),
        })
    }
}

/// Processor time of a process's threads, to the nanosecond: for short times. Those of
/// threads that have ended are not in it.
pub fn processor_nanos(pid: u32) -> Option<u64> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat"));
        // A thread may end meanwhile.
        let text = text.unwrap_or_default();
        let used = text
            .split(' ')
            .next()
            .and_then(|used| used.parse::<u64>().ok());
        nanos += used.unwrap_or_default();
    }
    Some(nanos).filter(|nanos| *nanos > 0)
}

/// Memory of a process that is in RAM.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}
