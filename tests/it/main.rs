//! All integration tests, in one binary. Those over the wire run a server in this process, or the
//! real program where they kill or starve it, read its log, or are about its command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

/// Running servers, clients, tables.
mod support;

/// Prices for each account.
mod account_prices;
/// Accounts: long lists, settings over time, prices that are gone, values with entries.
mod accounts;
/// `creditd audit` and `creditd backup`: sound, copied and damaged data files.
mod archive;
mod audit;
/// Lines of the log about calls.
mod call_lines;
/// Rate cards at their limits and beyond.
mod card_limits;
/// Chains of entries: every edit and every changed byte is found, heads go on, texts are erased.
mod chain;
/// What the command line prints and refuses.
mod cli;
/// Failures of the command line: exit status, the sentence, and the object for programs.
mod cli_failures;
/// The verbs of the ledger as a person types them.
mod cli_ledger;
/// Lists and watches of the command line.
mod cli_lists;
/// Commands that call a server for prices and health, and the options that name it.
mod cli_remote;
/// Clocks that jump: no entry gets a wrong time, and the server recovers by itself. Times of
/// any year.
mod clock;
mod command_page;
/// Configurations: checked, printed, and reloaded by a signal and by a call.
mod configuration;
/// Connections that are old: their clients go on over another one.
mod connections;
/// Rate cards that extend others.
mod contracts;
/// Panics on the server's own threads: waiting calls are answered, and the server goes on or
/// ends.
#[cfg(debug_assertions)]
mod defects;
/// Disks that are full or broken: nothing is answered that is not durable, and the server
/// recovers by itself.
mod disk;
/// Data files that are locked, taken away, replaced or cut while a server uses them.
mod file;
/// Many calls that are refused: what the log has of them, and when they may come back.
mod floods;
/// Continuous copies of a data file, and what is restored from them.
mod follow;
mod framing;
/// What fuzz targets check, and their corpora replayed.
mod fuzz;
/// Grants and balances over the wire: durable, replayed, expired in time.
mod grants;
/// Fairness: an account with large calls does not delay the others.
mod greed;
mod greedy_peers;
/// Health by its protocol, and reflection as grpcurl reads it.
mod health;
/// Peers that keep to no rule of HTTP/2 or of courtesy: what becomes of them, and of others meanwhile.
mod hostile_peers;
/// Bad fields, amounts, quantities and batches.
mod input;
/// Servers killed under load, many times: no answered write is lost, and none is done twice.
mod keys;
mod kills;
/// Retries days later are replayed, as long as their request_ids are remembered.
mod late;
/// The layers around every call.
mod layers;
/// Every verb of the ledger: tables in text, and random operations compared with a model.
mod ledger;
/// Limits of time, number and size, on the running server.
mod limits;
/// docs/limits.md compared with the limits of the code.
mod limits_page;
/// Metrics and probes over HTTP.
mod metrics;
/// Data files of an older version, migrated when they are opened.
mod migration;
/// A reference model of the ledger, as plain as possible.
mod model;
/// Clients that are recognised by their certificates.
mod mutual_tls;
/// More writes than the ledger can do.
mod overload;
/// What usage costs, as a table that a product manager could read.
mod prices;
/// Properties of all quantities and amounts, not only of those in the tables.
mod properties;
/// Published rate cards: what every store of them promises, and servers that share one.
mod published_cards;
/// Rate cards that are published one by one while servers run.
mod publishing;
/// Concurrent callers: credits are spent once, and the books add up.
mod races;
/// Rate cards: wrong ones, several of one name, and those that were replaced.
mod rate_card_cases;
mod rate_card_guide;
mod rate_card_model;
mod rate_card_properties;
mod rate_cards;
/// Subcommands for those who write price lists.
mod rates_check;
mod rates_convert;
mod rates_diff;
/// Every reason is documented, with the message and the metadata that it really has.
mod reasons;
/// Rate cards that are published again while the server runs.
mod reload;
/// Servers that refuse to start, with a sentence that says what to do.
mod start;
/// The drain of a server, within a bound.
mod stop;
/// The SQLite store by itself: groups that fail, request_ids that are days old.
mod store;
/// The number of calls at once that connections are told.
mod stream_limits;
/// What a service manager is told.
mod supervised;
/// Rules about the code itself.
mod tidy;
/// TLS, and certificates that change.
mod tls;
/// Traces of calls, as a collector gets them.
#[cfg(feature = "otlp")]
mod traces;
/// A server on a Unix socket.
mod unix;
/// Balances that are watched.
mod watch;
/// Who did it: the keys of entries, in every store.
mod who;
/// Bad input on the wire: one clear refusal for each, and the server goes on.
mod wire;
/// Batches past the generated messages: read and written as the generated code does it.
mod wire_alike;
mod wire_format;
