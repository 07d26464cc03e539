//! The methods, how often each is called, and all that it can answer.

/// A method, and what is expected of it in a long run.
pub struct Method {
    pub name: &'static str,
    /// How often it is called, beside the others.
    pub weight: u64,
    /// All that it can answer, but for what takes too many operations to come about.
    pub answers: &'static [&'static str],
}

pub const METHODS: [Method; 16] = [
    Method {
        name: "Grant",
        weight: 10,
        answers: &["ok", "replayed", "BALANCE_TOO_LARGE"],
    },
    Method {
        name: "Charge",
        weight: 20,
        answers: &[
            "ok",
            "replayed",
            "INSUFFICIENT_CREDITS",
            "RATE_CARD_NOT_FOUND",
            "REVISION_NOT_FOUND",
            "UNKNOWN_SERVICE",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ],
    },
    Method {
        name: "BatchCharge",
        weight: 4,
        answers: &[
            "ok",
            "replayed",
            "REQUEST_ID_REUSED",
            "INSUFFICIENT_CREDITS",
            "ACCOUNT_NOT_FOUND",
            "RATE_CARD_NOT_FOUND",
            "REVISION_NOT_FOUND",
            "UNKNOWN_SERVICE",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ],
    },
    Method {
        name: "Refund",
        weight: 9,
        answers: &[
            "ok",
            "replayed",
            "ENTRY_NOT_FOUND",
            "ENTRY_NOT_REFUNDABLE",
            "REFUND_EXCEEDS_CHARGE",
            "BALANCE_TOO_LARGE",
        ],
    },
    Method {
        name: "Hold",
        weight: 13,
        answers: &[
            "ok",
            "replayed",
            "INSUFFICIENT_CREDITS",
            "RATE_CARD_NOT_FOUND",
            "REVISION_NOT_FOUND",
            "UNKNOWN_SERVICE",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ],
    },
    Method {
        name: "ExtendHold",
        weight: 4,
        answers: &["ok", "replayed", "HOLD_NOT_FOUND", "HOLD_CLOSED"],
    },
    Method {
        name: "SettleHold",
        weight: 15,
        answers: &[
            "ok",
            "replayed",
            "HOLD_NOT_FOUND",
            "HOLD_CLOSED",
            "HOLD_SERVICE_MISMATCH",
            "HOLD_EXCEEDED",
            "INSUFFICIENT_CREDITS",
            "RATE_CARD_NOT_FOUND",
            "REVISION_NOT_FOUND",
            "UNKNOWN_SERVICE",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ],
    },
    Method {
        name: "ReleaseHold",
        weight: 5,
        answers: &["ok", "replayed", "HOLD_NOT_FOUND", "HOLD_CLOSED"],
    },
    Method {
        name: "RevokeGrant",
        weight: 2,
        answers: &["ok", "replayed", "GRANT_NOT_FOUND"],
    },
    Method {
        name: "GetHold",
        weight: 3,
        answers: &["ok", "HOLD_NOT_FOUND", "ACCOUNT_NOT_FOUND"],
    },
    Method {
        name: "ListHolds",
        weight: 3,
        answers: &[
            "ok",
            "INVALID_PAGE_SIZE",
            "INVALID_PAGE_TOKEN",
            "INVALID_REQUEST_ID",
            "INVALID_LENGTH",
            "INVALID_TIME",
        ],
    },
    Method {
        name: "ListEntries",
        weight: 5,
        answers: &[
            "ok",
            "HOLD_NOT_FOUND",
            "INVALID_PAGE_SIZE",
            "INVALID_PAGE_TOKEN",
            "UNKNOWN_VALUE",
            "INVALID_LENGTH",
        ],
    },
    Method {
        name: "GetBalance",
        weight: 7,
        answers: &["ok", "INVALID_TIME", "ACCOUNT_NOT_FOUND"],
    },
    Method {
        name: "GetAccount",
        weight: 4,
        answers: &["ok", "ACCOUNT_NOT_FOUND"],
    },
    Method {
        name: "ListAccounts",
        weight: 4,
        answers: &["ok", "INVALID_PAGE_SIZE", "INVALID_PAGE_TOKEN"],
    },
    Method {
        name: "UpdateAccount",
        weight: 7,
        answers: &[
            "ok",
            "replayed",
            "INVALID_MASK",
            "RATE_CARD_NOT_FOUND",
            "TOO_MANY_ITEMS",
            "INVALID_LENGTH",
            "UNKNOWN_ATTRIBUTE",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ],
    },
];

/// What every write can be refused for beside its answers. Grant opens accounts, and is not
/// refused for the first of them.
pub const REFUSALS_OF_WRITES: [&str; 5] = [
    "ACCOUNT_NOT_FOUND",
    "REQUEST_ID_REUSED",
    "FIELD_REQUIRED",
    "INVALID_ACCOUNT",
    "INVALID_REQUEST_ID",
];
