//! One HTTP/2 connection for many calls at once, with as little as it takes: the load
//! shares the machine with the server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::frames::{self, Head, Headers};

/// How much is read at once.
const READ_BYTES: usize = 256 * 1_024;
/// After so much the server is given more room. It never waits for it.
const GIVE_ROOM_AT: u32 = 1 << 30;

/// What came for a call.
pub enum Came<'a> {
    /// A part of its reply.
    Part(&'a [u8]),
    /// Its end.
    End,
}

/// A connection whose calls are all to one method.
pub struct Connection {
    socket: TcpStream,
    headers: Headers,
    next_stream: u32,
    out: Vec<u8>,
    /// What was read and is no whole frame yet.
    read: Vec<u8>,
    read_bytes: usize,
    /// Read since the server was given more room.
    received: u32,
    /// How much the server takes: all calls together, each call, each frame.
    room: i64,
    room_of_streams: i64,
    frame_bytes: usize,
    /// How many calls at once the server takes.
    streams_max: usize,
    /// Requests that the server has no room for yet.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    stream: u32,
    request: Vec<u8>,
    sent: usize,
    room: i64,
}

impl Connection {
    /// Connects, and learns how much the server takes.
    pub fn open(address: &str, method: &str) -> Result<Self, String> {
        let mut socket = std::net::TcpStream::connect(address).map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        socket.write_all(&frames::hello()).map_err(text)?;
        let mut head = [0; frames::HEAD_BYTES];
        socket.read_exact(&mut head).map_err(text)?;
        let head = Head::read(&head).ok_or("no frame came")?;
        if head.kind != frames::SETTINGS {
            return Err("the server does not begin with its settings".to_owned());
        }
        let mut settings = vec![0; head.length];
        socket.read_exact(&mut settings).map_err(text)?;
        socket.set_nonblocking(true).map_err(text)?;
        let mut connection = Self {
            socket: TcpStream::from_std(socket),
            headers: Headers::of(address, method),
            next_stream: 1,
            out: Vec::with_capacity(READ_BYTES),
            read: vec![0; READ_BYTES],
            read_bytes: 0,
            received: 0,
            room: frames::ROOM_DEFAULT.into(),
            room_of_streams: frames::ROOM_DEFAULT.into(),
            frame_bytes: frames::FRAME_BYTES,
            streams_max: usize::MAX,
            waiting: VecDeque::new(),
        };
        connection.settle(&settings);
        Ok(connection)
    }

    /// How many calls at once the server takes.
    pub fn streams_max(&self) -> usize {
        self.streams_max
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Begins a call whose request has this many bytes, written by `write`. Its stream.
    /// [`Self::send`] sends it.
    pub fn begin(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = match stream {
            1 => &self.headers.first,
            _ => &self.headers.next,
        };
        let flags = frames::END_HEADERS;
        frames::push(frames::HEADERS, flags, stream, headers, &mut self.out);
        let bytes = i64::try_from(length).unwrap_or(i64::MAX);
        let fits = length <= self.frame_bytes && bytes <= self.room.min(self.room_of_streams);
        if fits && self.waiting.is_empty() {
            self.room -= bytes;
            let head = Head {
                length,
                kind: frames::DATA,
                flags: frames::END_STREAM,
                stream,
            };
            head.write(&mut self.out);
            write(&mut self.out);
        } else {
            let mut request = Vec::with_capacity(length);
            write(&mut request);
            self.waiting.push_back(Waiting {
                stream,
                request,
                sent: 0,
                room: self.room_of_streams,
            });
            self.use_room();
        }
        stream
    }

    /// Puts frames of waiting requests into the room there is, the oldest first.
    fn use_room(&mut self) {
        while let Some(first) = self.waiting.front_mut() {
            let rest = first.request.len() - first.sent;
            let room = usize::try_from(self.room.min(first.room)).unwrap_or_default();
            let length = rest.min(room).min(self.frame_bytes);
            if length == 0 {
                return;
            }
            let flags = if length == rest {
                frames::END_STREAM
            } else {
                0
            };
            let part = &first.request[first.sent..first.sent + length];
            frames::push(frames::DATA, flags, first.stream, part, &mut self.out);
            first.sent += length;
            let bytes = i64::try_from(length).unwrap_or(i64::MAX);
            first.room -= bytes;
            self.room -= bytes;
            if length == rest {
                self.waiting.pop_front();
            }
        }
    }

    /// Writes as much as the socket takes.
    pub fn send(&mut self) -> Result<(), String> {
        let mut written = 0;
        while written < self.out.len() {
            match self.socket.write(&self.out[written..]) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(text(error)),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    /// Reads all that is there, and tells what came for which stream.
    pub fn receive(
        &mut self,
        mut came: impl FnMut(u32, Came<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let space = &mut self.read[self.read_bytes..];
            let wanted = space.len();
            match self.socket.read(space) {
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(bytes) => {
                    self.read_bytes += bytes;
                    self.walk(&mut came)?;
                    if bytes < wanted {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(text(error)),
            }
        }
    }

    /// Goes over all whole frames that were read.
    fn walk(
        &mut self,
        came: &mut impl FnMut(u32, Came<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let read = std::mem::take(&mut self.read);
        let mut bytes = &read[..self.read_bytes];
        while let Some(head) = Head::read(bytes) {
            let Some(payload) = bytes.get(frames::HEAD_BYTES..frames::HEAD_BYTES + head.length)
            else {
                break;
            };
            bytes = &bytes[frames::HEAD_BYTES + head.length..];
            if head.padded() {
                return Err("a padded frame came".to_owned());
            }
            match head.kind {
                frames::DATA => {
                    self.received += u32::try_from(head.length).unwrap_or_default();
                    came(head.stream, Came::Part(payload))?;
                }
                frames::HEADERS => {}
                _ => self.control(&head, payload)?,
            }
            if head.ends_stream() {
                came(head.stream, Came::End)?;
            }
        }
        let rest = bytes.len();
        let begin = self.read_bytes - rest;
        self.read = read;
        self.read.copy_within(begin..begin + rest, 0);
        self.read_bytes = rest;
        if self.received >= GIVE_ROOM_AT {
            frames::more_room(self.received, &mut self.out);
            self.received = 0;
        }
        Ok(())
    }

    /// Whether something waits to be sent.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    fn control(&mut self, head: &Head, payload: &[u8]) -> Result<(), String> {
        let number = |bytes: &[u8]| {
            let bytes = bytes.first_chunk::<4>().copied().unwrap_or_default();
            u32::from_be_bytes(bytes)
        };
        let answer = head.flags & frames::ACK == 0;
        match head.kind {
            frames::SETTINGS if answer => self.settle(payload),
            frames::PING if answer => {
                frames::push(frames::PING, frames::ACK, 0, payload, &mut self.out);
            }
            frames::WINDOW_UPDATE => {
                let more = i64::from(number(payload));
                if head.stream == 0 {
                    self.room += more;
                } else {
                    let waiting = self.waiting.iter_mut();
                    for waiting in waiting.filter(|waiting| waiting.stream == head.stream) {
                        waiting.room += more;
                    }
                }
                self.use_room();
            }
            frames::RESET => return Err(format!("a call was reset, code {}", number(payload))),
            frames::GO_AWAY => {
                let words = String::from_utf8_lossy(payload.get(8..).unwrap_or_default());
                return Err(format!("the server wants no more calls: {words}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the server's settings over.
    fn settle(&mut self, settings: &[u8]) {
        for setting in settings.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            match name {
                frames::ROOM_OF_STREAMS => {
                    let change = i64::from(value) - self.room_of_streams;
                    self.room_of_streams += change;
                    for waiting in &mut self.waiting {
                        waiting.room += change;
                    }
                }
                frames::STREAMS_MAX => {
                    self.streams_max = usize::try_from(value).unwrap_or(usize::MAX);
                }
                frames::FRAME_BYTES_MAX => {
                    // Longer frames would gain nothing.
                    let value = usize::try_from(value).unwrap_or(usize::MAX);
                    self.frame_bytes = value.min(frames::FRAME_BYTES);
                }
                _ => {}
            }
        }
        frames::push(frames::SETTINGS, frames::ACK, 0, &[], &mut self.out);
        self.use_room();
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
