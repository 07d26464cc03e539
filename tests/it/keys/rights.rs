//! What each method needs: every method with every scope.

use std::collections::BTreeMap;

use creditd::rpc::method::METHODS;
use tonic::{Code, Status};

use super::{ADMIN_KEY, call, connect, create, key, serve_with, table};
use crate::support::refusal::Refusal;

/// What a call with an empty request comes to: "in" where it is looked at, "key" where a key is
/// asked for, "no" where that key may not do it.
const RIGHTS: &str = "
method                none  price  read  charge  grant  admin  env
Estimate              key   in     no    no      no     in     in
BatchEstimate         key   in     no    no      no     in     in
GetRateCard           key   in     no    no      no     in     in
GetBalance            key   no     in    no      no     in     in
WatchBalance          key   no     in    no      no     in     in
ListEntries           key   no     in    no      no     in     in
GetHold               key   no     in    no      no     in     in
ListHolds             key   no     in    no      no     in     in
GetAccount            key   no     in    no      no     in     in
ListAccounts          key   no     in    no      no     in     in
Charge                key   no     no    in      no     in     in
BatchCharge           key   no     no    in      no     in     in
Hold                  key   no     no    in      no     in     in
ExtendHold            key   no     no    in      no     in     in
SettleHold            key   no     no    in      no     in     in
ReleaseHold           key   no     no    in      no     in     in
Refund                key   no     no    in      no     in     in
Grant                 key   no     no    no      in     in     in
RevokeGrant           key   no     no    no      in     in     in
UpdateAccount         key   no     no    no      in     in     in
ListRateCards         key   in     no    no      no     in     in
PublishRateCard       key   no     no    no      no     in     in
WithdrawRateCard      key   no     no    no      no     in     in
CreateKey             key   no     no    no      no     in     in
ListKeys              key   no     no    no      no     in     in
RevokeKey             key   no     no    no      no     in     in
ListAdminEvents       key   no     no    no      no     in     in
ReloadConfig          key   no     no    no      no     in     in
Check                 in    in     in    in      in     in     in
Watch                 in    in     in    in      in     in     in
ServerReflectionInfo  in    in     in    in      in     in     in
";

fn word(outcome: &Result<prost::bytes::Bytes, Status>) -> &'static str {
    let Err(status) = outcome else { return "in" };
    if status.details().is_empty() {
        // Of health and reflection, which have statuses of their own.
        assert!(
            !matches!(
                status.code(),
                Code::Unauthenticated | Code::PermissionDenied
            ),
            "{status:?}"
        );
        return "in";
    }
    let refusal = Refusal::of(status);
    match refusal.reason.as_str() {
        "KEY_REQUIRED" => {
            assert_eq!(refusal.code, Code::Unauthenticated);
            "key"
        }
        "NOT_ALLOWED" => {
            assert_eq!(refusal.code, Code::PermissionDenied);
            "no"
        }
        reason => {
            assert!(!reason.starts_with("KEY_"), "{refusal:?}");
            "in"
        }
    }
}

#[tokio::test]
async fn each_method_needs_its_scope() {
    let server = serve_with(&[]);
    let mut columns = BTreeMap::from([("none", String::new()), ("env", ADMIN_KEY.to_owned())]);
    for scope in ["price", "read", "charge", "grant", "admin"] {
        columns.insert(scope, create(&server, key(scope, "")).await.1);
    }
    let rows = table(RIGHTS);
    for method in METHODS {
        let name = method.path.rsplit('/').next().unwrap();
        let row = rows.iter().find(|row| row["method"] == name);
        let row = row.unwrap_or_else(|| panic!("the table does not have {name}"));
        for (column, secret) in &columns {
            let connection = connect(&server.address, secret).await;
            let outcome = call(&connection, method, Vec::new()).await;
            assert_eq!(
                word(&outcome),
                row[*column],
                "{name} with {column}: {outcome:?}"
            );
        }
    }
    // Two reflections have one name.
    assert_eq!(rows.len() + 1, METHODS.len());
}

/// A refusal names the scope that is missing.
#[tokio::test]
async fn a_refusal_says_what_is_needed() {
    let server = serve_with(&[]);
    let (_, secret) = create(&server, key("price", "")).await;
    let connection = connect(&server.address, &secret).await;
    for method in METHODS {
        let Some(scope) = method.scope else { continue };
        if scope.name() == "price" {
            continue;
        }
        let refused = call(&connection, method, Vec::new()).await.unwrap_err();
        let refused = Refusal::of(&refused);
        assert_eq!(refused.metadata["scope"], scope.name(), "{}", method.path);
        assert_eq!(refused.metadata.len(), 1);
    }
}
