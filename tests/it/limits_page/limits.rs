//! The limits of the code, as the page names them.

use std::collections::BTreeMap;

use creditd::app::card_file::{
    CARD_CELLS_MAX, ENTRIES_MAX, FILE_BYTES_MAX, PUBLISHED_BYTES_MAX, ROWS_MAX, SERVICES_MAX,
    VALUES_MAX,
};
use creditd::app::certificates::CLIENTS_MAX;
use creditd::app::token::{ADMIN_TOKEN_BYTES_MIN, TOKEN_BYTES_MAX};
use creditd::app::{
    BALANCE_GRANTS_MAX, BATCH_LENGTH_MAX, HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX,
};
use creditd::domain::Credits;
use creditd::domain::amount::DECIMALS_MAX;
use creditd::domain::keys::{
    KEY_ACCOUNTS_MAX, KEY_CALLS_PER_SECOND_MAX, KEY_ID_BYTES_MAX, KEY_TITLE_BYTES_MAX,
};
use creditd::domain::ledger::{LIVE_GRANTS_MAX, OPEN_HOLDS_MAX};
use creditd::domain::names::{
    ACCOUNT_BYTES_MAX, KEY_BYTES_MAX, PAIRS_MAX, REPEATED_BYTES_MAX, REQUEST_ID_BYTES_MAX,
    SERVICE_BYTES_MAX, SERVICE_GRAMMAR, VALUE_BYTES_MAX, X_REQUEST_ID_BYTES_MAX,
};
use creditd::domain::pricing::PER_MAX_UNITS;
use creditd::domain::pricing::lines::{
    CELLS_MAX, FORMULA_BYTES_MAX, FORMULA_DEPTH_MAX, NUMBER_BYTES_MAX, PRODUCT_NAMES_MAX,
    PRODUCTS_MAX, SECONDS_MAX, UNITS_MAX,
};
use creditd::domain::schedule::{PUBLICATIONS_MAX, SCHEDULED_MAX};
use creditd::line_rate::LINES_PER_SECOND_MAX;
use creditd::rpc::convert::DURATION_SECONDS_MAX;
use creditd::rpc::convert::page::{KINDS_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use creditd::rpc::convert::write::GRANT_SERVICES_MAX;
use creditd::rpc::layer::limits::{
    BALANCE_WATCHES_FLOOR, CALL_BYTES, CALLS_FLOOR, CHECKS_FLOOR_BYTES, HEALTH_REQUEST_BYTES_MAX,
    HEALTH_WATCHES_FLOOR, HEALTH_WATCHES_MAX, MEMORY_FLOOR_BYTES, PAGES_AT_ONCE_MAX,
    REFLECTIONS_FLOOR, REFLECTIONS_MAX,
};
use creditd::rpc::{
    CARD_LOADS_MAX, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, PUBLICATIONS_UNDER_WAY_MAX,
};
use creditd::server::files::FOLLOW_INTERVAL_MS;
use creditd::server::{Options, limits as connection};
use creditd::store::keys::KEYS_MAX;
use creditd::store::sqlite::{
    BATCH_DELAY_TARGET, DELAY_TARGET_MIN, GROUP_LENGTH_MAX, OVERLOAD_INTERVAL,
    OVERLOADED_ITEMS_MAX, QUEUE_WRITES_MAX, QUEUE_WRITES_MIN, SCAN_SLICE_TIME_MAX, SLICE_MAX,
    SLICE_MIN,
};

use super::words::{number, size};

/// The limits of the code, by their names on the page.
pub fn limits() -> BTreeMap<String, String> {
    let grammar = SERVICE_GRAMMAR.split_once(" of ").unwrap().1;
    let amount = format!("{} credits", number(Credits::MAX));
    let message = size(MESSAGE_BYTES_MAX.try_into().unwrap());
    let config = Options::default().over(Options::default()).unwrap();
    let ms = |time: std::time::Duration| format!("{} ms", number(time.as_millis()));
    let seconds = |time: std::time::Duration| format!("{} s", number(time.as_secs()));
    let more = format!(
        "{} more than the longest call",
        seconds(connection::REPLY_GRACE)
    );
    let ping = format!(
        "the answer to a ping of the server, which it sends after {} without a frame",
        seconds(connection::KEEP_ALIVE_INTERVAL)
    );
    let age = config.revision_age_days_max;
    let rows = [
        (
            "account",
            format!("1 to {ACCOUNT_BYTES_MAX} printable ASCII characters but space, `\"` and `\\`"),
        ),
        (
            "request_id",
            format!("1 to {REQUEST_ID_BYTES_MAX} printable ASCII characters"),
        ),
        (
            "service: the key of a row of a rate card, in usages, grants and filters",
            format!("1 to {SERVICE_BYTES_MAX} of `{grammar}`"),
        ),
        (
            "key_id that a list of entries is filtered by",
            format!("up to {}", KEY_ID_BYTES_MAX),
        ),
        (
            "name of a rate card",
            format!("1 to {KEY_BYTES_MAX} of `a-z A-Z 0-9 _ . -`"),
        ),
        (
            "title, rule and piece in a rate card",
            format!("1 to {VALUE_BYTES_MAX}, on one line"),
        ),
        (
            "labels, attributes or meters of one thing",
            number(PAIRS_MAX),
        ),
        (
            "key of a label, attribute or meter",
            format!("1 to {KEY_BYTES_MAX}"),
        ),
        (
            "value of a label, attribute or meter",
            format!("0 to {VALUE_BYTES_MAX}"),
        ),
        ("source of a grant", format!("0 to {VALUE_BYTES_MAX}")),
        (
            "`x-request-id`, the name of a call in the log",
            format!("1 to {X_REQUEST_ID_BYTES_MAX} printable ASCII characters"),
        ),
        (
            "a text that is refused, where an error repeats it",
            format!("its first {REPEATED_BYTES_MAX}"),
        ),
        ("an amount, a cost, the total of a batch", amount.clone()),
        (
            "available and held credits of an account together",
            amount.clone(),
        ),
        ("decimals of an amount", number(DECIMALS_MAX)),
        (
            "duration of a usage",
            format!("more than 0, at most {} s", number(DURATION_SECONDS_MAX)),
        ),
        ("count of a usage", format!("1 to {}", number(i64::MAX))),
        (
            "`per` of a price",
            format!("{} seconds or pieces", number(PER_MAX_UNITS)),
        ),
        ("a time", "the years 1 to 9999".to_owned()),
        (
            "how long a hold can be made or extended for",
            format!("more than 0, at most {} s", number(HOLD_TTL_SECONDS_MAX)),
        ),
        (
            "how long a hold is where nothing is said",
            format!("{} s", number(HOLD_TTL_SECONDS_DEFAULT)),
        ),
        (
            "items of a batch",
            format!("1 to {}", number(BATCH_LENGTH_MAX)),
        ),
        (
            "services that a grant is for",
            format!("{}, and none for all", number(GRANT_SERVICES_MAX)),
        ),
        ("live grants of an account", number(LIVE_GRANTS_MAX)),
        ("open holds of an account", number(OPEN_HOLDS_MAX)),
        ("grants that a balance lists", number(BALANCE_GRANTS_MAX)),
        ("length of a page", number(PAGE_SIZE_MAX)),
        (
            "length of a page where nothing is said",
            number(PAGE_SIZE_DEFAULT),
        ),
        ("kinds that a filter names", number(KINDS_MAX)),
        (
            "services of a rate card",
            format!("1 to {}", number(SERVICES_MAX)),
        ),
        ("`[[client]]` of a configuration file", number(CLIENTS_MAX)),
        ("meters of a service", number(PAIRS_MAX)),
        ("attributes of a service", number(PAIRS_MAX)),
        ("values of all attributes of a service", number(VALUES_MAX)),
        ("named quantities of a service", number(ENTRIES_MAX)),
        ("lines of a service", format!("1 to {ENTRIES_MAX}")),
        ("factors of a service", number(ENTRIES_MAX)),
        ("rows of prices of a service", number(ROWS_MAX)),
        (
            "combinations of words and ranges of a line",
            number(CELLS_MAX),
        ),
        (
            "combinations of a rate card, over all lines of all services",
            number(CARD_CELLS_MAX),
        ),
        (
            "name of a meter, attribute, quantity or line",
            format!("1 to {KEY_BYTES_MAX} of `a-z 0-9 _`, a letter first"),
        ),
        (
            "text of a formula",
            format!("{} bytes", number(FORMULA_BYTES_MAX)),
        ),
        (
            "brackets within each other in a formula",
            number(FORMULA_DEPTH_MAX),
        ),
        (
            "products of a formula, multiplied out",
            number(PRODUCTS_MAX),
        ),
        ("names of a product", number(PRODUCT_NAMES_MAX)),
        (
            "a number in a rate card, its point counted",
            format!("{NUMBER_BYTES_MAX} characters"),
        ),
        ("decimals of a meter", number(DECIMALS_MAX)),
        ("a meter whose card says no `max`", number(UNITS_MAX)),
        (
            "a meter in time whose card says no `max`",
            format!("{} s", number(SECONDS_MAX)),
        ),
        ("publications that a server keeps", number(PUBLICATIONS_MAX)),
        ("scheduled rate cards of one name", number(SCHEDULED_MAX)),
        (
            "accounts and prefixes that a key is bound to",
            format!("{KEY_ACCOUNTS_MAX}, and none for all"),
        ),
        ("title of a key", format!("0 to {KEY_TITLE_BYTES_MAX}")),
        (
            "a key's limit of calls a second",
            format!("1 to {}, and 0 for none", number(KEY_CALLS_PER_SECOND_MAX)),
        ),
        (
            "keys that are neither revoked nor expired",
            number(KEYS_MAX),
        ),
        ("a token in the metadata of a call", number(TOKEN_BYTES_MAX)),
        (
            "`--admin-key-file`, a key that the server is started with",
            format!(
                "{ADMIN_TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} printable ASCII characters but space"
            ),
        ),
        ("calls a second of a key", "none".to_owned()),
        (
            "`--account-calls-per-second-max`, calls a second that name an account",
            "none".to_owned(),
        ),
        (
            "publications under way at once",
            format!("{PUBLICATIONS_UNDER_WAY_MAX}, of which {CARD_LOADS_MAX} are read at a time"),
        ),
        ("a request", message.clone()),
        ("the reply to a batch", message.clone()),
        ("the reply to a list", message.clone()),
        (
            "metadata of a call",
            size(METADATA_BYTES_MAX.try_into().unwrap()),
        ),
        ("a rate card file", size(FILE_BYTES_MAX)),
        (
            "a rate card that is published",
            size(PUBLISHED_BYTES_MAX.try_into().unwrap()),
        ),
        (
            "the first byte of a connection",
            format!("within {}", seconds(connection::FIRST_BYTE_TIMEOUT)),
        ),
        (
            "a TLS handshake",
            format!("within {}", seconds(connection::HANDSHAKE_TIMEOUT)),
        ),
        (
            "the first call of a connection",
            format!("within {}", seconds(connection::FIRST_CALL_TIMEOUT)),
        ),
        (
            "calls of a connection at once",
            number(connection::STREAMS_MAX),
        ),
        (
            "the same while its thread cannot keep up, beside watches",
            format!(
                "{} to {}, by the load",
                number(connection::STREAMS_MIN),
                number(connection::STREAMS_MAX)
            ),
        ),
        (
            "how long each connection waits for its turn before there are fewer calls at once",
            format!(
                "{}, for {}",
                ms(connection::ROUND_TARGET),
                ms(connection::WINDOW)
            ),
        ),
        (
            "a frame that is no part of a message, a header block",
            format!(
                "whole within {} of its first byte",
                seconds(connection::FRAME_TIMEOUT)
            ),
        ),
        (
            "what is sent, where the socket takes none of it",
            seconds(connection::WRITE_TIMEOUT),
        ),
        (
            "a reply that does not leave, for want of a window",
            format!("{more}, checked as often"),
        ),
        (ping.as_str(), seconds(connection::KEEP_ALIVE_TIMEOUT)),
        (
            "frames beside calls: PING, SETTINGS, WINDOW_UPDATE, RST_STREAM, PRIORITY, unknown ones",
            format!(
                "{} at once; {} more a second, {} a call, 1 for each {} bytes of replies",
                number(connection::BUDGET_FRAMES_MAX),
                connection::FRAMES_PER_SECOND,
                connection::FRAMES_PER_CALL,
                connection::SENT_BYTES_PER_FRAME
            ),
        ),
        (
            "the message of a call that was refused before it came",
            format!(
                "{}, within {}",
                size(connection::BODY_BYTES_MAX.try_into().unwrap()),
                seconds(connection::BODY_TIMEOUT)
            ),
        ),
        (
            "a connection without a call, after GOAWAY",
            format!(
                "{}, or {} while its socket is busy; {} is read",
                seconds(connection::IDLE_GRACE * 2),
                seconds(connection::IDLE_GRACE * connection::IDLE_CHECKS_MAX),
                size(connection::LATE_BYTES_MAX.try_into().unwrap())
            ),
        ),
        ("a connection with calls, after GOAWAY", more),
        (
            "`--admin-listen`, connections to the listener of metrics and probes",
            number(connection::ADMIN_CONNECTIONS_MAX),
        ),
        (
            "`--admin-listen`, headers of a request to it",
            format!(
                "{}, within {}",
                size(connection::ADMIN_HEADER_BYTES_MAX.try_into().unwrap()),
                seconds(connection::ADMIN_HEADER_TIMEOUT)
            ),
        ),
        (
            "`--admin-listen`, any connection to it",
            seconds(connection::ADMIN_CONNECTION_AGE_MAX),
        ),
        (
            "`--admin-listen`, pairs of service and rate card that metrics count apart",
            number(creditd::store::metrics::PAIRS_MAX),
        ),
        ("`--calls-max`, calls in flight", number(config.calls_max)),
        (
            "`--call-memory-mib-max`, memory for requests and replies",
            size(config.call_memory_bytes_max.try_into().unwrap()),
        ),
        (
            "`--connections-max`, connections",
            number(config.connections_max),
        ),
        (
            "`--connection-idle-seconds-max`, a connection without a call",
            seconds(config.connection_idle_max),
        ),
        (
            "`--connection-age-seconds-max`, any connection",
            format!(
                "{}, a tenth more or less",
                seconds(config.connection_age_max)
            ),
        ),
        (
            "`--watchers-max`, balances that are watched",
            number(config.watchers_max),
        ),
        (
            "memory for requests and replies of one connection",
            format!(
                "a quarter of what is free, at least {}",
                size(MEMORY_FLOOR_BYTES.try_into().unwrap())
            ),
        ),
        (
            "calls in flight of one connection",
            format!("a quarter of those that are free, at least {CALLS_FLOOR}"),
        ),
        (
            "memory of all calls without a key, where others have keys: of health and reflection",
            format!(
                "a quarter of what is free, and {} of checks of health for each connection",
                size(u64::try_from(CHECKS_FLOOR_BYTES).unwrap())
            ),
        ),
        (
            "a request about health",
            size(u64::try_from(HEALTH_REQUEST_BYTES_MAX).unwrap()),
        ),
        (
            "memory, calls in flight and watched balances of one key",
            "four times what is free: four fifths of all for a key alone".to_owned(),
        ),
        (
            "balances watched by one connection",
            format!("a quarter of those that are free, at least {BALANCE_WATCHES_FLOOR}"),
        ),
        (
            "watches of health of one connection",
            format!(
                "a quarter of those that are free, at least {HEALTH_WATCHES_FLOOR}, of {}",
                number(HEALTH_WATCHES_MAX)
            ),
        ),
        (
            "streams of reflection of one connection",
            format!(
                "a quarter of those that are free, at least {REFLECTIONS_FLOOR}, of {REFLECTIONS_MAX}"
            ),
        ),
        (
            "pages of lists of one connection that are made or sent at a time",
            number(PAGES_AT_ONCE_MAX),
        ),
        (
            "a call, beside its metadata and its messages",
            format!("counts as {}", size(CALL_BYTES.try_into().unwrap())),
        ),
        (
            "large calls, which are batches and lists",
            "seven eighths of all that there is, and of a share".to_owned(),
        ),
        (
            "`--deadline-ms-max`, the longest call",
            ms(config.deadline_max),
        ),
        (
            "`--drain-ms-max`, how long calls in flight may go on at a stop",
            ms(config.drain_max),
        ),
        (
            "`--request-id-hours`, how long a request_id is known at least",
            format!("{} h", config.store.request_hours),
        ),
        (
            "`--request-id-days-credits`, the same for what brings credits in or back",
            format!("{} days", config.store.request_days_credits),
        ),
        (
            "`--request-id-memory-mib-max`, memory for finding request_ids",
            size(config.store.request_filter_bytes_max.try_into().unwrap()),
        ),
        (
            "`--accounts-in-memory-max`, accounts in memory",
            number(config.store.accounts_max),
        ),
        (
            "`--revision-age-days-max`, how long replaced prices are honoured",
            age.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days")),
        ),
        (
            "lines of the log about calls of one method that ended by one code",
            format!("{LINES_PER_SECOND_MAX} a second"),
        ),
        (
            "time between two segments, and so what may be lost with the disk",
            format!(
                "{} to {} ms",
                FOLLOW_INTERVAL_MS.start(),
                number(FOLLOW_INTERVAL_MS.end())
            ),
        ),
        ("single writes that wait", number(QUEUE_WRITES_MAX)),
        (
            "single writes that may wait however slow the ledger is",
            number(QUEUE_WRITES_MIN),
        ),
        (
            "how long every write must have waited too long before the ledger is overloaded",
            ms(OVERLOAD_INTERVAL),
        ),
        (
            "how long a write should wait while it is overloaded",
            ms(DELAY_TARGET_MIN),
        ),
        (
            "charges of batches that wait while it is overloaded",
            number(OVERLOADED_ITEMS_MAX),
        ),
        (
            "how long a batch should wait for its first part while it is overloaded",
            ms(BATCH_DELAY_TARGET),
        ),
        (
            "commands and reads of one write to disk, parts of batches apart",
            number(GROUP_LENGTH_MAX),
        ),
        (
            "how long a part of a batch takes while others wait",
            format!("{} to {}", SLICE_MIN.as_millis(), ms(SLICE_MAX)),
        ),
        (
            "how long a part of a search for a page of entries takes",
            ms(SCAN_SLICE_TIME_MAX),
        ),
    ];
    rows.into_iter()
        .chain(super::copies::rows())
        .chain(super::traces::rows())
        .map(|(what, limit)| (what.to_owned(), limit))
        .collect()
}
