//! Frames of any bytes: wherever reads end, they are followed as a plain reading of the whole text
//! does it, and nothing but what acknowledges our SETTINGS is changed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::time::Duration;

use super::*;

/// The first three bytes say how long reads are, how large the budget is, and whether settings
/// are sent meanwhile. All others are frames.
pub(crate) fn run(bytes: &[u8]) {
    let Some(([size, budget, sends], text)) = bytes.split_first_chunk() else {
        return;
    };
    let size = usize::from(*size % 32) + 1;
    let budget = usize::from(*budget);
    match sends & 1 {
        0 => follow(text, size, budget),
        _ => acknowledge(text, size),
    }
}

fn begun(budget: usize) -> Frames {
    let mut frames = Frames::default();
    frames.follow(&mut [0; PREFACE_BYTES]);
    frames.budget.left = budget;
    // It is not filled again meanwhile.
    frames.budget.refilled = Instant::now() + Duration::from_secs(3_600);
    frames
}

/// How far a text is passed on, which frame was one too many, and whether one is unfinished.
type End = (usize, Option<u8>, bool);

fn follow(text: &[u8], size: usize, budget: usize) {
    let expected = expected(text, budget);
    for size in [size, text.len().max(1)] {
        let mut frames = begun(budget);
        let (mut passed, mut excess) = (0, None);
        for piece in text.chunks(size) {
            let mut came = piece.to_vec();
            let followed = frames.follow(&mut came);
            assert_eq!(came, piece, "nothing is changed");
            assert!(followed.bytes <= piece.len());
            passed += followed.bytes;
            excess = followed.excess;
            if excess.is_some() {
                break;
            }
        }
        let unfinished = frames.is_unfinished();
        assert_eq!((passed, excess, unfinished), expected, "in reads of {size}");
        assert!(!(frames.is_between() && unfinished));
    }
}

/// The same by a plain reading.
fn expected(text: &[u8], mut budget: usize) -> End {
    let (mut at, mut in_headers) = (0, false);
    while let Some(head) = text.get(at..at + HEAD_BYTES) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let is_excess = match kind {
            HEADERS => {
                budget = (budget + FRAMES_PER_CALL).min(BUDGET_FRAMES_MAX);
                false
            }
            DATA | CONTINUATION => false,
            _ if budget == 0 => true,
            _ => {
                budget -= 1;
                false
            }
        };
        let end = at + HEAD_BYTES + length;
        if end > text.len() {
            return (text.len(), None, in_headers || kind != DATA);
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            in_headers = flags & END_HEADERS == 0;
        }
        if is_excess {
            return (end, Some(kind), in_headers);
        }
        at = end;
    }
    (text.len(), None, in_headers || at < text.len())
}

/// Settings are sent whenever they can be: of each, at most one acknowledgement is hidden.
fn acknowledge(text: &[u8], size: usize) {
    let mut frames = begun(BUDGET_FRAMES_MAX);
    let (mut sent, mut hidden) = (0, 0);
    for piece in text.chunks(size) {
        if frames.can_send_settings() {
            frames.sends_settings();
            sent += 1;
        }
        let mut came = piece.to_vec();
        let followed = frames.follow(&mut came);
        for (now, before) in came.iter().zip(piece) {
            if now != before {
                assert_eq!((*before, *now), (SETTINGS, UNKNOWN));
                hidden += 1;
            }
        }
        // Settings of the peer that h2 did not see.
        hidden -= usize::from(frames.take_owed_acknowledgement());
        if followed.excess.is_some() {
            return;
        }
    }
    assert!(hidden <= sent + 1, "{hidden} are hidden of {sent}");
}
