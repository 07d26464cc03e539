//! The heads of frames, and the budget of those beside calls.

use std::time::Instant;

const HEAD_BYTES: usize = 9;
/// What a client sends before its first frame.
const PREFACE_BYTES: usize = 24;

/// No type of a frame: nothing is said of it but that it is under way.
const PREFACE: u8 = u8::MAX;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
/// No type of HTTP/2: h2 does nothing with it, as the protocol asks (RFC 9113, 4.1).
const UNKNOWN: u8 = 0xfa;
/// Where a head has its type.
const KIND_AT: usize = 3;

/// Frames beside calls (PING, SETTINGS, WINDOW_UPDATE, RST_STREAM, …) that a peer may send at
/// once.
pub const BUDGET_FRAMES_MAX: usize = 1_000;
/// How many more each second allows: a keepalive needs less than one.
pub const FRAMES_PER_SECOND: u64 = 20;
/// How many more a call allows: its reset, its windows, a probe of the bandwidth.
pub const FRAMES_PER_CALL: usize = 16;
/// So many bytes of replies allow one more: a peer opens its windows for them, and many probe
/// the bandwidth by a ping. An acknowledgement is shorter, so that a ping does not allow another.
pub const SENT_BYTES_PER_FRAME: usize = 64;

/// The frames of one connection.
pub(super) struct Frames {
    /// What is left of the payload under way, or of the preface.
    left: usize,
    /// The type and the flags of the frame under way.
    kind: u8,
    flags: u8,
    /// The head under way, and how much of it has come; most come whole.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// A header block has begun and is not whole.
    in_headers: bool,
    had_excess: bool,
    budget: Budget,
    unacknowledged: Unacknowledged,
    /// The head under way is taken for an acknowledgement of ours, and h2 does not see it.
    is_hidden: bool,
    owes_acknowledgement: bool,
}

/// Whose SETTINGS the peer has not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unacknowledged {
    /// Those that h2 begins with.
    First,
    Nothing,
    /// Those that are sent between h2's frames, which it does not know of.
    Ours,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            left: PREFACE_BYTES,
            kind: PREFACE,
            flags: 0,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            in_headers: false,
            had_excess: false,
            budget: Budget::default(),
            unacknowledged: Unacknowledged::First,
            is_hidden: false,
            owes_acknowledgement: false,
        }
    }
}

/// What some bytes amount to.
pub(super) struct Followed {
    /// How many of them are to be passed on: all, but for what comes after a frame too many.
    pub(super) bytes: usize,
    /// Whether any frame ended in them that was no part of a header block without its end.
    pub(super) ended_frame: bool,
    /// The type of a frame that was one too many.
    pub(super) excess: Option<u8>,
}

impl Frames {
    /// Follows the bytes that come next. What acknowledges SETTINGS that h2 has not sent becomes
    /// a frame of an unknown type, which it leaves alone.
    pub(super) fn follow(&mut self, bytes: &mut [u8]) -> Followed {
        let all = bytes.len();
        let mut followed = Followed {
            bytes: all,
            ended_frame: false,
            excess: None,
        };
        let mut rest = bytes;
        if self.left > 0 {
            let came = rest.len();
            let Some((_, after)) = rest.split_at_mut_checked(self.left) else {
                self.left = self.left.saturating_sub(came);
                return followed;
            };
            rest = after;
            self.end_frame(&mut followed);
        }
        // Its last frame may have ended just now, where a part of it came before.
        while !self.had_excess {
            let length = match rest.len() >= HEAD_BYTES && self.head_bytes == 0 {
                true => {
                    let Some((head, after)) = rest.split_first_chunk_mut() else {
                        return followed;
                    };
                    rest = after;
                    self.begin_frame(head)
                }
                false => match self.rest_of_head(&mut rest) {
                    Some(mut head) => self.begin_frame(&mut head),
                    None => return followed,
                },
            };
            let came = rest.len();
            match rest.split_at_mut_checked(length) {
                Some((_, after)) => {
                    rest = after;
                    self.end_frame(&mut followed);
                }
                None => {
                    self.left = length.saturating_sub(came);
                    return followed;
                }
            }
        }
        // What h2 has is whole frames: it can say GOAWAY and end in order.
        followed.bytes = all.saturating_sub(rest.len());
        followed.excess = Some(self.kind);
        followed
    }

    /// A head that comes in parts, once it is whole.
    fn rest_of_head(&mut self, bytes: &mut &mut [u8]) -> Option<[u8; HEAD_BYTES]> {
        while let Some(next) = self.head.get_mut(self.head_bytes) {
            let (byte, after) = std::mem::take(bytes).split_first_mut()?;
            *next = *byte;
            *bytes = after;
            if self.head_bytes == KIND_AT
                && self.unacknowledged == Unacknowledged::Ours
                && matches!(self.head, [0, 0, 0, SETTINGS, ..])
                // This byte leaves now, also where its flags are still to come.
                && bytes.first().is_none_or(|flags| flags & ACK != 0)
            {
                self.is_hidden = true;
                *byte = UNKNOWN;
            }
            self.head_bytes = self.head_bytes.saturating_add(1);
        }
        self.head_bytes = 0;
        Some(self.head)
    }

    /// A frame begins; how long its payload is.
    fn begin_frame(&mut self, head: &mut [u8; HEAD_BYTES]) -> usize {
        let [a, b, c, kind, flags, ..] = *head;
        (self.kind, self.flags) = (kind, flags);
        match kind {
            // What is wrong with them h2 finds itself: too many small ones, too many in a block.
            DATA | CONTINUATION => {}
            HEADERS => self.budget.add(FRAMES_PER_CALL),
            SETTINGS if self.acknowledges_ours(flags) => head[KIND_AT] = UNKNOWN,
            _ => self.had_excess = !self.budget.take(),
        }
        usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX)
    }

    /// Whether SETTINGS with these flags acknowledge those that h2 does not know of.
    fn acknowledges_ours(&mut self, flags: u8) -> bool {
        let is_hidden = std::mem::take(&mut self.is_hidden);
        if flags & ACK == 0 {
            // They say nothing, but h2, which has not seen them, cannot acknowledge them.
            self.owes_acknowledgement |= is_hidden;
            return false;
        }
        let before = std::mem::replace(&mut self.unacknowledged, Unacknowledged::Nothing);
        before == Unacknowledged::Ours
    }

    /// Whether SETTINGS of ours can be sent: one at a time, after h2's were acknowledged.
    pub(super) fn can_send_settings(&self) -> bool {
        self.unacknowledged == Unacknowledged::Nothing
    }

    /// SETTINGS of ours are sent.
    pub(super) fn sends_settings(&mut self) {
        self.unacknowledged = Unacknowledged::Ours;
    }

    /// Whether SETTINGS of the peer are to be acknowledged; it says so once.
    pub(super) fn take_owed_acknowledgement(&mut self) -> bool {
        std::mem::take(&mut self.owes_acknowledgement)
    }

    fn end_frame(&mut self, followed: &mut Followed) {
        self.left = 0;
        if matches!(self.kind, HEADERS | CONTINUATION) {
            self.in_headers = self.flags & END_HEADERS == 0;
        }
        followed.ended_frame |= !self.in_headers;
    }

    /// So many bytes were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.budget.add(bytes.div_euclid(SENT_BYTES_PER_FRAME));
    }

    /// Whether there was a frame too many.
    pub(super) const fn had_excess(&self) -> bool {
        self.had_excess
    }

    /// Whether the next byte begins a frame of any type.
    pub(super) const fn is_between(&self) -> bool {
        self.left == 0 && self.head_bytes == 0 && !self.in_headers
    }

    /// Whether a frame, or a header block, has begun and is not whole. A frame of a message may
    /// be: its time is that of its call.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.in_headers || self.head_bytes > 0 || (self.left > 0 && self.kind != DATA)
    }
}

/// How frames are called.
pub(super) const fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        2 => "PRIORITY",
        3 => "RST_STREAM",
        4 => "SETTINGS",
        5 => "PUSH_PROMISE",
        6 => "PING",
        7 => "GOAWAY",
        8 => "WINDOW_UPDATE",
        _ => "frames of unknown types",
    })
}

#[cfg(any(test, fuzzing))]
pub(in crate::server) mod fuzz;

/// A token bucket.
struct Budget {
    left: usize,
    refilled: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: BUDGET_FRAMES_MAX,
            refilled: Instant::now(),
        }
    }
}

impl Budget {
    fn add(&mut self, frames: usize) {
        self.left = self.left.saturating_add(frames).min(BUDGET_FRAMES_MAX);
    }

    /// Whether there is room for one more. The clock is read only where there seems to be none.
    fn take(&mut self) -> bool {
        if self.left == 0 {
            self.refill(Instant::now());
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let frames = millis.saturating_mul(FRAMES_PER_SECOND).div_euclid(1_000);
        if frames > 0 {
            self.refilled = now;
            self.add(usize::try_from(frames).unwrap_or(usize::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        bytes.extend(vec![0xff; payload]);
        bytes
    }

    fn begun() -> Frames {
        let mut frames = Frames::default();
        follow(&mut frames, &[0; PREFACE_BYTES]);
        frames
    }

    fn follow(frames: &mut Frames, bytes: &[u8]) -> Followed {
        frames.follow(&mut bytes.to_vec())
    }

    /// A text of frames, each with whether something is unfinished after it.
    #[test]
    fn frames_are_followed_wherever_reads_end() {
        let parts = [
            (frame(4, 0, 12), false),
            (frame(HEADERS, 0, 40), true),
            (frame(CONTINUATION, 0, 0), true),
            (frame(CONTINUATION, END_HEADERS, 9), false),
            (frame(DATA, 0, 500), false),
            (frame(PING, 0, 8), false),
            (frame(HEADERS, END_HEADERS, 30), false),
        ];
        for size in [1, 2, 7, 9, 10, 1_000] {
            let mut frames = begun();
            for (bytes, unfinished) in &parts {
                for piece in bytes.chunks(size) {
                    let followed = follow(&mut frames, piece);
                    assert_eq!(followed.bytes, piece.len());
                    assert_eq!(followed.excess, None);
                }
                assert_eq!(frames.is_unfinished(), *unfinished, "{size}: {bytes:?}");
            }
        }
    }

    /// What acknowledges our SETTINGS comes to h2 as a frame that it does not know, wherever
    /// reads end; what acknowledges its own, or nothing, as it is.
    #[test]
    fn acknowledgements_of_our_settings_are_hidden() {
        let ack = frame(SETTINGS, ACK, 0);
        let hidden = frame(UNKNOWN, ACK, 0);
        for size in [1, 2, 3, 4, 5, 8, 9, 10, 1_000] {
            let mut frames = begun();
            let pass = |frames: &mut Frames, bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                for piece in bytes.chunks_mut(size) {
                    assert_eq!(frames.follow(piece).bytes, piece.len());
                }
                bytes
            };
            assert!(!frames.can_send_settings(), "h2's come first");
            assert_eq!(pass(&mut frames, &ack), ack);
            for _ in 0..3 {
                assert!(frames.can_send_settings());
                frames.sends_settings();
                assert!(!frames.can_send_settings(), "one at a time");
                let ping = frame(PING, 0, 8);
                assert_eq!(pass(&mut frames, &ping), ping);
                assert_eq!(pass(&mut frames, &ack), hidden, "{size}");
            }
            assert_eq!(pass(&mut frames, &ack), ack, "of nothing: h2 is to see it");
        }
    }

    /// SETTINGS without any setting look like an acknowledgement until their flags come.
    #[test]
    fn empty_settings_are_acknowledged_whoever_sees_them() {
        for (at, is_owed) in [(3, false), (4, true), (5, false), (9, false)] {
            let mut frames = begun();
            follow(&mut frames, &frame(SETTINGS, ACK, 0));
            frames.sends_settings();
            let empty = frame(SETTINGS, 0, 0);
            let mut came = empty.clone();
            let (first, last) = came.split_at_mut(at);
            frames.follow(first);
            frames.follow(last);
            let is_seen = came == empty;
            assert_eq!(
                (frames.take_owed_acknowledgement(), is_seen),
                (is_owed, !is_owed),
                "{at}"
            );
            assert!(!frames.take_owed_acknowledgement() && !frames.can_send_settings());
            let mut ack = frame(SETTINGS, ACK, 0);
            frames.follow(&mut ack);
            assert_eq!(ack, frame(UNKNOWN, ACK, 0));
        }
    }

    /// The frame that was one too many may come in parts.
    #[test]
    fn excess_is_told_at_the_end_of_its_frame() {
        let mut frames = begun();
        frames.budget.left = 0;
        let ping = frame(PING, 0, 8);
        let (first, last) = ping.split_at(12);
        assert_eq!(follow(&mut frames, first).excess, None);
        let followed = follow(&mut frames, &[last, &ping].concat());
        assert_eq!((followed.bytes, followed.excess), (5, Some(PING)));
    }

    #[test]
    fn half_a_frame_is_unfinished_unless_it_is_of_a_message() {
        for (bytes, unfinished) in [
            (&frame(PING, 0, 8)[..1], true),
            (&frame(PING, 0, 8)[..10], true),
            (&frame(DATA, 0, 8)[..8], true),
            (&frame(DATA, 0, 8)[..9], false),
            (&frame(DATA, 0, 8)[..], false),
        ] {
            let mut frames = begun();
            follow(&mut frames, bytes);
            assert_eq!(frames.is_unfinished(), unfinished, "{bytes:?}");
        }
    }

    #[test]
    fn one_frame_too_many_is_the_last_that_is_passed_on() {
        let mut frames = begun();
        let ping = frame(PING, 0, 8);
        let many = ping.repeat(BUDGET_FRAMES_MAX);
        assert_eq!(follow(&mut frames, &many).bytes, many.len());
        assert!(!frames.had_excess());
        let followed = follow(&mut frames, &ping.repeat(3));
        assert_eq!((followed.bytes, followed.excess), (ping.len(), Some(PING)));
        assert!(frames.had_excess());
    }

    #[test]
    fn calls_and_replies_allow_more() {
        let mut frames = begun();
        let ping = frame(PING, 0, 8);
        for _ in 0..BUDGET_FRAMES_MAX {
            follow(&mut frames, &frame(HEADERS, END_HEADERS, 30));
            follow(&mut frames, &ping.repeat(FRAMES_PER_CALL));
            frames.sent(16_384);
            follow(&mut frames, &ping.repeat(200));
        }
        assert!(!frames.had_excess());
    }

    #[test]
    fn the_budget_is_filled_by_time_up_to_its_limit() {
        let mut budget = Budget::default();
        let start = budget.refilled;
        let after = |seconds| start + Duration::from_secs(seconds);
        budget.left = 0;
        budget.refill(start);
        assert_eq!(budget.left, 0);
        budget.refill(after(2));
        assert_eq!(budget.left, 40);
        budget.refill(after(1_000_000));
        assert_eq!(budget.left, BUDGET_FRAMES_MAX);
    }
}
