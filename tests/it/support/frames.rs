//! A hostile peer: frames of HTTP/2 as bytes, over a plain TCP connection. It keeps to no rule
//! unless it is told to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

/// The settings for the number of streams, and for their window.
pub const STREAMS_MAX: u16 = 3;
pub const INITIAL_WINDOW: u16 = 4;
/// What GOAWAY says of floods.
pub const ENHANCE_YOUR_CALM: u32 = 11;

const HEAD_BYTES: usize = 9;

/// A frame, whole.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(payload.len(), kind, flags, stream);
    bytes.extend_from_slice(payload);
    bytes
}

/// What stands before a payload.
pub fn head(length: usize, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes
}

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// The header block of a call. Nothing of it is indexed: a call does not need those before it.
pub fn header_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // In the table that everybody has: ":method: POST" and ":scheme: http".
    let mut block = vec![0x83, 0x86];
    let always = [
        (":path", path),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in always.iter().chain(more) {
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block
}

/// A string of HPACK, without Huffman's code.
fn text(text: &str, into: &mut Vec<u8>) {
    match text.len() {
        length @ 0..=126 => into.push(length as u8),
        mut length => {
            into.push(127);
            length -= 127;
            while length >= 128 {
                into.push((length % 128) as u8 | 128);
                length /= 128;
            }
            into.push(length as u8);
        }
    }
    into.extend_from_slice(text.as_bytes());
}

/// HEADERS of a call; its message comes after them.
pub fn headers(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &header_block(path, more))
}

/// A call with its message.
pub fn call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let mut bytes = headers(stream, path, &[]);
    bytes.extend(frame(DATA, END_STREAM, stream, message));
    bytes
}

/// What has come so far.
#[derive(Default)]
pub struct Seen {
    /// Frames by their types.
    pub frames: BTreeMap<u8, usize>,
    /// Whole replies and refusals, by their streams: how many bytes of DATA.
    pub ended: BTreeMap<u32, usize>,
    data: BTreeMap<u32, usize>,
    /// How many streams it may have, each time that it was told, and how many SETTINGS it has to
    /// acknowledge in all.
    pub streams_max: Vec<u32>,
    pub settings: usize,
    /// The code and the text of the last GOAWAY, and when the first one came.
    pub go_away: Option<(u32, String)>,
    pub told: Option<Instant>,
    /// When the connection ended.
    pub end: Option<Instant>,
}

/// A connection that says what it likes.
pub struct Peer {
    writer: OwnedWriteHalf,
    /// None where it reads.
    unread: Option<OwnedReadHalf>,
    seen: watch::Receiver<Seen>,
}

impl Peer {
    /// Connects, says hello with these settings, and reads what comes.
    pub async fn connect(address: &str, with: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(address, with).await;
        let reader = peer.unread.take().unwrap();
        let (sender, seen) = watch::channel(Seen::default());
        tokio::spawn(read(reader, sender));
        peer.seen = seen;
        peer
    }

    /// Connects, says hello, and never reads.
    pub async fn silent(address: &str, with: &[(u16, u32)]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that little of what it does not read fits into the system.
        socket.set_recv_buffer_size(65_536).unwrap();
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let mut peer = Self {
            writer,
            unread: Some(reader),
            seen: watch::channel(Seen::default()).1,
        };
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(settings(with));
        assert!(peer.send(&hello).await);
        peer
    }

    /// Sends bytes; whether the connection took them all, within a second.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(Duration::from_secs(1), self.writer.write_all(bytes));
        matches!(sent.await, Ok(Ok(())))
    }

    /// Sends the same again and again, until the connection does not take it; how often it did.
    pub async fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
        for sent in 0..times {
            if self.seen.borrow().end.is_some() || !self.send(bytes).await {
                return sent;
            }
        }
        times
    }

    /// What has come so far.
    pub fn seen(&self) -> watch::Ref<'_, Seen> {
        self.seen.borrow()
    }

    /// Waits until what has come is enough; whether it came within a bound.
    pub async fn sees(&mut self, enough: impl FnMut(&Seen) -> bool) -> bool {
        self.sees_within(PATIENCE, enough).await
    }

    pub async fn sees_within(
        &mut self,
        bound: Duration,
        enough: impl FnMut(&Seen) -> bool,
    ) -> bool {
        let wait = tokio::time::timeout(bound, self.seen.wait_for(enough));
        matches!(wait.await, Ok(Ok(_)))
    }
}

/// Reads frames to the end of the connection, and acknowledges nothing.
async fn read(mut reader: OwnedReadHalf, seen: watch::Sender<Seen>) {
    let mut bytes = Vec::new();
    loop {
        while let Some((kind, flags, stream, payload)) = split(&mut bytes) {
            seen.send_modify(|seen| seen.note(kind, flags, stream, &payload));
        }
        let mut more = [0; 16_384];
        match reader.read(&mut more).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&more[..read]),
            Ok(0) | Err(_) => break,
        }
    }
    seen.send_modify(|seen| seen.end = Some(Instant::now()));
    // What the receiver has stays as it is.
    seen.closed().await;
}

type Frame = (u8, u8, u32, Vec<u8>);

/// Takes the first frame from some bytes, once it is there whole.
fn split(bytes: &mut Vec<u8>) -> Option<Frame> {
    let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD_BYTES>()?;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if bytes.len() < HEAD_BYTES + length {
        return None;
    }
    let payload = bytes[HEAD_BYTES..HEAD_BYTES + length].to_vec();
    bytes.drain(..HEAD_BYTES + length);
    Some((kind, flags, u32::from_be_bytes(stream), payload))
}

impl Seen {
    fn note(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        *self.frames.entry(kind).or_default() += 1;
        if kind == DATA {
            *self.data.entry(stream).or_default() += payload.len();
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            let bytes = self.data.remove(&stream).unwrap_or_default();
            self.ended.insert(stream, bytes);
        }
        if kind == SETTINGS && flags & ACK == 0 {
            self.settings += 1;
            for setting in payload.chunks(6) {
                if let Some(value) = setting.strip_prefix(&STREAMS_MAX.to_be_bytes()) {
                    let value = u32::from_be_bytes(value.try_into().unwrap());
                    self.streams_max.push(value);
                }
            }
        }
        if kind == GO_AWAY {
            let code = u32::from_be_bytes(*payload[4..].first_chunk().unwrap());
            let text = String::from_utf8_lossy(&payload[8..]).into_owned();
            self.go_away = Some((code, text));
            self.told.get_or_insert_with(Instant::now);
        }
    }

    /// How many frames of a type have come.
    pub fn count(&self, kind: u8) -> usize {
        self.frames.get(&kind).copied().unwrap_or_default()
    }
}
