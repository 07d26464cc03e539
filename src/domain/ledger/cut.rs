//! Where a journal may be cut: the rows before some time go to an archive, and no promise about
//! request_ids may be touched.

use crate::domain::time::Timestamp;

/// What a store knows of its journal, positions counting from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutFacts {
    /// Rows up to here are archived already; 0: none.
    pub archived: i64,
    /// The newest row.
    pub last: i64,
    /// The first row, not archived yet, that was written at the asked time or later.
    pub first_later: Option<i64>,
    /// The first row, not archived yet, whose request_id may still be known.
    pub first_known: Option<i64>,
    /// The newest time of the rows up to that one.
    pub newest_allowed: Option<Timestamp>,
}

/// Why a journal cannot be cut there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCut {
    /// No row is so old that is not archived yet.
    Nothing,
    /// Request_ids of some rows still have to be known.
    Known {
        /// The newest time before which may be archived; None: nothing may.
        newest_allowed: Option<Timestamp>,
    },
}

/// The newest row that goes to the archive.
///
/// # Errors
/// Why none does.
pub fn cut(facts: &CutFacts) -> Result<i64, NoCut> {
    let position = match facts.first_later {
        Some(later) => later.saturating_sub(1),
        None => facts.last,
    };
    if position <= facts.archived {
        return Err(NoCut::Nothing);
    }
    match facts.first_known {
        Some(known) if known <= position => Err(NoCut::Known {
            // Where the first row that was not archived is known, there is nothing to allow.
            newest_allowed: (facts.newest_allowed)
                .filter(|_| known > facts.archived.saturating_add(1)),
        }),
        _ => Ok(position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_is_before_the_first_later_row_and_before_each_known_request_id() {
        let time = Timestamp::from_unix_nanos(7);
        let known = |newest_allowed| Err(NoCut::Known { newest_allowed });
        for (archived, last, first_later, first_known, expected) in [
            (0, 0, None, None, Err(NoCut::Nothing)),
            (0, 9, Some(1), None, Err(NoCut::Nothing)),
            (0, 9, Some(1), Some(1), Err(NoCut::Nothing)),
            (0, 9, Some(5), None, Ok(4)),
            (0, 9, None, None, Ok(9)),
            (0, 9, Some(5), Some(5), Ok(4)),
            (0, 9, Some(6), Some(5), known(Some(time))),
            (0, 9, None, Some(9), known(Some(time))),
            (0, 9, Some(6), Some(1), known(None)),
            (4, 9, Some(5), None, Err(NoCut::Nothing)),
            (4, 9, Some(6), None, Ok(5)),
            (4, 9, Some(7), Some(5), known(None)),
            (9, 9, None, None, Err(NoCut::Nothing)),
        ] {
            let facts = CutFacts {
                archived,
                last,
                first_later,
                first_known,
                newest_allowed: Some(time),
            };
            assert_eq!(cut(&facts), expected, "{facts:?}");
        }
    }
}
