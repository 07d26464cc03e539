//! How often keys and accounts may be called.

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::refused::retry_delay;
use tonic::{Code, Status};

use super::{ADMIN_KEY, create, key, ledger, serve_with};
use crate::support::refusal::Refusal;
use crate::support::requests::{batch, charge};
use crate::support::{balance, grant};

/// How many of these calls were let in; the others were refused in the right way.
fn admitted<T: std::fmt::Debug>(outcomes: Vec<Result<T, Status>>, of: &str, limit: &str) -> usize {
    let all = outcomes.len();
    let refused = outcomes.into_iter().filter_map(Result::err);
    let refused: Vec<_> = refused
        .map(|status| {
            let refusal = Refusal::of(&status);
            assert_eq!(refusal.reason, "RATE_LIMITED");
            assert_eq!(refusal.code, Code::ResourceExhausted);
            assert_eq!(refusal.metadata["of"], of);
            assert_eq!(refusal.metadata["limit"], limit);
            let delay = retry_delay(status.details()).unwrap();
            assert!(delay.seconds == 0 && delay.nanos > 0, "{delay:?}");
        })
        .collect();
    all - refused.len()
}

#[tokio::test]
async fn a_key_has_its_limit_for_itself() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g", "team-a", "1")).await.unwrap();
    let limited = pb::Key {
        calls_per_second_max: 5,
        ..key("read", "")
    };
    let (_, secret) = create(&server, limited.clone()).await;
    let (_, same_terms) = create(&server, limited).await;
    let (_, free) = create(&server, key("read", "")).await;
    // Two connections of one key have one limit.
    let mut ledgers = [
        ledger(&server, &secret).await,
        ledger(&server, &secret).await,
    ];
    let begun = std::time::Instant::now();
    let mut outcomes = Vec::new();
    for number in 0..60 {
        let ledger = &mut ledgers[number % 2];
        outcomes.push(ledger.get_balance(balance("team-a")).await);
    }
    // As many as it may make in a second at once, and then one each fifth of one.
    let later = usize::try_from(begun.elapsed().as_millis()).unwrap() / 200 + 1;
    let admitted = admitted(outcomes, "key", "5");
    assert!((5..=5 + later).contains(&admitted), "{admitted}, {later}");
    for other in [same_terms, free] {
        let mut ledger = ledger(&server, &other).await;
        ledger.get_balance(balance("team-a")).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_has_its_limit_whoever_calls() {
    let server = serve_with(&["--account-calls-per-second-max", "20"]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    for account in ["team-a", "team-b"] {
        all.grant(grant("g", account, "100")).await.unwrap();
    }
    let (_, secret) = create(&server, key("charge read", "")).await;
    let mut worker = ledger(&server, &secret).await;
    let begun = std::time::Instant::now();
    let charges = (0..60).map(|number| charge(&format!("c{number}"), "team-a", "1"));
    let reply = worker.batch_charge(batch(charges.collect())).await;
    let reply = reply.unwrap().into_inner();
    let mut outcomes = Vec::new();
    for result in reply.results {
        outcomes.push(match result.result.unwrap() {
            pb::batch_charge_result::Result::Charge(_) => Ok(()),
            pb::batch_charge_result::Result::Error(error) => {
                let details = prost::Message::encode_to_vec(&error);
                let code = Code::from(error.code);
                Err(Status::with_details(code, error.message, details.into()))
            }
        });
    }
    let later = usize::try_from(begun.elapsed().as_millis()).unwrap() / 50 + 1;
    // The grant was one.
    let done = admitted(outcomes, "account", "20");
    assert!((19..=20 + later).contains(&done), "{done}, {later}");
    // Nothing of the others was done, and other accounts are free.
    let left = loop {
        match all.get_balance(balance("team-a")).await {
            Ok(reply) => break reply.into_inner().balance.unwrap().available,
            Err(status) => {
                assert_eq!(Refusal::of(&status).reason, "RATE_LIMITED");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    assert_eq!(left, (100 - done).to_string());
    worker.get_balance(balance("team-b")).await.unwrap();
}
