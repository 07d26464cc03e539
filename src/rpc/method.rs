//! What is known of each method, in one table. Router, limits, deadline, log and counts read
//! it; a test compares it with the schema.

use crate::domain::keys::Scope;

/// A method of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// As HTTP names it: "/package.Service/Method".
    pub path: &'static str,
    /// Which service has it.
    pub service: Service,
    /// How it is called and what limits it.
    pub kind: Kind,
    /// What its caller must be allowed to do; None: nothing.
    pub scope: Option<Scope>,
    /// Why it may be sent again where its answer is unknown.
    pub repeat: Repeat,
}

impl Method {
    /// Its place in [`METHODS`].
    #[must_use]
    pub fn number(&'static self) -> usize {
        let mut methods = METHODS.iter();
        let place = methods.position(|other| std::ptr::eq(other, self));
        place.unwrap_or(METHODS.len())
    }

    /// Service and method by their names: "creditd.v1.LedgerService" and "Charge".
    #[must_use]
    pub fn names(&self) -> (&'static str, &'static str) {
        let path = self.path.strip_prefix('/').unwrap_or(self.path);
        path.rsplit_once('/').unwrap_or((path, ""))
    }
}

/// A service of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// creditd.v1.PricingService.
    Pricing,
    /// creditd.v1.LedgerService.
    Ledger,
    /// creditd.v1.AdminService.
    Admin,
    /// grpc.health.v1.Health.
    Health,
    /// grpc.reflection.v1.ServerReflection.
    Reflection,
    /// The same, in the version before.
    ReflectionAlpha,
}

/// How a method is called and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One request, one reply.
    Unary,
    /// The same, with many items in both.
    Batch,
    /// The same, with a page of items in the reply.
    List,
    /// A stream of a balance, until its caller has enough.
    BalanceWatch,
    /// A question about health, which is always answered: a server that is busy is not ill.
    HealthCheck,
    /// A stream of health, until its caller has enough.
    HealthWatch,
    /// A stream of questions about the schema, which the server ends after a while.
    Reflection,
}

impl Kind {
    /// Whether replies are a stream.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(
            self,
            Self::BalanceWatch | Self::HealthWatch | Self::Reflection
        )
    }

    /// Whether one call can take megabytes.
    #[must_use]
    pub const fn is_large(self) -> bool {
        matches!(self, Self::Batch | Self::List)
    }
}

/// Why a method may be sent again where its answer is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing.
    Read,
    /// Its request_id is an idempotency key: it takes effect once.
    RequestId,
    /// What it asks for is so already the second time, and the answer is the same.
    Same,
    /// It may not: it takes effect each time.
    Never,
}

const fn pricing(path: &'static str, kind: Kind) -> Method {
    Method {
        path,
        service: Service::Pricing,
        kind,
        scope: Some(Scope::Price),
        repeat: Repeat::Read,
    }
}

const fn ledger(path: &'static str, kind: Kind, scope: Scope) -> Method {
    Method {
        path,
        service: Service::Ledger,
        kind,
        scope: Some(scope),
        repeat: match scope {
            Scope::Charge | Scope::Grant => Repeat::RequestId,
            Scope::Price | Scope::Read | Scope::Admin => Repeat::Read,
        },
    }
}

const fn admin(path: &'static str, kind: Kind, scope: Scope, repeat: Repeat) -> Method {
    Method {
        path,
        service: Service::Admin,
        kind,
        scope: Some(scope),
        repeat,
    }
}

const fn about_server(path: &'static str, service: Service, kind: Kind) -> Method {
    Method {
        path,
        service,
        kind,
        scope: None,
        repeat: Repeat::Read,
    }
}

/// All methods; those that are called most come first.
pub static METHODS: &[Method] = &[
    pricing("/creditd.v1.PricingService/Estimate", Kind::Unary),
    ledger(
        "/creditd.v1.LedgerService/Charge",
        Kind::Unary,
        Scope::Charge,
    ),
    ledger(
        "/creditd.v1.LedgerService/GetBalance",
        Kind::Unary,
        Scope::Read,
    ),
    pricing("/creditd.v1.PricingService/BatchEstimate", Kind::Batch),
    pricing("/creditd.v1.PricingService/GetRateCard", Kind::List),
    ledger(
        "/creditd.v1.LedgerService/BatchCharge",
        Kind::Batch,
        Scope::Charge,
    ),
    ledger(
        "/creditd.v1.LedgerService/WatchBalance",
        Kind::BalanceWatch,
        Scope::Read,
    ),
    ledger(
        "/creditd.v1.LedgerService/ListEntries",
        Kind::List,
        Scope::Read,
    ),
    ledger("/creditd.v1.LedgerService/Grant", Kind::Unary, Scope::Grant),
    ledger(
        "/creditd.v1.LedgerService/Refund",
        Kind::Unary,
        Scope::Charge,
    ),
    ledger("/creditd.v1.LedgerService/Hold", Kind::Unary, Scope::Charge),
    ledger(
        "/creditd.v1.LedgerService/ExtendHold",
        Kind::Unary,
        Scope::Charge,
    ),
    ledger(
        "/creditd.v1.LedgerService/SettleHold",
        Kind::Unary,
        Scope::Charge,
    ),
    ledger(
        "/creditd.v1.LedgerService/ReleaseHold",
        Kind::Unary,
        Scope::Charge,
    ),
    ledger(
        "/creditd.v1.LedgerService/GetHold",
        Kind::Unary,
        Scope::Read,
    ),
    ledger(
        "/creditd.v1.LedgerService/ListHolds",
        Kind::List,
        Scope::Read,
    ),
    ledger(
        "/creditd.v1.LedgerService/RevokeGrant",
        Kind::Unary,
        Scope::Grant,
    ),
    ledger(
        "/creditd.v1.LedgerService/GetAccount",
        Kind::Unary,
        Scope::Read,
    ),
    ledger(
        "/creditd.v1.LedgerService/ListAccounts",
        Kind::List,
        Scope::Read,
    ),
    ledger(
        "/creditd.v1.LedgerService/UpdateAccount",
        Kind::Unary,
        Scope::Grant,
    ),
    admin(
        "/creditd.v1.AdminService/PublishRateCard",
        Kind::Unary,
        Scope::Admin,
        Repeat::Same,
    ),
    admin(
        "/creditd.v1.AdminService/ListRateCards",
        Kind::List,
        Scope::Price,
        Repeat::Read,
    ),
    admin(
        "/creditd.v1.AdminService/WithdrawRateCard",
        Kind::Unary,
        Scope::Admin,
        Repeat::Same,
    ),
    admin(
        "/creditd.v1.AdminService/CreateKey",
        Kind::Unary,
        Scope::Admin,
        Repeat::Never,
    ),
    admin(
        "/creditd.v1.AdminService/ListKeys",
        Kind::List,
        Scope::Admin,
        Repeat::Read,
    ),
    admin(
        "/creditd.v1.AdminService/RevokeKey",
        Kind::Unary,
        Scope::Admin,
        Repeat::Same,
    ),
    admin(
        "/creditd.v1.AdminService/ListAdminEvents",
        Kind::List,
        Scope::Admin,
        Repeat::Read,
    ),
    admin(
        "/creditd.v1.AdminService/ReloadConfig",
        Kind::Unary,
        Scope::Admin,
        Repeat::Same,
    ),
    about_server(
        "/grpc.health.v1.Health/Check",
        Service::Health,
        Kind::HealthCheck,
    ),
    about_server(
        "/grpc.health.v1.Health/Watch",
        Service::Health,
        Kind::HealthWatch,
    ),
    about_server(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Service::Reflection,
        Kind::Reflection,
    ),
    about_server(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Service::ReflectionAlpha,
        Kind::Reflection,
    ),
];

/// The method of that path, where there is one.
#[must_use]
pub fn find(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost_reflect::{DescriptorPool, MessageDescriptor};

    use super::*;
    use crate::rpc::pb::DESCRIPTORS;

    /// The message, and what its repeated fields are made of: items of batches.
    fn has_field(message: &MessageDescriptor, name: &str) -> bool {
        let items = message
            .fields()
            .filter(prost_reflect::FieldDescriptor::is_list);
        let mut items = items.filter_map(|field| field.kind().as_message().cloned());
        message.get_field_by_name(name).is_some()
            || items.any(|item| item.get_field_by_name(name).is_some())
    }

    fn methods_of(descriptors: &[u8]) -> BTreeMap<String, prost_reflect::MethodDescriptor> {
        let pool = DescriptorPool::decode(descriptors).unwrap();
        let services: Vec<_> = pool.services().collect();
        let methods = services.iter().flat_map(|service| service.methods());
        methods
            .map(|method| {
                let service = method.parent_service().full_name().to_owned();
                (format!("/{service}/{}", method.name()), method)
            })
            .collect()
    }

    #[test]
    fn the_table_says_what_the_schema_says() {
        let mut schema = methods_of(DESCRIPTORS);
        schema.extend(methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET));
        schema.extend(methods_of(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        schema.extend(methods_of(
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ));
        for method in METHODS {
            let path = method.path;
            let described = schema.remove(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                method.kind.streams(),
                described.is_server_streaming(),
                "{path}"
            );
            assert_eq!(
                method.kind == Kind::Batch,
                described.name().starts_with("Batch"),
                "{path}"
            );
            let pages = has_field(&described.output(), "next_page_token");
            assert_eq!(method.kind == Kind::List, pages, "{path}");
            // Reads may filter by a request_id; what writes also says whether it was done before.
            let (input, output) = (described.input(), described.output());
            let writes = has_field(&input, "request_id") && described.name() != "ListHolds";
            assert_eq!(method.repeat == Repeat::RequestId, writes, "{path}");
            let replays = has_field(&output, "replayed") || method.kind == Kind::Batch && writes;
            assert_eq!(replays, writes, "{path}");
            let writes_only = matches!(method.scope, Some(Scope::Charge | Scope::Grant));
            assert_eq!(writes_only, writes, "{path}");
            // What administers changes something, unless it lists.
            let administers = method.scope == Some(Scope::Admin) && method.kind != Kind::List;
            let changes = matches!(method.repeat, Repeat::Same | Repeat::Never);
            assert_eq!(changes, administers, "{path}");
        }
        let missing: Vec<_> = schema.into_keys().collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
