//! Requests, made once; only request_id and account differ from call to call.

use bytes::Bytes;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::charge_request::What;
use prost::Message;

use super::client::frame;

/// What every charge costs: that much lip sync, or that amount. A person can check it
/// against the list.
pub const CHARGED: &str = "0.248";
const CHARGED_SECONDS: i64 = 31;
/// More than a run can charge an account.
pub const GRANTED: &str = "1000000000";

/// Stands in a request where its id will be: 16 digits.
const ID: &str = "iiiiiiiiiiiiiiii";
/// Stands in a request where the account will be: 12 digits.
const ACCOUNT: &str = "aaaaaaaaaaaa";

/// A request with gaps.
pub struct Template {
    frame: Vec<u8>,
    ids: Vec<usize>,
    accounts: Vec<usize>,
}

impl Template {
    fn of(request: &impl Message) -> Self {
        let frame = frame(&request.encode_to_vec());
        let positions = |gap: &str| {
            let windows = frame.windows(gap.len()).enumerate();
            let found = windows.filter(|(_, window)| *window == gap.as_bytes());
            found.map(|(position, _)| position).collect()
        };
        Self {
            ids: positions(ID),
            accounts: positions(ACCOUNT),
            frame,
        }
    }

    /// One charge.
    pub fn charge(amount: bool) -> Self {
        Self::of(&charge(amount))
    }

    /// Many charges in one call.
    pub fn batch(length: usize, amount: bool) -> Self {
        Self::of(&pb::BatchChargeRequest {
            charges: vec![charge(amount); length],
        })
    }

    /// Credits for an account.
    pub fn grant() -> Self {
        Self::of(&pb::GrantRequest {
            request_id: ID.to_owned(),
            account: ACCOUNT.to_owned(),
            credits: GRANTED.to_owned(),
            source: "benchmark".to_owned(),
            ..Default::default()
        })
    }

    pub fn balance() -> Self {
        Self::of(&pb::GetBalanceRequest {
            account: ACCOUNT.to_owned(),
            as_of: None,
        })
    }

    /// How many accounts it is about, one after another.
    pub fn length(&self) -> usize {
        self.accounts.len()
    }

    /// The request with its gaps filled: ids from `first_id` on, and these accounts.
    pub fn fill(&self, first_id: u64, mut account: impl FnMut() -> u32) -> Bytes {
        let mut frame = self.frame.clone();
        for (id, position) in (first_id..).zip(&self.ids) {
            digits(id, &mut frame[*position..position + ID.len()]);
        }
        for position in &self.accounts {
            let number = account();
            digits(
                u64::from(number),
                &mut frame[*position..position + ACCOUNT.len()],
            );
        }
        frame.into()
    }
}

fn charge(amount: bool) -> pb::ChargeRequest {
    let what = match amount {
        true => What::Credits(CHARGED.to_owned()),
        false => What::Usage(pb::Usage {
            service: "lip_sync_video".to_owned(),
            quantity: Some(pb::usage::Quantity::Duration(prost_types::Duration {
                seconds: CHARGED_SECONDS,
                nanos: 0,
            })),
            ..Default::default()
        }),
    };
    pb::ChargeRequest {
        request_id: ID.to_owned(),
        account: ACCOUNT.to_owned(),
        what: Some(what),
        ..Default::default()
    }
}

/// Writes a number with all its leading zeros.
fn digits(mut number: u64, into: &mut [u8]) {
    for place in into.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// Whether a reply to a batch says that all of its charges were made.
pub fn all_charged(mut reply: &[u8], length: usize) -> Result<(), String> {
    use prost::encoding::decode_varint;
    // Field 1, one result; and in it field 1, a charge that was made.
    const RESULT: u64 = 0x0a;
    let mut made = 0_usize;
    while !reply.is_empty() {
        let field = decode_varint(&mut reply).map_err(|error| error.to_string())?;
        let bytes = decode_varint(&mut reply).map_err(|error| error.to_string())?;
        if field != RESULT {
            return Err(format!("{bytes} charges of a batch failed"));
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let Some((result, rest)) = reply.split_at_checked(bytes) else {
            return Err("a reply that ends early".to_owned());
        };
        if result.first().copied().map(u64::from) == Some(RESULT) {
            made += 1;
        }
        reply = rest;
    }
    match made == length {
        true => Ok(()),
        false => Err(format!("{made} of {length} charges of a batch were made")),
    }
}
