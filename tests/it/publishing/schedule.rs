//! When cards are in force, as stories over every store. A card is a name and a price; it is
//! `plan:1` without an effective_time and `plan:1@10` with one, in minutes.
//!
//! A line is a minute, what is done then, and what follows: "from 10" is when a published card
//! is in force, "again" says that nothing changed.

use std::collections::HashMap;
use std::sync::Arc;

use creditd::app::card_file::LoadedCard;
use creditd::domain::Refusal;
use creditd::domain::schedule::{CardState, ListedCard, NameTaken, Origin};
use creditd::store::StoreError;
use creditd::store::cards::{NewCard, RateCardStore};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};

use super::{Minutes, card, minute};
use crate::support::rate_cards::MemoryRateCards;

const STORIES: &str = "
# At once, on time, replaced, and again.
0  publish plan:1       => from 0
0  publish plan:1       => from 0 again
1  publish plan:1       => from 0 again
1  publish plan:2@10    => from 10
1  publish plan:2@10    => from 10 again
1  list                 => plan:1 IN 0, plan:2@10 SCHEDULED 10
10 list                 => plan:1 REPLACED 0, plan:2@10 IN 10
11 publish plan:2@10    => from 10 again
12 publish plan:1       => from 12
12 list                 => plan:2@10 REPLACED 10, plan:1 IN 12
13 publish plan:2@10    => from 13
13 list                 => plan:1 REPLACED 12, plan:2@10 IN 13

# A time that has passed is now. What was there stays scheduled.
20 publish plan:1@5     => from 20
20 publish plan:3@40    => from 40
21 publish plan:2       => from 21
21 list                 => plan:1@5 REPLACED 20, plan:2 IN 21, plan:3@40 SCHEDULED 40

# The same time: one that waits is replaced, one whose time has come is not.
0  publish plan:1@10    => from 10
1  publish plan:2@10    => from 10 for plan:1@10
1  list                 => plan:1@10 REPLACED 10, plan:2@10 SCHEDULED 10
2  publish plan:1@10    => from 10 for plan:2@10
2  list                 => plan:1@10 SCHEDULED 10, plan:2@10 REPLACED 10
11 publish plan:2@10    => taken at 10 by plan:1@10
11 publish plan:1@10    => from 10 again
12 publish other:2@10   => from 12
12 publish other:3@10   => taken at 10 by other:2@10

# Withdrawing: what is scheduled, and nothing else.
0  publish plan:1       => from 0
0  publish plan:2@10    => from 10
1  withdraw plan:1      => published is in force
1  withdraw plan:2@10   => ok
1  withdraw plan:2@10   => ok
1  withdraw plan:9      => unknown
1  list                 => plan:1 IN 0, plan:2@10 WITHDRAWN 10
2  publish plan:3@10    => from 10
3  publish plan:2@10    => from 10 for plan:3@10
3  list                 => plan:1 IN 0, plan:2@10 SCHEDULED 10, plan:3@10 REPLACED 10
3  withdraw plan:3@10   => published is replaced
11 withdraw plan:2@10   => published is in force
11 withdraw plan:1      => published is replaced
11 list                 => plan:1 REPLACED 0, plan:2@10 IN 10, plan:3@10 REPLACED 10

# A name comes from files or from publishing. Files leave what was published alone.
0  files plan:1 plan:2@10 => ok
0  publish plan:3       => taken by file
0  publish plan:1       => taken by file
0  publish other:1      => from 0
0  list                 => other:1 IN 0, plan:1 IN always, plan:2@10 SCHEDULED 10
1  withdraw plan:2@10   => file is scheduled
1  files other:1        => taken by published
1  files plan:1         => ok
1  list                 => other:1 IN 0, plan:1 IN always, plan:2@10 REPLACED 10
2  files more:1         => ok
2  list                 => more:1 IN always, other:1 IN 0, plan:1 REPLACED always, plan:2@10 REPLACED 10
3  publish plan:1       => from 3
3  list                 => more:1 IN always, other:1 IN 0, plan:1 IN 3, plan:2@10 REPLACED 10
4  files plan:2@10      => taken by published

# A name whose only card was withdrawn is free.
0  publish plan:1@10    => from 10
0  files plan:2         => taken by published
1  withdraw plan:1@10   => ok
1  files plan:1@10 plan:2 => ok
1  list                 => plan:2 IN always, plan:1@10 SCHEDULED 10
2  files other:1        => ok
2  publish plan:1@10    => from 10

# A clock that was set back dates nothing before what is dated already.
20 publish plan:1       => from 20
10 publish plan:2       => from 20
20 list                 => plan:1 REPLACED 20, plan:2 IN 20
20 publish plan:1       => from 20
20 list                 => plan:1 IN 20, plan:2 REPLACED 20
";

/// The cards of the stories, and what their revisions are called.
#[derive(Default)]
struct Cards(HashMap<String, String>);

impl Cards {
    fn card(&mut self, word: &str) -> LoadedCard {
        let (name, rest) = word.split_once(':').unwrap();
        let (credits, time) = rest.split_once('@').map_or((rest, None), |(c, t)| {
            let time: i64 = t.parse().unwrap();
            (c, Some(time))
        });
        let card = card(name, credits, time);
        self.0.insert(card.stored.revision.clone(), word.to_owned());
        card
    }

    fn word(&self, revision: &str) -> &str {
        &self.0[revision]
    }

    fn listed(&self, card: &ListedCard) -> String {
        let state = match card.state {
            CardState::InForce => "IN",
            CardState::Scheduled => "SCHEDULED",
            CardState::Replaced => "REPLACED",
            CardState::Withdrawn => "WITHDRAWN",
        };
        let since = card.since.map_or_else(|| "always".to_owned(), in_minutes);
        format!("{} {state} {since}", self.word(&card.head.revision))
    }

    fn refused(&self, error: StoreError) -> String {
        let StoreError::Refused(refusal) = error else {
            panic!("{error:?}");
        };
        match refusal {
            Refusal::RateCardNameTaken { taken_by, .. } => match taken_by {
                NameTaken::Origin(origin) => format!("taken by {}", origin.name()),
                NameTaken::EffectiveTime {
                    effective_time,
                    revision,
                } => format!(
                    "taken at {} by {}",
                    in_minutes(effective_time),
                    self.word(&revision)
                ),
            },
            Refusal::RateCardNotScheduled { origin, state, .. } => {
                let state = match state {
                    CardState::InForce => "in force",
                    CardState::Scheduled => "scheduled",
                    CardState::Replaced => "replaced",
                    CardState::Withdrawn => "withdrawn",
                };
                format!("{} is {state}", origin.name())
            }
            Refusal::RevisionNotPublished { .. } => "unknown".to_owned(),
            other => panic!("{other:?}"),
        }
    }
}

fn in_minutes(time: creditd::domain::Timestamp) -> String {
    let since = time.since(minute(0)).as_secs();
    assert_eq!(minute(i64::try_from(since / 60).unwrap()), time);
    (since / 60).to_string()
}

async fn answer(store: &dyn RateCardStore, cards: &mut Cards, now: i64, line: &str) -> String {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap();
    let mut loaded = words.map(|word| cards.card(word)).collect::<Vec<_>>();
    let mut changes = store.changes();
    let before = store.list().await.unwrap();
    let outcome = match command {
        "files" => {
            let as_files = loaded.iter().map(|loaded| NewCard {
                origin: Origin::File,
                ..loaded.to_store()
            });
            let published = store.publish(as_files.collect()).await;
            published.map(|()| "ok".to_owned())
        }
        "publish" => {
            let placed = store.publish_one(loaded.remove(0).to_store(), None).await;
            placed.map(|placed| {
                let again = if placed.unchanged { " again" } else { "" };
                let other = placed.replaces.as_deref();
                let other = other.map_or_else(String::new, |r| format!(" for {}", cards.word(r)));
                format!("from {}{again}{other}", in_minutes(placed.since))
            })
        }
        "withdraw" => {
            let revision = loaded.remove(0).stored.revision;
            let withdrawn = store.withdraw(revision.into(), None).await;
            withdrawn.map(|()| "ok".to_owned())
        }
        "list" => {
            let listed = before.list(minute(now)).into_iter();
            let listed = listed.map(|card| cards.listed(&card));
            return listed.collect::<Vec<_>>().join(", ");
        }
        other => panic!("{other}"),
    };
    // Who follows is notified of what changed, and of nothing else.
    let after = store.list().await.unwrap();
    let same = (&before.cards, &before.publications) == (&after.cards, &after.publications);
    assert_eq!(changes.has_changed().unwrap(), !same, "{line}");
    changes.mark_unchanged();
    outcome.unwrap_or_else(|error| cards.refused(error))
}

async fn tell(story: &str, store: &dyn RateCardStore, set: &dyn Fn(i64)) {
    let mut cards = Cards::default();
    for line in story.lines().filter(|line| !line.starts_with('#')) {
        let (asked, expected) = line.split_once("=>").unwrap();
        let (now, asked) = asked.trim().split_once(' ').unwrap();
        let now = now.parse().unwrap();
        set(now);
        let answer = answer(store, &mut cards, now, asked.trim()).await;
        assert_eq!(answer, expected.trim(), "{line}");
    }
}

#[tokio::test]
async fn every_store_puts_cards_in_force_as_the_stories_say() {
    for story in STORIES.trim().split("\n\n") {
        let memory = MemoryRateCards::default();
        tell(story, &memory, &|now| memory.set_time(minute(now))).await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("creditd.db");
        let clock = Arc::new(Minutes::new());
        let open = || SqliteStore::open(&file, clock.clone(), SqliteSettings::default()).unwrap();
        let sqlite = open();
        tell(story, &sqlite, &|now| clock.set(now)).await;
        // All of it is in the file.
        let before = sqlite.list().await.unwrap();
        drop(sqlite);
        assert_eq!(open().list().await.unwrap(), before);
    }
}

/// A card that is not in force any more is found, with the time at which it ceased to be.
#[tokio::test]
async fn a_revision_is_found_whatever_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Arc::new(Minutes::new());
    let sqlite = SqliteStore::open(&file, clock.clone(), SqliteSettings::default()).unwrap();
    let memory = MemoryRateCards::default();
    for store in [&sqlite as &dyn RateCardStore, &memory] {
        let set = |now| {
            clock.set(now);
            memory.set_time(minute(now));
        };
        let [one, two, three, four] = [
            ("1", None),
            ("2", Some(10)),
            ("3", Some(20)),
            ("4", Some(30)),
        ]
        .map(|(credits, time)| card("plan", credits, time));
        for (now, card) in [(0, &one), (1, &two), (2, &three), (3, &four), (40, &one)] {
            set(now);
            store.publish_one(card.to_store(), None).await.unwrap();
            if now == 3 {
                set(5);
                let revision = three.stored.revision.as_str();
                store.withdraw(revision.into(), None).await.unwrap();
            }
        }
        for (card, replaced) in [
            (&one, None),
            (&two, Some(30)),
            (&three, Some(5)),
            (&four, Some(40)),
        ] {
            let revision: Box<str> = card.stored.revision.as_str().into();
            let found = store.find(vec![revision.clone()]).await.unwrap();
            assert_eq!(found[0].card, card.stored);
            assert_eq!(found[0].replaced, replaced.map(minute), "{:?}", card.toml);
            let text = store.text(revision).await.unwrap();
            assert_eq!(text.as_deref(), Some(card.toml.as_str()));
        }
        assert_eq!(store.text("absent".into()).await.unwrap(), None);
    }
}
