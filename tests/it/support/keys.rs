//! A store of keys in memory, and a router without authentication.

use std::sync::{Arc, Mutex};

use creditd::app::App;
use creditd::app::keys::Keys;
use creditd::domain::keys::{Key, KeyId};
use creditd::domain::{Refusal, Timestamp};
use creditd::rpc::health::State;
use creditd::rpc::router::Router;
use creditd::server::SystemClock;
use creditd::store::keys::{
    AdminAction, AdminEvent, EventQuery, KEYS_MAX, KeyQuery, KeyStore, KeysAnswer, KeysChange,
    NewKey, StoredKey, ValidKeys,
};
use creditd::store::{Changes, Clock};
use tokio::sync::watch;

/// The store.
#[derive(Default)]
pub struct MemoryKeys {
    kept: Mutex<Kept>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<StoredKey>,
    events: Vec<AdminEvent>,
}

impl Kept {
    fn add(&mut self, action: AdminAction, key: &Key, by: Option<KeyId>, now: Timestamp) {
        let last = self.events.last().map_or(now, |last| last.create_time);
        self.events.push(AdminEvent {
            number: i64::try_from(self.events.len()).unwrap() + 1,
            create_time: now.max(last),
            key_id: by,
            action,
            subject: key.id.as_str().into(),
            title: key.terms.title.clone(),
        });
    }
}

fn is_valid(key: &Key, now: Timestamp) -> bool {
    key.revoke_time.is_none() && key.terms.expire_time.is_none_or(|end| end > now)
}

impl KeyStore for MemoryKeys {
    fn create_key(&self, new: NewKey, by: Option<KeyId>) -> KeysChange<'_, Key> {
        Box::pin(async move {
            let (mut kept, now) = (self.kept.lock().unwrap(), SystemClock.now());
            let valid = kept.keys.iter().filter(|stored| is_valid(&stored.key, now));
            if valid.count() >= KEYS_MAX {
                return Err(Refusal::TooManyKeys { limit: KEYS_MAX }.into());
            }
            let key = Key {
                id: new.id,
                terms: new.terms,
                create_time: now,
                last_use_time: None,
                revoke_time: None,
            };
            kept.add(AdminAction::CreateKey, &key, by, now);
            let number = i64::try_from(kept.keys.len()).unwrap() + 1;
            kept.keys.push(StoredKey {
                number,
                key: key.clone(),
                hash: new.hash,
            });
            self.changes.send_replace(());
            Ok(key)
        })
    }

    fn revoke_key(&self, id: KeyId, by: Option<KeyId>) -> KeysChange<'_, Key> {
        Box::pin(async move {
            let (mut kept, now) = (self.kept.lock().unwrap(), SystemClock.now());
            let mut keys = kept.keys.iter_mut();
            let found = keys.find(|stored| stored.key.id == id);
            let not_found = || Refusal::KeyNotFound {
                key_id: id.as_str().into(),
            };
            let key = &mut found.ok_or_else(not_found)?.key;
            if key.revoke_time.is_none() {
                key.revoke_time = Some(now.max(key.create_time));
                let key = key.clone();
                kept.add(AdminAction::RevokeKey, &key, by, now);
                self.changes.send_replace(());
                return Ok(key);
            }
            Ok(key.clone())
        })
    }

    fn valid_keys(&self) -> KeysAnswer<'_, ValidKeys> {
        Box::pin(async move {
            let (kept, now) = (self.kept.lock().unwrap(), SystemClock.now());
            let valid = kept.keys.iter().filter(|stored| is_valid(&stored.key, now));
            Ok(ValidKeys {
                keys: valid.cloned().collect(),
                had_any: !kept.keys.is_empty(),
            })
        })
    }

    fn keys(&self, query: KeyQuery) -> KeysAnswer<'_, Vec<StoredKey>> {
        Box::pin(async move {
            let kept = self.kept.lock().unwrap();
            let listed = kept.keys.iter().filter(|stored| {
                query.after.is_none_or(|after| stored.number > after)
                    && (query.show_revoked || stored.key.revoke_time.is_none())
            });
            Ok(listed.take(query.limit).cloned().collect())
        })
    }

    fn note_key_uses(&self, uses: Vec<(KeyId, Timestamp)>) -> KeysAnswer<'_, ()> {
        Box::pin(async move {
            for (id, time) in uses {
                let mut kept = self.kept.lock().unwrap();
                let used = kept.keys.iter_mut().find(|stored| stored.key.id == id);
                used.unwrap().key.last_use_time = Some(time);
            }
            Ok(())
        })
    }

    fn admin_events(&self, query: EventQuery) -> KeysAnswer<'_, Vec<AdminEvent>> {
        Box::pin(async move {
            let kept = self.kept.lock().unwrap();
            let matching = kept.events.iter().rev().filter(|event| {
                query.before.is_none_or(|before| event.number < before)
                    && (query.key_id.is_empty()
                        || event.key_id.as_ref().map(KeyId::as_str) == Some(&*query.key_id))
            });
            Ok(matching.take(query.limit).cloned().collect())
        })
    }

    fn key_changes(&self) -> Changes {
        self.changes.subscribe()
    }
}

/// All services over these use cases, which ask nobody for a key.
pub fn router(app: &Arc<App>, state: watch::Receiver<State>) -> Router {
    let (store, access) = (Arc::new(MemoryKeys::default()), Arc::clone(app.access()));
    let keys = Keys::new(store, access, Arc::new(SystemClock));
    Router::new(app, Arc::new(keys), state, true).unwrap()
}
