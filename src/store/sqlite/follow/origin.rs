//! Which data file the generations of a directory are of. They must all be of one: otherwise a
//! restore could take another ledger.

use std::path::{Path, PathBuf};

use super::directory::{manifest_path, name_of, newest_path};
use super::sealed::{self, End, Manifest};

/// Generations of several data files.
pub(super) struct Mixed {
    /// By data file, oldest first. The directory's own is the first one, where that is known.
    files: Vec<(String, Vec<String>)>,
    /// The generation that `newest` names, if it is there.
    newest: Option<String>,
}

/// Looks whether the generations are of several data files. One whose manifest is damaged does not
/// count: it cannot be restored.
pub(super) fn mixed(directory: &Path, all: &[PathBuf]) -> Option<Mixed> {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for path in all {
        let Ok(manifest) = sealed::read::<Manifest>(&manifest_path(path)) else {
            continue;
        };
        let (key, name) = (manifest.header.file_key, name_of(path));
        match files.iter_mut().find(|(known, _)| *known == key) {
            Some((_, names)) => names.push(name),
            None => files.push((key, vec![name])),
        }
    }
    if files.len() < 2 {
        return None;
    }
    let newest = sealed::read::<End>(&newest_path(directory)).ok();
    let newest = newest.map(|newest| newest.header.generation);
    let is_own = |names: &[String]| newest.as_ref().is_some_and(|name| names.contains(name));
    let newest = files
        .iter()
        .position(|(_, names)| is_own(names))
        .and_then(|own| {
            files.swap(0, own);
            newest.clone()
        });
    Some(Mixed { files, newest })
}

impl Mixed {
    /// What is wrong with a directory, and what to do.
    pub(super) fn problem(&self, directory: &Path) -> String {
        let named = |(_, names): &(String, Vec<String>)| names.join(", ");
        let which = match (&self.newest, self.files.get(1..)) {
            (Some(newest), Some(others)) => {
                let others: Vec<_> = others.iter().map(named).collect();
                format!(
                    "\"newest\" names {newest}, and these are of another file: {}; move them to a directory of their own",
                    others.join(", ")
                )
            }
            _ => {
                let files: Vec<_> = self.files.iter().map(named).collect();
                format!(
                    "nothing says which one is meant; give each a directory of its own: {}",
                    files.join(" / ")
                )
            }
        };
        format!(
            "{}: it has copies of {} data files; {which}",
            directory.display(),
            self.files.len()
        )
    }

    /// What is wrong with a generation.
    pub(super) fn problem_of(&self, generation: &Path) -> Option<String> {
        let name = name_of(generation);
        let at = self.files.iter().position(|(_, of)| of.contains(&name))?;
        match &self.newest {
            Some(_) if at == 0 => None,
            Some(newest) => Some(format!(
                "{}: it is of another data file than {newest}",
                generation.display()
            )),
            None => Some(format!(
                "{}: the directory has copies of several data files",
                generation.display()
            )),
        }
    }
}
