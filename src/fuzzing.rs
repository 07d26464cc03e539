//! Fuzz targets of parsers that nothing outside of creditd can call. They are built for cargo-fuzz
//! and for the tests here, which replay their corpora; all others are in `tests/it/fuzz`.

/// Frames of HTTP/2, as a connection's meter follows them.
pub fn frames(bytes: &[u8]) {
    crate::server::fuzz_frames(bytes);
}

/// Price maps that "creditd rates convert" reads.
pub fn litellm(bytes: &[u8]) {
    crate::cli::fuzz_litellm(bytes);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Gives a target each file of these folders.
    fn replay(folders: &[&str], run: fn(&[u8])) {
        for folder in folders {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let files = std::fs::read_dir(&folder).unwrap();
            let given = files.map(|file| run(&std::fs::read(file.unwrap().path()).unwrap()));
            assert!(given.count() > 0, "{} is empty", folder.display());
        }
    }

    #[test]
    fn frames() {
        replay(&["fuzz/corpus/frames"], super::frames);
    }

    #[test]
    fn litellm() {
        let folders = ["fuzz/corpus/litellm", "tests/data/litellm"];
        replay(&folders, super::litellm);
    }
}
