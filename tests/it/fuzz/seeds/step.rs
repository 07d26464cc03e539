//! A call of a seed, and how it is to end.

use std::time::Duration;

use prost::Message;

use crate::fuzz::requests::call::{Call, Framing, PATHS, WHOLE};
use crate::fuzz::requests::service::WithKey;

/// A call with this request.
pub struct Step {
    pub path: &'static str,
    pub message: Vec<u8>,
    pub key: WithKey,
    pub pause: Duration,
    pub headers: Vec<(&'static str, &'static [u8])>,
    pub framing: Framing,
    pub cut: u8,
    pub accepts_gzip: bool,
    pub is_repeated: bool,
    /// The reason why it is refused; None: it is not.
    pub refused: Option<&'static str>,
}

/// A call of the method of that name.
pub fn call(method: &str, request: &impl Message) -> Step {
    let ending = format!("/{method}");
    let path = PATHS.iter().find(|path| path.ends_with(&ending));
    Step {
        path: path.unwrap(),
        message: request.encode_to_vec(),
        key: WithKey::Nothing,
        pause: Duration::ZERO,
        headers: Vec::new(),
        framing: Framing::Plain,
        cut: WHOLE,
        accepts_gzip: false,
        is_repeated: true,
        refused: None,
    }
}

impl Step {
    pub fn with(self, key: WithKey) -> Self {
        Self { key, ..self }
    }

    pub fn after(self, seconds: u64) -> Self {
        let pause = Duration::from_secs(seconds);
        Self { pause, ..self }
    }

    pub fn refused(self, reason: &'static str) -> Self {
        let refused = Some(reason);
        Self { refused, ..self }
    }

    pub fn framed(self, framing: Framing, cut: u8) -> Self {
        Self {
            framing,
            cut,
            ..self
        }
    }

    pub fn with_header(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The calls as a corpus has them, behind their options.
pub fn bytes_of(options: u8, steps: &[Step]) -> Vec<u8> {
    let mut bytes = vec![options];
    for step in steps {
        let call = Call {
            path: step.path,
            framing: step.framing,
            cut: step.cut,
            accepts_gzip: step.accepts_gzip,
            is_repeated: step.is_repeated,
            key: step.key,
            headers: step.headers.clone(),
            pause: step.pause,
            message: &step.message,
        };
        call.write(&mut bytes);
    }
    bytes
}
