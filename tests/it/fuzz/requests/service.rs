//! The whole service in this process: every layer and every method, over a ledger in memory or
//! in a file, with a clock that stands still until it is moved.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use creditd::app::App;
use creditd::app::access::{Access, Authentication};
use creditd::app::card_file::{LoadedCard, built_in, read};
use creditd::app::keys::Keys;
use creditd::app::reload::{ReloadRequest, Reloaded};
use creditd::app::token::{Token, hash_of};
use creditd::domain::Timestamp;
use creditd::domain::keys::{AccountPattern, AccountPatterns, KeyId, KeyTerms, Scope, Scopes};
use creditd::domain::pricing::Catalog;
use creditd::rpc::health::{Serving, State};
use creditd::rpc::layer::{
    Admission, CallLimits, CallLines, Counters, LiveLimits, ReplyBody, Settings, stack,
};
use creditd::rpc::refused::RpcRefusal;
use creditd::rpc::router::Router;
use creditd::store::cards::RateCardStore;
use creditd::store::keys::{KeyStore, NewKey};
use creditd::store::{Clock, Store};
use http::{Request, Response};
use tokio::sync::{mpsc, watch};
use tower::util::BoxCloneSyncService;

use super::body::Pieces;

/// A clock that stands still.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    pub fn at(time: Timestamp) -> Self {
        Self(Mutex::new(time))
    }

    pub fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(time);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A ledger that can always write.
struct Admits;

impl Admission for Admits {
    fn refuses_writes(&self) -> Option<RpcRefusal> {
        None
    }
}

/// Limits so large that no call of a fuzzer meets them.
pub fn settings(access: &Arc<Access>) -> Settings {
    Settings {
        limits: LiveLimits::new(&CallLimits {
            calls_max: 64,
            call_memory_bytes_max: 256 << 20,
            watchers_max: 8,
            deadline_max: Duration::from_secs(30),
            slow_call_min: None,
            log_calls: false,
            trace_calls_per_million: 0,
        }),
        access: Arc::clone(access),
        admission: Arc::new(Admits),
        observer: Arc::new(Counters::new(2)),
        lines: Arc::new(CallLines::new(Instant::now())),
        tracer: None,
    }
}

/// Where the ledger, its rate cards and its keys are kept.
pub struct Stores {
    pub ledger: Arc<dyn Store>,
    pub cards: Arc<dyn RateCardStore>,
    pub keys: Arc<dyn KeyStore>,
}

/// A key that calls may be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithKey {
    Nothing,
    Admin,
    /// Of accounts that begin with "team-" alone.
    OfTeams,
    ReadsOnly,
    Unknown,
}

impl WithKey {
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Admin,
        Self::OfTeams,
        Self::ReadsOnly,
        Self::Unknown,
    ];

    /// What a call's metadata says.
    pub const fn bearer(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Admin => Some("Bearer an-admin-key-of-24-bytes"),
            Self::OfTeams => Some("Bearer creditd_teams_secret"),
            Self::ReadsOnly => Some("Bearer creditd_reads_secret"),
            Self::Unknown => Some("Bearer creditd_teams_secrets"),
        }
    }
}

/// The cards that it serves, each once: every run has the same.
static CARDS: LazyLock<Vec<LoadedCard>> = LazyLock::new(|| {
    let texts = [
        include_str!("../../../data/ledger/cards/studio-1.toml"),
        include_str!("../../../data/ledger/cards/studio-2.toml"),
        include_str!("../../../data/ledger/cards/studio-3.toml"),
        include_str!("../../../data/ledger/cards/partner.toml"),
        include_str!("../../../data/ledger/cards/maker.toml"),
    ];
    let of_files = texts.map(|text| read(Path::new("card.toml"), text).unwrap());
    std::iter::once(built_in().unwrap())
        .chain(of_files)
        .collect()
});

type Layered = BoxCloneSyncService<Request<Pieces>, Response<ReplyBody>, Infallible>;

/// See the module.
pub struct Service {
    pub layered: Layered,
    pub ledger: Arc<dyn Store>,
    pub clock: Arc<FixedClock>,
    /// Health ends when this is dropped.
    _health: watch::Sender<State>,
}

/// When every run begins: an hour before the second prices of "studio".
pub fn beginning() -> Timestamp {
    Timestamp::new(1_767_308_400, 0).unwrap()
}

impl Service {
    /// A service over empty stores.
    pub async fn new(
        stores: Stores,
        clock: Arc<FixedClock>,
        authentication: Authentication,
        with_reflection: bool,
    ) -> Self {
        let new = CARDS.iter().map(LoadedCard::to_store).collect();
        stores.cards.publish(new).await.unwrap();
        let cards = CARDS.iter().map(|card| Arc::new(card.card.clone()));
        let catalog = Catalog::new(cards.collect(), None).unwrap();
        let times: Arc<dyn Clock> = clock.clone();
        let access = Arc::new(Access::new(authentication, Arc::clone(&times), 0));
        if authentication == Authentication::WhereKnown {
            access.take_up_admin_keys(&[Token::of_admin("an-admin-key-of-24-bytes").unwrap()]);
            for new in keys() {
                stores.keys.create_key(new, None).await.unwrap();
            }
        }
        let keys = Keys::new(stores.keys, Arc::clone(&access), Arc::clone(&times));
        keys.take_up().await.unwrap();
        let app = App::new(catalog, Arc::clone(&stores.ledger), stores.cards, times);
        let (reloads, mut asked) = mpsc::channel::<ReloadRequest>(1);
        // There is no configuration that could be another one.
        tokio::spawn(async move {
            while let Some(request) = asked.recv().await {
                let _ = request.send(Ok(Reloaded::default()));
            }
        });
        let app = app.with_access(Arc::clone(&access)).with_reloads(reloads);
        let app = Arc::new(app);
        let (health, state) = watch::channel(State {
            serving: Serving::Yes,
            writable: true,
        });
        let router = Router::new(&app, Arc::new(keys), state, with_reflection).unwrap();
        let layered = stack(&settings(&access)).service(router);
        Self {
            layered: BoxCloneSyncService::new(layered),
            ledger: stores.ledger,
            clock,
            _health: health,
        }
    }
}

fn keys() -> [NewKey; 2] {
    let key = |id: &str, scopes: &[Scope], accounts: &[&str]| NewKey {
        id: KeyId::new(id).unwrap(),
        terms: KeyTerms {
            scopes: scopes.iter().copied().collect::<Scopes>(),
            accounts: AccountPatterns::new(
                accounts
                    .iter()
                    .map(|text| AccountPattern::parse(text).unwrap())
                    .collect(),
            ),
            ..KeyTerms::default()
        },
        hash: hash_of("secret"),
    };
    let all = [Scope::Price, Scope::Read, Scope::Charge, Scope::Grant];
    [
        key("teams", &all, &["team-*"]),
        key("reads", &[Scope::Read], &[]),
    ]
}
