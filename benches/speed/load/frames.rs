//! HTTP/2 frames, as bytes: what a load sends, and the heads of what it reads.

/// Bytes before each frame.
pub const HEAD_BYTES: usize = 9;
/// The longest frame that either side sends without being told of another limit.
pub const FRAME_BYTES: usize = 16_384;
/// The room for replies: as much as the protocol has.
pub const ROOM_MAX: u32 = (1 << 31) - 1;
/// The room for what a server receives before it says otherwise.
pub const ROOM_DEFAULT: u32 = 65_535;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;
const PADDED: u8 = 8;

/// Settings that matter here, by their numbers.
pub const STREAMS_MAX: u16 = 3;
pub const ROOM_OF_STREAMS: u16 = 4;
pub const FRAME_BYTES_MAX: u16 = 5;

/// What stands before a frame.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Head {
    /// The head at the beginning of some bytes, if all of it is there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        Some(Self {
            length: usize::try_from(length).unwrap_or(usize::MAX),
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & ROOM_MAX,
        })
    }

    pub fn write(&self, into: &mut Vec<u8>) {
        let length = u32::try_from(self.length).expect("a frame is small");
        into.extend_from_slice(&length.to_be_bytes()[1..]);
        into.extend_from_slice(&[self.kind, self.flags]);
        into.extend_from_slice(&self.stream.to_be_bytes());
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Neither hyper nor h2 pads; nothing here could read it.
    pub fn padded(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & PADDED != 0
    }
}

/// A frame, whole.
pub fn push(kind: u8, flags: u8, stream: u32, payload: &[u8], into: &mut Vec<u8>) {
    let head = Head {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    head.write(into);
    into.extend_from_slice(payload);
}

/// What a client says first: replies never wait for room.
pub fn hello() -> Vec<u8> {
    const PUSH: u16 = 2;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut settings = Vec::new();
    for (name, value) in [(PUSH, 0), (ROOM_OF_STREAMS, ROOM_MAX)] {
        settings.extend_from_slice(&name.to_be_bytes());
        settings.extend_from_slice(&u32::to_be_bytes(value));
    }
    push(SETTINGS, 0, 0, &settings, &mut bytes);
    more_room(ROOM_MAX - ROOM_DEFAULT, &mut bytes);
    bytes
}

/// So much more may be sent to this side of the connection.
pub fn more_room(bytes: u32, into: &mut Vec<u8>) {
    push(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes(), into);
}

/// The headers of a call to this method, such as "/creditd.v1.LedgerService/Charge".
pub struct Headers {
    /// Of a connection's first call: the server remembers them.
    pub first: Vec<u8>,
    /// Of its other calls: what was remembered, by number.
    pub next: Vec<u8>,
}

impl Headers {
    pub fn of(address: &str, method: &str) -> Self {
        // In the table that everybody has: ":method: POST" and ":scheme: http".
        let mut first = vec![0x83, 0x86];
        // To be remembered, named by their place in that table or by text.
        text(&[0x44], method, &mut first);
        text(&[0x41], address, &mut first);
        text(&[0x5f], "application/grpc", &mut first);
        text(b"\x40\x02te", "trailers", &mut first);
        Self {
            first,
            // What was remembered last has the lowest number, 62.
            next: vec![0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe],
        }
    }
}

fn text(name: &[u8], value: &str, into: &mut Vec<u8>) {
    // Longer ones would need another form of length.
    let length = u8::try_from(value.len()).expect("a header is short");
    assert!(length < 0x7f, "{value} is too long");
    into.extend_from_slice(name);
    into.push(length);
    into.extend_from_slice(value.as_bytes());
}
