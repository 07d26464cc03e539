//! Why a subcommand did not do what was asked: a sentence, an exit status, and for programs
//! an object with what is known.

use std::collections::BTreeMap;

use serde::Serialize;
use tonic::Code;

/// What kind of failure it is; scripts tell them apart by the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything that is not below.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A rule refused it: the same again is refused again.
    Refused,
    /// What it names does not exist.
    NotFound,
    /// No server answers, or it cannot now: the same again may work.
    Unavailable,
}

impl Kind {
    /// The process ends with it.
    pub(super) const fn exit_status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Unavailable => 5,
        }
    }

    /// The kind of a code of gRPC with a reason of the API's.
    pub(super) const fn of_code(code: Code) -> Self {
        match code {
            Code::NotFound => Self::NotFound,
            Code::Unavailable | Code::DeadlineExceeded => Self::Unavailable,
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The code of what no server said.
    const fn code(self) -> Code {
        match self {
            Self::Failed => Code::Unknown,
            Self::Usage => Code::InvalidArgument,
            Self::Refused => Code::FailedPrecondition,
            Self::NotFound => Code::NotFound,
            Self::Unavailable => Code::Unavailable,
        }
    }
}

/// What became of a write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was answered, and is on disk.
    Done,
    /// Nothing moved.
    NotDone,
    /// It may have moved credits or not. The same write with the same request_id is safe and
    /// shows which.
    Unknown,
}

/// A bad field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldViolation {
    pub(super) field: String,
    pub(super) reason: String,
    pub(super) description: String,
}

/// What programs read of a failure.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Details {
    /// Code of gRPC, "NOT_FOUND".
    code: String,
    /// Why, as the API names it; none where no server and no rule said it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// As people read it.
    message: String,
    /// Every variable of the API's message.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) field_violations: Vec<FieldViolation>,
    /// Only for writes, as are those below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) request_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) entry_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) hold_id: String,
    /// The call's id, under which the server's log has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) x_request_id: String,
    /// After which it is worth trying again, "1s".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) retry_delay: String,
    exit_status: u8,
}

#[derive(Serialize)]
struct Printed<'a> {
    error: &'a Details,
}

/// Why a subcommand failed.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    code: Code,
    message: String,
    pub(super) details: Box<Details>,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: kind.code(),
            message: message.into(),
            details: Box::default(),
        }
    }

    /// The command line is wrong in a way that its grammar cannot see.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The same with the code that it came with.
    pub(super) const fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The sentence that people read.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Adds to the sentence.
    pub(super) fn add(&mut self, text: &str) {
        self.message.push_str(text);
    }

    /// Puts the user's name of a thing in place of what the sentence begins with.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(rest) = self.message.strip_prefix(from) {
            self.message = format!("{to}{rest}");
        }
    }

    pub(super) const fn exit_status(&self) -> u8 {
        self.kind.exit_status()
    }

    /// On one line, for programs.
    pub(super) fn to_json(&self) -> String {
        let details = Details {
            code: code_name(self.code),
            message: self.message.clone(),
            exit_status: self.exit_status(),
            ..(*self.details).clone()
        };
        // Texts and numbers always have a form.
        serde_json::to_string(&Printed { error: &details }).unwrap_or_default()
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(Kind::Failed, message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::new(Kind::Failed, message)
    }
}

/// A code as the API's documents write it, "FAILED_PRECONDITION".
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_what_is_known_and_nothing_else() {
        let failure = Failure::usage("no");
        assert_eq!(
            failure.to_json(),
            r#"{"error":{"code":"INVALID_ARGUMENT","message":"no","exit_status":2}}"#
        );
        let mut failure =
            Failure::new(Kind::NotFound, "no such account").with_code(Code::FailedPrecondition);
        failure.add("; look");
        failure.details.outcome = Some(Outcome::NotDone);
        assert_eq!(
            failure.to_json(),
            r#"{"error":{"code":"FAILED_PRECONDITION","message":"no such account; look","outcome":"not_done","exit_status":4}}"#
        );
    }
}
