//! Requests, made once; only request_id and account differ from call to call.

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::charge_request::What;
use prost::Message;

/// Compressed or not, and the length of the message.
pub const PREFIX_BYTES: usize = 5;

pub const CHARGE: &str = "/creditd.v1.LedgerService/Charge";
pub const BATCH_CHARGE: &str = "/creditd.v1.LedgerService/BatchCharge";
pub const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";
pub const BATCH_ESTIMATE: &str = "/creditd.v1.PricingService/BatchEstimate";
const GRANT: &str = "/creditd.v1.LedgerService/Grant";
const ENTRIES: &str = "/creditd.v1.LedgerService/ListEntries";
const BALANCE: &str = "/creditd.v1.LedgerService/GetBalance";

/// What every charge costs: that much lip sync, or that amount. A person can check it
/// against the list.
pub const CHARGED: &str = "0.248";
/// The service that it is.
pub const SERVICE: &str = "lip_sync_video";
const CHARGED_SECONDS: i64 = 31;
/// More than a run can charge an account.
pub const GRANTED: &str = "1000000000";

/// Stands in a request where its id will be: 16 digits.
const ID: &str = "iiiiiiiiiiiiiiii";
/// Stands in a request where the account will be: 12 digits.
const ACCOUNT: &str = "aaaaaaaaaaaa";

/// A request with gaps, and the method that it is for.
pub struct Template {
    pub method: &'static str,
    frame: Vec<u8>,
    ids: Vec<usize>,
    accounts: Vec<usize>,
}

impl Template {
    fn of(method: &'static str, request: &impl Message) -> Self {
        let frame = frame(&request.encode_to_vec());
        let positions = |gap: &str| {
            let windows = frame.windows(gap.len()).enumerate();
            let found = windows.filter(|(_, window)| *window == gap.as_bytes());
            found.map(|(position, _)| position).collect()
        };
        Self {
            method,
            ids: positions(ID),
            accounts: positions(ACCOUNT),
            frame,
        }
    }

    /// One charge, of a usage or of an amount.
    pub fn charge(amount: bool) -> Self {
        Self::of(CHARGE, &charge(amount))
    }

    /// Many charges in one call.
    pub fn batch(length: usize, amount: bool) -> Self {
        Self::of(
            BATCH_CHARGE,
            &pb::BatchChargeRequest {
                charges: vec![charge(amount); length],
            },
        )
    }

    /// Credits for an account.
    pub fn grant(credits: &str) -> Self {
        Self::of(
            GRANT,
            &pb::GrantRequest {
                request_id: ID.to_owned(),
                account: ACCOUNT.to_owned(),
                credits: credits.to_owned(),
                source: "benchmark".to_owned(),
                ..Default::default()
            },
        )
    }

    pub fn balance(as_of: Option<prost_types::Timestamp>) -> Self {
        Self::of(
            BALANCE,
            &pb::GetBalanceRequest {
                account: ACCOUNT.to_owned(),
                as_of,
            },
        )
    }

    /// The newest entries of an account.
    pub fn entries() -> Self {
        Self::of(
            ENTRIES,
            &pb::ListEntriesRequest {
                account: ACCOUNT.to_owned(),
                ..Default::default()
            },
        )
    }

    /// What a usage costs; None: of a service that is filled in.
    pub fn estimate(service: Option<&str>) -> Self {
        Self::of(
            ESTIMATE,
            &pb::EstimateRequest {
                usage: Some(usage(service.unwrap_or(ACCOUNT))),
                ..Default::default()
            },
        )
    }

    /// What many usages cost.
    pub fn estimates(length: usize) -> Self {
        Self::of(
            BATCH_ESTIMATE,
            &pb::BatchEstimateRequest {
                usages: vec![usage(SERVICE); length],
                ..Default::default()
            },
        )
    }

    /// How many items it has, each with an id or an account of its own; at least one.
    pub fn items(&self) -> u64 {
        let items = self.accounts.len().max(self.ids.len()).max(1);
        u64::try_from(items).unwrap_or_default()
    }

    pub fn bytes(&self) -> usize {
        self.frame.len()
    }

    /// The request as it is, without gaps or with them.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Writes the request with its gaps filled: ids from `first_id` on, and these accounts.
    pub fn write(&self, first_id: u64, accounts: impl Iterator<Item = u32>, into: &mut Vec<u8>) {
        let begin = into.len();
        into.extend_from_slice(&self.frame);
        let frame = &mut into[begin..];
        for (id, position) in (first_id..).zip(&self.ids) {
            digits(id, &mut frame[*position..position + ID.len()]);
        }
        for (account, position) in accounts.zip(&self.accounts) {
            digits(
                u64::from(account),
                &mut frame[*position..position + ACCOUNT.len()],
            );
        }
    }
}

fn usage(service: &str) -> pb::Usage {
    pb::Usage {
        service: service.to_owned(),
        quantity: Some(pb::usage::Quantity::Duration(prost_types::Duration {
            seconds: CHARGED_SECONDS,
            nanos: 0,
        })),
        ..Default::default()
    }
}

/// A frame around a message.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a message is small");
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

fn charge(amount: bool) -> pb::ChargeRequest {
    let what = match amount {
        true => What::Credits(CHARGED.to_owned()),
        false => What::Usage(usage(SERVICE)),
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
pub fn all_charged(mut reply: &[u8], length: u64) -> Result<(), String> {
    use prost::encoding::decode_varint;
    // Field 1, one result; and in it field 1, a charge that was made.
    const RESULT: u64 = 0x0a;
    let mut made = 0_u64;
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
