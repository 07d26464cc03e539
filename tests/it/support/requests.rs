//! Requests of the verbs that spend.

use creditd::rpc::pb::creditd::v1 as pb;

/// An amount without a service.
pub fn charge(request_id: &str, account: &str, credits: &str) -> pb::ChargeRequest {
    pb::ChargeRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        what: Some(pb::charge_request::What::Credits(credits.to_owned())),
        ..pb::ChargeRequest::default()
    }
}

/// A usage, priced by the card in force.
pub fn charge_usage(request_id: &str, account: &str, usage: pb::Usage) -> pb::ChargeRequest {
    pb::ChargeRequest {
        what: Some(pb::charge_request::What::Usage(usage)),
        ..charge(request_id, account, "0")
    }
}

pub fn batch(charges: Vec<pb::ChargeRequest>) -> pb::BatchChargeRequest {
    pb::BatchChargeRequest { charges }
}

pub fn hold(request_id: &str, account: &str, credits: &str) -> pb::HoldRequest {
    pb::HoldRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        what: Some(pb::hold_request::What::Credits(credits.to_owned())),
        ..pb::HoldRequest::default()
    }
}

/// A hold that ends by itself after so long.
pub fn hold_for(request_id: &str, account: &str, credits: &str, millis: u64) -> pb::HoldRequest {
    pb::HoldRequest {
        ttl: Some(ttl(millis)),
        ..hold(request_id, account, credits)
    }
}

pub fn ttl(millis: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(millis / 1_000).unwrap(),
        nanos: i32::try_from(millis % 1_000 * 1_000_000).unwrap(),
    }
}

pub fn extend(
    request_id: &str,
    account: &str,
    hold_id: &str,
    millis: u64,
) -> pb::ExtendHoldRequest {
    pb::ExtendHoldRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        hold_id: hold_id.to_owned(),
        ttl: Some(ttl(millis)),
    }
}

/// A settlement that closes the hold and takes no overage.
pub fn settle(
    request_id: &str,
    account: &str,
    hold_id: &str,
    credits: &str,
) -> pb::SettleHoldRequest {
    pb::SettleHoldRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        hold_id: hold_id.to_owned(),
        what: Some(pb::settle_hold_request::What::Credits(credits.to_owned())),
        ..pb::SettleHoldRequest::default()
    }
}

pub fn release(request_id: &str, account: &str, hold_id: &str) -> pb::ReleaseHoldRequest {
    pb::ReleaseHoldRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        hold_id: hold_id.to_owned(),
    }
}

/// Of so much, or of all that is left.
pub fn refund(
    request_id: &str,
    account: &str,
    entry_id: &str,
    credits: Option<&str>,
) -> pb::RefundRequest {
    pb::RefundRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        entry_id: entry_id.to_owned(),
        credits: credits.map(str::to_owned),
        ..pb::RefundRequest::default()
    }
}

pub fn revoke(request_id: &str, account: &str, grant_id: &str) -> pb::RevokeGrantRequest {
    pb::RevokeGrantRequest {
        request_id: request_id.to_owned(),
        account: account.to_owned(),
        grant_id: grant_id.to_owned(),
        ..pb::RevokeGrantRequest::default()
    }
}

pub fn get_hold(account: &str, hold_id: &str) -> pb::GetHoldRequest {
    pb::GetHoldRequest {
        account: account.to_owned(),
        hold_id: hold_id.to_owned(),
    }
}

/// Sets the card of an account and one label, and opens the account where it is not.
pub fn update(
    request_id: &str,
    account: &str,
    rate_card: &str,
    label: (&str, &str),
) -> pb::UpdateAccountRequest {
    pb::UpdateAccountRequest {
        request_id: request_id.to_owned(),
        account: Some(pb::Account {
            account: account.to_owned(),
            rate_card: rate_card.to_owned(),
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
            ..pb::Account::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["rate_card".to_owned(), "labels".to_owned()],
        }),
        allow_missing: true,
    }
}
