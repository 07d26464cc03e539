//! A call as a fuzzer writes it: which method, how its message is framed and cut in pieces, its
//! metadata, and how much time passes before.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderName, HeaderValue, Request};

use super::body::Pieces;
use super::service::WithKey;
use crate::fuzz::input::Input;

/// The methods by their numbers in a corpus: new ones are added at the end.
pub const PATHS: &[&str] = &[
    "/creditd.v1.PricingService/Estimate",
    "/creditd.v1.PricingService/BatchEstimate",
    "/creditd.v1.PricingService/GetRateCard",
    "/creditd.v1.LedgerService/Grant",
    "/creditd.v1.LedgerService/Charge",
    "/creditd.v1.LedgerService/BatchCharge",
    "/creditd.v1.LedgerService/Refund",
    "/creditd.v1.LedgerService/Hold",
    "/creditd.v1.LedgerService/ExtendHold",
    "/creditd.v1.LedgerService/SettleHold",
    "/creditd.v1.LedgerService/ReleaseHold",
    "/creditd.v1.LedgerService/GetHold",
    "/creditd.v1.LedgerService/ListHolds",
    "/creditd.v1.LedgerService/ListEntries",
    "/creditd.v1.LedgerService/GetBalance",
    "/creditd.v1.LedgerService/WatchBalance",
    "/creditd.v1.LedgerService/RevokeGrant",
    "/creditd.v1.LedgerService/GetAccount",
    "/creditd.v1.LedgerService/ListAccounts",
    "/creditd.v1.LedgerService/UpdateAccount",
    "/creditd.v1.AdminService/PublishRateCard",
    "/creditd.v1.AdminService/ListRateCards",
    "/creditd.v1.AdminService/WithdrawRateCard",
    "/creditd.v1.AdminService/CreateKey",
    "/creditd.v1.AdminService/ListKeys",
    "/creditd.v1.AdminService/RevokeKey",
    "/creditd.v1.AdminService/ListAdminEvents",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/creditd.v1.AdminService/ReloadConfig",
];

/// Metadata that a call may have.
pub const HEADERS: &[&str] = &[
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "x-request-id",
    "authorization",
    "content-type",
    "te",
    "user-agent",
    "x-note-bin",
];

/// How a message is sent, by numbers in a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As a client sends it.
    Plain,
    /// The same, compressed.
    Gzip,
    /// It says that it is compressed, and holds whatever the fuzzer says.
    SaysGzip,
    /// The prefix too is the fuzzer's.
    Raw,
    /// The message twice.
    Twice,
    /// Its prefix says more than comes.
    Short,
    /// No bytes at all.
    Empty,
    /// It says that it is compressed, and metadata does not.
    FlagAlone,
}

impl Framing {
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Gzip,
        Self::SaysGzip,
        Self::Raw,
        Self::Twice,
        Self::Short,
        Self::Empty,
        Self::FlagAlone,
    ];
}

/// Where a body is cut, by numbers in a corpus.
pub const WHOLE: u8 = 0;
/// Behind its prefix.
pub const AT_MESSAGE: u8 = 1;
pub const IN_HALVES: u8 = 2;
/// Its first bytes one by one.
pub const BYTEWISE: u8 = 3;

/// See the module.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub path: &'static str,
    pub framing: Framing,
    pub cut: u8,
    pub accepts_gzip: bool,
    pub is_repeated: bool,
    pub key: WithKey,
    pub headers: Vec<(&'static str, &'a [u8])>,
    /// How much time passes before it.
    pub pause: Duration,
    pub message: &'a [u8],
}

fn pick<T: Copy>(all: &[T], number: u8) -> T {
    all[usize::from(number) % all.len()]
}

impl<'a> Call<'a> {
    pub fn read(input: &mut Input<'a>) -> Self {
        let path = input.byte();
        let form = input.byte();
        let metadata = input.byte();
        let pause = u64::from(input.byte());
        let path = match path {
            u8::MAX => "/creditd.v1.LedgerService/Nothing",
            number => pick(PATHS, number),
        };
        let headers = (0..metadata >> 4 & 3).map(|_| {
            let name = pick(HEADERS, input.byte());
            (name, input.short())
        });
        Self {
            path,
            framing: pick(&Framing::ALL, form & 7),
            cut: form >> 3 & 3,
            accepts_gzip: form & 0x20 != 0,
            is_repeated: form & 0x40 != 0,
            key: pick(&WithKey::ALL, metadata & 7),
            headers: headers.collect(),
            pause: Duration::from_millis(pause.pow(4)),
            message: input.long(),
        }
    }

    /// The same in a corpus.
    #[cfg(test)]
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let at = |place: Option<usize>| u8::try_from(place.unwrap()).unwrap();
        bytes.push(at(PATHS.iter().position(|path| *path == self.path)));
        let framing = at(Framing::ALL.iter().position(|one| *one == self.framing));
        let flags = u8::from(self.accepts_gzip) << 5 | u8::from(self.is_repeated) << 6;
        bytes.push(framing | self.cut << 3 | flags);
        let key = at(WithKey::ALL.iter().position(|one| *one == self.key));
        bytes.push(key | u8::try_from(self.headers.len()).unwrap() << 4);
        let pause = (0..=u8::MAX).find(|n| u128::from(*n).pow(4) >= self.pause.as_millis());
        bytes.push(pause.unwrap());
        for (name, value) in &self.headers {
            bytes.push(at(HEADERS.iter().position(|header| header == name)));
            bytes.push(u8::try_from(value.len()).unwrap());
            bytes.extend_from_slice(value);
        }
        let length = u16::try_from(self.message.len()).unwrap();
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(self.message);
    }

    /// Whether it is what a client's library would send.
    pub fn is_ordinary(&self) -> bool {
        matches!(self.framing, Framing::Plain | Framing::Gzip) && self.headers.is_empty()
    }

    /// The request; None where a value is none that HTTP has.
    pub fn request(&self) -> Option<Request<Pieces>> {
        let mut request = Request::post(format!("http://x{}", self.path));
        let mut header = |name: &'static str, value: HeaderValue| {
            let headers = request.headers_mut().unwrap();
            headers.append(HeaderName::from_static(name), value);
        };
        if !self.headers.iter().any(|(name, _)| *name == "content-type") {
            header("content-type", HeaderValue::from_static("application/grpc"));
        }
        if matches!(self.framing, Framing::Gzip | Framing::SaysGzip) {
            header("grpc-encoding", HeaderValue::from_static("gzip"));
        }
        if self.accepts_gzip {
            header("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        }
        if let Some(bearer) = self.key.bearer() {
            header("authorization", HeaderValue::from_static(bearer));
        }
        for (name, value) in &self.headers {
            header(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(request.body(Pieces::new(self.pieces())).unwrap())
    }

    fn pieces(&self) -> Vec<Bytes> {
        let body = Bytes::from(self.body());
        let length = body.len();
        let ends: Vec<usize> = match self.cut {
            AT_MESSAGE => vec![5],
            IN_HALVES => vec![length / 2],
            BYTEWISE => (1..16).collect(),
            _ => Vec::new(),
        };
        let mut begin = 0;
        let mut pieces = Vec::new();
        for end in ends.into_iter().chain([length]) {
            let end = end.min(length);
            pieces.push(body.slice(begin..end));
            begin = end;
        }
        match self.cut {
            WHOLE if length == 0 => Vec::new(),
            _ => pieces,
        }
    }

    fn body(&self) -> Vec<u8> {
        let message = self.message;
        match self.framing {
            Framing::Plain => frame(0, message),
            Framing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(message).unwrap();
                frame(1, &encoder.finish().unwrap())
            }
            Framing::SaysGzip | Framing::FlagAlone => frame(1, message),
            Framing::Raw => message.to_vec(),
            Framing::Twice => [frame(0, message), frame(0, message)].concat(),
            Framing::Short => {
                let mut body = frame(0, message);
                body[4] = body[4].wrapping_add(1);
                body
            }
            Framing::Empty => Vec::new(),
        }
    }
}

/// A message behind its prefix.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag], length.to_be_bytes().as_slice(), message].concat()
}
