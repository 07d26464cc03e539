//! What the ledger did: entries, credits, commits.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::{Writer, float};
use crate::store::Store;
use crate::store::metrics::{KINDS, StoreMetrics};

/// Registers what the store counts.
pub(super) fn register(registry: &mut Registry, store: &Arc<dyn Store>) {
    let metrics = store.metrics();
    for (name, help, histogram) in [
        (
            "creditd_store_queue_seconds",
            "How long a call waited for the ledger's writer.",
            &metrics.queue_seconds,
        ),
        (
            "creditd_store_group_commands",
            "Commands that one commit made durable.",
            &metrics.group_commands,
        ),
        (
            "creditd_store_write_seconds",
            "Writing the rows of a group, before its commit.",
            &metrics.write_seconds,
        ),
        (
            "creditd_store_commit_seconds",
            "The commit of a group, with its sync.",
            &metrics.commit_seconds,
        ),
        (
            "creditd_store_checkpoint_seconds",
            "A checkpoint of the WAL.",
            &metrics.checkpoint_seconds,
        ),
    ] {
        registry.register(name, help, histogram.clone());
    }
    for (name, help, counter) in [
        (
            "creditd_store_failed_commits",
            "Groups that could not be made durable.",
            &metrics.failed_commits,
        ),
        (
            "creditd_replays",
            "Writes that were answered again, since their request_id was known.",
            &metrics.replays,
        ),
        (
            "creditd_account_cache_hits",
            "Accounts that were in memory when they were needed.",
            &metrics.cache_hits,
        ),
        (
            "creditd_account_cache_misses",
            "Accounts that had to be read from the file.",
            &metrics.cache_misses,
        ),
    ] {
        registry.register(name, help, counter.clone());
    }
    for (name, help, gauge) in [
        (
            "creditd_accounts",
            "Accounts in the ledger.",
            &metrics.accounts,
        ),
        (
            "creditd_accounts_in_memory",
            "Accounts in memory.",
            &metrics.accounts_in_memory,
        ),
        (
            "creditd_request_id_memory_bytes",
            "Memory for finding request_ids.",
            &metrics.request_id_memory_bytes,
        ),
    ] {
        registry.register(name, help, gauge.clone());
    }
    registry.register_collector(Box::new(Moves(metrics)));
}

/// Collects what entries moved.
#[derive(Debug)]
struct Moves(Arc<StoreMetrics>);

/// Nanocredits as credits, for a chart.
fn credits(nanos: i128) -> f64 {
    const PER_CREDIT: i128 = 1_000_000_000;
    let (whole, rest) = (nanos.div_euclid(PER_CREDIT), nanos.rem_euclid(PER_CREDIT));
    float(format_args!("{whole}.{rest:09}"))
}

impl Collector for Moves {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let moved = self.0.moved();
        let mut writer = Writer(encoder);
        let entries = KINDS.iter().zip(moved.entries);
        writer.counters(
            "creditd_entries",
            "Rows that were written to the journal, by kind.",
            entries.map(|(kind, entries)| ([("kind", (*kind).to_owned())], float(entries))),
        )?;
        let labels = |pair: &crate::store::metrics::Pair| {
            [
                ("service", String::from(&*pair.service)),
                ("rate_card", String::from(&*pair.rate_card)),
            ]
        };
        let paid = || moved.paid.iter();
        writer.counters(
            "creditd_credits_spent",
            "Credits of charges and settlements.",
            paid().map(|(pair, paid)| (labels(pair), credits(paid.spent))),
        )?;
        writer.counters(
            "creditd_credits_refunded",
            "Credits that were given back.",
            paid().map(|(pair, paid)| (labels(pair), credits(paid.refunded))),
        )?;
        let granted = moved.granted.iter();
        writer.counters(
            "creditd_credits_granted",
            "Credits that were granted, by the service that they are for.",
            granted
                .map(|(service, nanos)| ([("service", String::from(&**service))], credits(*nanos))),
        )?;
        writer.counter(
            "creditd_credits_expired",
            "Credits that ended with their grant, by its end or by revocation.",
            credits(moved.expired),
        )?;
        match self.0.open_holds.count() {
            Some(holds) => writer.gauge("creditd_holds_open", "Open holds.", float(holds)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::credits;

    #[test]
    fn nanocredits_are_shown_as_credits() {
        for (nanos, expected) in [
            (0, 0.0),
            (1, 0.000_000_001),
            (248_000_000, 0.248),
            (99_752_000_000, 99.752),
            (9_000_000_000_000_000_000, 9e9),
        ] {
            assert!(
                (credits(nanos) - expected).abs() <= f64::EPSILON * expected,
                "{nanos}"
            );
        }
    }
}
