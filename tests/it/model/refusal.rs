//! What the model refuses, and with what.

use std::collections::BTreeMap;

use tonic::Code;

use crate::support::refusal::Refusal;

/// Bad fields: path and reason of each. A path may name several, `a|b`, where
/// nothing says which of them is told.
#[derive(Debug, Default)]
pub struct FieldViolations(Vec<(String, &'static str)>);

impl FieldViolations {
    pub fn add(&mut self, path: &str, reason: &'static str) {
        self.0.push((path.to_owned(), reason));
    }

    pub fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|(other, _)| other == path)
    }

    /// Adds what is wrong with labels, attributes or meters.
    pub fn pairs(&mut self, path: &str, pairs: &BTreeMap<String, String>) {
        if pairs.len() > 16 {
            self.add(path, "TOO_MANY_ITEMS");
        } else if pairs
            .iter()
            .any(|(key, value)| !(1..=64).contains(&key.len()) || value.len() > 256)
        {
            self.add(path, "INVALID_LENGTH");
        }
    }

    /// The refusal of all of them.
    pub fn refusal(self) -> Refusal {
        Refusal {
            reason: self.0[0].1.to_owned(),
            fields: self
                .0
                .into_iter()
                .map(|(path, reason)| (path, reason.to_owned()))
                .collect(),
            ..refuse(Code::InvalidArgument, "", &[])
        }
    }
}

/// A refusal with the metadata that the model knows.
pub fn refuse(code: Code, reason: &str, metadata: &[(&str, String)]) -> Refusal {
    Refusal {
        code,
        message: String::new(),
        reason: reason.to_owned(),
        metadata: metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        fields: Vec::new(),
    }
}

/// A refusal by the rules.
pub fn precondition(reason: &str, metadata: &[(&str, String)]) -> Refusal {
    refuse(Code::FailedPrecondition, reason, metadata)
}

/// A refusal since something is not there.
pub fn not_found(reason: &str, key: &str, value: &str) -> Refusal {
    // Texts of the caller are repeated up to 64 bytes.
    let ends = (0..=value.len().min(64)).rev();
    let end = ends.into_iter().find(|&end| value.is_char_boundary(end));
    let cut = value[..end.unwrap()].to_owned();
    refuse(Code::NotFound, reason, &[(key, cut)])
}
