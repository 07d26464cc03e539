//! The stored form of rate cards: what a data file holds is a card whole, or is refused.

use creditd::app::card_file::restore;
use creditd::store::cards::StoredCard;
use sha2::{Digest as _, Sha256};

use super::cards::costs;

pub fn run(bytes: &[u8]) {
    let Ok(content) = std::str::from_utf8(bytes) else {
        return;
    };
    let digest = Sha256::digest(content);
    let revision: String = digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let stored = |revision: &str| StoredCard {
        revision: revision.to_owned(),
        name: "card".to_owned(),
        content: content.to_owned(),
    };
    let other = "0".repeat(24);
    assert!(
        restore(&stored(&other)).is_err(),
        "a revision is of one content"
    );
    match restore(&stored(&revision)) {
        Ok(card) => {
            assert_eq!(card.revision().as_str(), revision);
            assert!(!costs(&card).is_empty());
        }
        Err(problem) => assert!(problem.contains(&revision), "{problem}"),
    }
}
