//! The canonical form of a row, pinned: hashes of files that are kept must stay right.

use std::sync::Arc;

use super::*;
use crate::domain::ledger::{EntryId, GrantId};
use crate::domain::pricing::{Pairs, Pricing};
use crate::domain::{AccountName, Labels};
use crate::rfc3339;

fn entry(labels: &[(&str, &str)]) -> Entry {
    let credits = |nanos| Credits::from_nanos(nanos).unwrap();
    let labels: Vec<_> = (labels.iter())
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Entry {
        id: EntryId(3),
        account: AccountName::new("team-a").unwrap(),
        kind: EntryKind::Charge,
        credits: credits(-248_000_000),
        held: Credits::ZERO,
        spent: credits(248_000_000),
        available: credits(99_752_000_000),
        create_time: rfc3339::parse("2026-01-01T00:00:00Z").unwrap(),
        request_id: Some(RequestId::new("c1").unwrap()),
        key_id: KeyId::new("k7fq2m9xk4ab"),
        labels: Labels::new(labels.iter().map(|(key, value)| (key, value))).unwrap(),
        service: Some("dub".into()),
        pricing: Some(Arc::new(Pricing {
            rate_card: "studio".into(),
            revision: "c38700ee0fd4aef8bef7eadf".into(),
            values: Pairs::new(),
            time: None,
        })),
        usage: Some(Arc::new(UsageRecord {
            quantity: Given::Duration(31_000_000_000),
            attributes: Pairs::new(),
            meters: Pairs::new(),
        })),
        hold: None,
        shares: vec![GrantShare {
            grant: GrantId(1),
            credits: credits(-248_000_000),
            held: Credits::ZERO,
        }],
    }
}

fn hash(entry: &Entry, salts: &[u8]) -> Option<String> {
    let row = ChainRow {
        position: Position(3),
        entry,
        fingerprint: Some(&[7; 16]),
        answered: None,
        seals: &Seals {
            salts: salts.to_vec(),
            erased: None,
        },
    };
    let hash = row.hash(&BEGINNING, &mut CanonicalForm::default())?;
    Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The figures were computed apart from the program, by the description of the form.
#[test]
fn the_hash_of_a_row_is_the_same_for_ever() {
    let plain = "402598be85f1d9a071077dc9f54750de53fe7245823b53406098f3b2b2c38f51";
    assert_eq!(hash(&entry(&[]), &[]).as_deref(), Some(plain));
    let salts: Vec<u8> = (0..32).collect();
    let labelled = "029745f76ab3d4df0e3cfdef7448b5f2fa6584fa94a0781f8e8178f4a9182921";
    let labels = [("customer", "Ada")];
    assert_eq!(hash(&entry(&labels), &salts).as_deref(), Some(labelled));
}

#[test]
fn salts_must_be_those_of_the_texts() {
    let labels = [("customer", "Ada")];
    for (labels, salts, is_right) in [
        (&labels[..], 32, true),
        (&labels, 0, false),
        (&labels, 31, false),
        (&labels, 48, false),
        (&[], 0, true),
        (&[], 16, false),
    ] {
        let hash = hash(&entry(labels), &vec![1; salts]);
        assert_eq!(hash.is_some(), is_right, "{labels:?} {salts}");
    }
}
