//! The methods of the ledger as one enum, for all tests that call several of them: tables,
//! random operations, the model, races, kills and failing disks.
//!
//! A method of the schema is one line of `calls!`. What depends on a field and not on the
//! method goes through the schema's descriptor, so that a further method needs no code for it.

use std::sync::LazyLock;

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, ServiceDescriptor,
    Value,
};
use tonic::Status;
use tonic::client::GrpcService;
use tonic::codegen::{Body, Bytes, StdError};

use super::refusal::Refusal;

/// A response of any method: it has the fields of all of them. `None` is a field that the
/// method's response does not have, or that is not set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub entry: Option<pb::Entry>,
    pub hold: Option<pb::HoldState>,
    pub available: Option<String>,
    pub replayed: bool,
    pub results: Results,
    pub failed_count: Option<i32>,
    pub balance: Option<pb::Balance>,
    pub entries: Option<Vec<pb::Entry>>,
    pub holds: Option<Vec<pb::HoldState>>,
    pub account: Option<pb::Account>,
    pub accounts: Option<Vec<pb::Account>>,
    pub next_page_token: String,
    pub opening_balance: Option<pb::OpeningBalance>,
}

/// The results of a batch, in the order of its items.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results(pub Vec<Outcome>);

pub type Outcome = Result<Reply, Refusal>;

macro_rules! calls {
    ($($verb:ident($request:ident) $method:ident -> $response:ident { $($field:ident),* })*) => {
        /// A call of a method, with its whole request.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Call {
            $($verb(pb::$request),)*
        }

        $(impl From<pb::$request> for Call {
            fn from(request: pb::$request) -> Self {
                Self::$verb(request)
            }
        }

        impl From<pb::$response> for Reply {
            fn from(response: pb::$response) -> Self {
                // A field that is missing here does not compile.
                let pb::$response { $($field),* } = response;
                Self {
                    $($field: $field.into(),)*
                    ..Self::default()
                }
            }
        })*

        impl Call {
            /// The method's name.
            pub const fn method(&self) -> &'static str {
                match self {
                    $(Self::$verb(_) => stringify!($verb),)*
                }
            }

            /// Calls a server, or the services in this process.
            pub async fn send<T>(
                self,
                ledger: &mut LedgerServiceClient<T>,
            ) -> Result<Reply, Status>
            where
                T: GrpcService<tonic::body::Body>,
                T::Error: Into<StdError>,
                T::ResponseBody: Body<Data = Bytes> + Send + 'static,
                <T::ResponseBody as Body>::Error: Into<StdError> + Send,
            {
                Ok(match self {
                    $(Self::$verb(request) => ledger.$method(request).await?.into_inner().into(),)*
                })
            }

            /// The request, by its descriptor.
            pub fn message(&self) -> DynamicMessage {
                match self {
                    $(Self::$verb(request) => {
                        let mut message = empty_request(stringify!($verb));
                        message.transcode_from(request).unwrap();
                        message
                    })*
                }
            }

            /// The call of a method with this request.
            pub fn new(method: &str, message: &DynamicMessage) -> Self {
                match method {
                    $(stringify!($verb) => Self::$verb(message.transcode_to().unwrap()),)*
                    _ => panic!("the tests do not call {method}"),
                }
            }
        }
    };
}

calls! {
    Grant(GrantRequest) grant -> GrantResponse { entry, available, replayed }
    RevokeGrant(RevokeGrantRequest) revoke_grant -> RevokeGrantResponse { entry, available, replayed }
    Charge(ChargeRequest) charge -> ChargeResponse { entry, available, replayed }
    BatchCharge(BatchChargeRequest) batch_charge -> BatchChargeResponse { results, failed_count }
    Refund(RefundRequest) refund -> RefundResponse { entry, available, replayed }
    Hold(HoldRequest) hold -> HoldResponse { hold, available, replayed }
    ExtendHold(ExtendHoldRequest) extend_hold -> ExtendHoldResponse { hold, replayed }
    SettleHold(SettleHoldRequest) settle_hold -> SettleHoldResponse { entry, hold, available, replayed }
    ReleaseHold(ReleaseHoldRequest) release_hold -> ReleaseHoldResponse { hold, available, replayed }
    GetHold(GetHoldRequest) get_hold -> GetHoldResponse { hold }
    ListHolds(ListHoldsRequest) list_holds -> ListHoldsResponse { holds, next_page_token }
    ListEntries(ListEntriesRequest) list_entries -> ListEntriesResponse { entries, next_page_token, opening_balance }
    GetBalance(GetBalanceRequest) get_balance -> GetBalanceResponse { balance }
    GetAccount(GetAccountRequest) get_account -> GetAccountResponse { account }
    ListAccounts(ListAccountsRequest) list_accounts -> ListAccountsResponse { accounts, next_page_token }
    UpdateAccount(UpdateAccountRequest) update_account -> UpdateAccountResponse { account, replayed }
}

impl From<Vec<pb::BatchChargeResult>> for Results {
    fn from(results: Vec<pb::BatchChargeResult>) -> Self {
        use pb::batch_charge_result::Result as Item;
        let results = results.into_iter();
        let outcomes = results.map(|item| match item.result.expect("each item has a result") {
            Item::Charge(response) => Ok(response.into()),
            Item::Error(status) => Err(Refusal::of_pb(&status)),
        });
        Self(outcomes.collect())
    }
}

/// The methods of the ledger, with their requests and responses.
static LEDGER: LazyLock<ServiceDescriptor> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(creditd::rpc::pb::DESCRIPTORS).unwrap();
    pool.get_service_by_name("creditd.v1.LedgerService")
        .unwrap()
});

fn descriptor(method: &str) -> MethodDescriptor {
    let mut methods = LEDGER.methods();
    let named = methods.find(|other| other.name() == method);
    named.unwrap_or_else(|| panic!("no method of the ledger: {method}"))
}

/// A method's request with nothing in it.
pub fn empty_request(method: &str) -> DynamicMessage {
    DynamicMessage::new(descriptor(method).input())
}

impl Call {
    /// The same method with another request.
    pub fn with(&self, message: &DynamicMessage) -> Self {
        Self::new(self.method(), message)
    }

    /// The same call with another value of a field.
    pub fn set(&self, field: &str, value: Value) -> Self {
        let mut message = self.message();
        message.set_field_by_name(field, value);
        self.with(&message)
    }

    /// Account and request_id of each item of a batch, and of any other call its own. The
    /// request_id of a read is empty.
    pub fn keys(&self) -> Vec<(String, String)> {
        let message = self.message();
        let Some(items) = message.get_field_by_name("charges") else {
            return vec![key(&message)];
        };
        let items = items.as_list().unwrap_or_default();
        items
            .iter()
            .filter_map(Value::as_message)
            .map(key)
            .collect()
    }

    /// The accounts that it is about.
    pub fn accounts(&self) -> Vec<String> {
        self.keys()
            .into_iter()
            .map(|(account, _)| account)
            .collect()
    }

    /// Whether it is a write with a request_id of its own: neither a read nor a batch.
    pub fn is_write(&self) -> bool {
        let response = descriptor(self.method()).output();
        response.get_field_by_name("replayed").is_some()
    }
}

/// Sets a field that is a message.
pub fn set_message(message: &mut DynamicMessage, field: &str, value: &impl prost::Message) {
    let field = message.descriptor().get_field_by_name(field).unwrap();
    let Kind::Message(kind) = field.kind() else {
        panic!("no message: {field:?}");
    };
    let mut inner = DynamicMessage::new(kind);
    inner.transcode_from(value).unwrap();
    message.set_field(&field, Value::Message(inner));
}

/// Account and request_id.
fn key(message: &DynamicMessage) -> (String, String) {
    let account = message.get_field_by_name("account");
    // An update has the whole account.
    let account = match account.as_deref().and_then(Value::as_message) {
        Some(account) => text(account, "account"),
        None => text(message, "account"),
    };
    (account, text(message, "request_id"))
}

/// A field's text; empty where the message has no such field.
pub fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value
        .as_deref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
