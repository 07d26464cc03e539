//! A model's prices as a service of a card.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::entry::{Line, Sheet};
use super::fields::{Of, Side};
use super::map::Entry;
use crate::domain::names::VALUE_BYTES_MAX;
use crate::domain::pricing::lines::Ratio;

/// Decimals of an amount on a card, and the largest.
const SCALE: i128 = 1_000_000_000;
const CREDITS_MAX: i128 = 9_000_000_000;
/// For how many tokens, characters and pixels a price is written.
const MILLION: i128 = 1_000_000;
/// The largest denominator of a price of time, in USD a second.
const TIME_DENOMINATOR_MAX: i128 = 1_000_000_000_000_000_000;
const CONTEXTS: [&str; 3] = ["low", "medium", "high"];

/// The service, as a card has it.
pub(super) fn text(entry: &Entry<'_>, sheet: &Sheet) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::from("\n[[service]]");
    let about = [entry.provider.as_str(), entry.mode.as_str()];
    let about = about.into_iter().filter(|part| !part.is_empty());
    let about = about.collect::<Vec<_>>().join(", ");
    let is_plain = about.chars().all(|c| !c.is_control());
    if !about.is_empty() && is_plain {
        let _ = write!(text, " # {about}");
    }
    let key = quoted(&entry.model);
    let _ = write!(text, "\nkey = {key}\ntitle = {key}\n");
    let _ = writeln!(text, "rule = {}", quoted(&rule(sheet)));
    meters(sheet, &mut text);
    attributes(sheet, &mut text);
    lines(sheet, &mut text);
    rows(sheet, &mut text);
    factors(sheet, &mut text);
    let falls = may_fall(sheet);
    if !falls.is_empty() {
        let _ = writeln!(text, "may_fall = [{}]", list(falls.iter().copied()));
    }
    text
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts = texts.map(|text| toml::Value::from(text).to_string());
    texts.collect::<Vec<_>>().join(", ")
}

fn has_whole(sheet: &Sheet, side: Side) -> bool {
    let mut lines = sheet.lines.iter();
    lines.any(|line| line.field.of == Of::Whole(side))
}

/// Whether a line is of time by the nanosecond. A price with more decimals than a nanosecond's can
/// have is one of seconds with milliseconds.
fn is_time(line: &Line) -> bool {
    let fits = |price: &Ratio| price.denominator() <= TIME_DENOMINATOR_MAX;
    line.field.unit == "s" && line.prices.iter().flatten().all(fits)
}

/// The meter of a line. `Usage.duration` is time by the nanosecond.
fn meter(line: &Line) -> &'static str {
    match line.field.of {
        Of::Duration if !is_time(line) => "seconds",
        _ => line.field.meter,
    }
}

/// Whether a line's price depends on the range and on the tier.
fn depends(line: &Line) -> (bool, bool) {
    let first = line.prices.first();
    let on_range = line.prices.iter().any(|tiers| Some(tiers) != first);
    let on_tier = line.prices.iter().any(|tiers| {
        let first = tiers.first();
        tiers.iter().any(|price| Some(price) != first)
    });
    (on_range, on_tier)
}

fn meters(sheet: &Sheet, text: &mut String) {
    let count = sheet
        .lines
        .len()
        .saturating_add(usize::from(sheet.search.is_some()));
    for line in &sheet.lines {
        let needed = count == 1;
        let rest = match line.field.of {
            Of::Whole(_) if sheet.talks => "",
            Of::OwnOne => ", default = \"1\"",
            Of::Whole(_) | Of::Own | Of::Duration | Of::Time if needed => "",
            Of::Duration | Of::Time if is_time(line) => ", default = \"0s\"",
            _ => ", default = \"0\"",
        };
        let unit = match line.field.unit {
            "s" if !is_time(line) => "\"second\", decimals = 3".to_owned(),
            unit => format!("\"{unit}\""),
        };
        let name = meter(line);
        let _ = writeln!(text, "meters.{name} = {{ unit = {unit}{rest} }}");
    }
    if sheet.search.is_some() {
        text.push_str("meters.searches = { unit = \"call\", default = \"0\" }\n");
    }
    if let Some(ranges) = &sheet.ranges
        && sheet.lines.iter().any(|line| depends(line).0)
        && !sheet
            .lines
            .iter()
            .any(|line| line.field.meter == ranges.meter)
    {
        let max = ranges
            .max
            .map_or_else(String::new, |max| format!(", max = \"{max}\""));
        let unit = if ranges.meter == "max_results" {
            "result"
        } else {
            "token"
        };
        let _ = writeln!(
            text,
            "meters.{} = {{ unit = \"{unit}\"{max} }}",
            ranges.meter
        );
    }
}

fn attributes(sheet: &Sheet, text: &mut String) {
    let mut attribute = |name: &str, values: &[&str], default: &str| {
        let values = list(values.iter().copied());
        let _ = writeln!(
            text,
            "attributes.{name} = {{ values = [{values}], default = \"{default}\" }}"
        );
    };
    if sheet.lines.iter().any(|line| depends(line).1) {
        let default = sheet.tiers.first().copied().unwrap_or_default();
        attribute("tier", &sheet.tiers, default);
    }
    if let Some([low, medium, high]) = sheet.search
        && (low != medium || medium != high)
    {
        attribute("search_context", &CONTEXTS, "medium");
    }
    if sheet.second_1080p.is_some() {
        attribute("resolution", &["other", "1080p"], "other");
    }
    for factor in &sheet.factors {
        let words = factor.times.iter().map(|(word, _)| word.as_str());
        let values: Vec<_> = std::iter::once(factor.default).chain(words).collect();
        attribute(factor.attribute, &values, factor.default);
    }
}

/// For how much a price is written, so that all of these are amounts.
fn per(line: &Line, extra: Option<Ratio>) -> i128 {
    let mut per = match line.field.unit {
        "token" | "character" | "pixel" => MILLION,
        _ => 1,
    };
    let all = || line.prices.iter().flatten().copied().chain(extra);
    let is_amount = |price: Ratio, per: i128| {
        let amount = price.times(Ratio::whole(per));
        let scaled = amount.and_then(|amount| amount.times(Ratio::whole(SCALE)));
        scaled.is_some_and(Ratio::is_whole)
            && amount.is_some_and(|amount| amount <= Ratio::whole(CREDITS_MAX))
    };
    while !all().all(|price| is_amount(price, per)) {
        match per.checked_mul(10) {
            Some(more) if more <= MILLION.saturating_mul(SCALE) => per = more,
            // The loader then says what is wrong with it.
            _ => break,
        }
    }
    per
}

fn amount(price: Ratio, per: i128) -> String {
    price
        .times(Ratio::whole(per))
        .map_or_else(|| price.to_string(), |amount| amount.to_string())
}

fn extra(sheet: &Sheet, line: &Line) -> Option<Ratio> {
    sheet.second_1080p.filter(|_| line.field.of == Of::Duration)
}

fn lines(sheet: &Sheet, text: &mut String) {
    text.push_str("lines = [\n");
    for line in &sheet.lines {
        let quantity = match line.field.of {
            Of::Whole(side) => {
                let parts = sheet
                    .lines
                    .iter()
                    .filter(|line| line.field.of == Of::Part(side));
                let parts = parts.map(|line| format!(" - {}", line.field.meter));
                format!("{}{}", line.field.meter, parts.collect::<String>())
            }
            _ => meter(line).to_owned(),
        };
        let per = per(line, extra(sheet, line));
        let price = match (
            depends(line),
            line.prices.first().and_then(|tiers| tiers.first()),
        ) {
            ((false, false), Some(price)) => format!(", price = \"{}\"", amount(*price, per)),
            _ => String::new(),
        };
        let per = match (line.field.unit, per) {
            ("s", per) if is_time(line) => format!(", per = \"{per}s\""),
            (_, 1) => String::new(),
            (_, per) => format!(", per = \"{per}\""),
        };
        let key = line.field.line;
        let _ = writeln!(
            text,
            "  {{ key = \"{key}\", quantity = \"{quantity}\"{price}{per} }},"
        );
    }
    if let Some([low, medium, high]) = sheet.search {
        let price = match low == medium && medium == high {
            true => format!(", price = \"{low}\""),
            false => String::new(),
        };
        let _ = writeln!(
            text,
            "  {{ key = \"search\", quantity = \"searches\"{price} }},"
        );
    }
    text.push_str("]\n");
}

fn rows(sheet: &Sheet, text: &mut String) {
    let mut rows = Vec::new();
    let ranges: &[String] = sheet.ranges.as_ref().map_or(&[], |ranges| &ranges.words);
    let meter = sheet.ranges.as_ref().map_or("", |ranges| ranges.meter);
    for on in [(true, false), (false, true), (true, true)] {
        let lines: Vec<_> = sheet
            .lines
            .iter()
            .filter(|line| depends(line) == on)
            .collect();
        if lines.is_empty() {
            continue;
        }
        let (by_range, by_tier) = on;
        let range_count = if by_range { ranges.len() } else { 1 };
        let tier_count = if by_tier { sheet.tiers.len() } else { 1 };
        for range in 0..range_count {
            for tier in 0..tier_count {
                let mut row = Vec::new();
                if let (true, Some(words)) = (by_range, ranges.get(range)) {
                    row.push(format!("{meter} = \"{words}\""));
                }
                if let (true, Some(word)) = (by_tier, sheet.tiers.get(tier)) {
                    row.push(format!("tier = \"{word}\""));
                }
                for line in &lines {
                    let price = line.prices.get(range).and_then(|tiers| tiers.get(tier));
                    let per = per(line, extra(sheet, line));
                    row.extend(
                        price.map(|price| {
                            format!("{} = \"{}\"", line.field.line, amount(*price, per))
                        }),
                    );
                }
                rows.push(row.join(", "));
            }
        }
    }
    if let Some(prices) = sheet.search
        && prices.iter().any(|price| Some(price) != prices.first())
    {
        let contexts = CONTEXTS.iter().zip(prices);
        rows.extend(contexts.map(|(context, price)| {
            format!("search_context = \"{context}\", search = \"{price}\"")
        }));
    }
    let second = sheet
        .lines
        .iter()
        .find(|line| line.field.of == Of::Duration);
    if let (Some(price), Some(line)) = (sheet.second_1080p, second) {
        let per = per(line, Some(price));
        rows.push(format!(
            "resolution = \"1080p\", second = \"{}\"",
            amount(price, per)
        ));
    }
    if !rows.is_empty() {
        let rows = rows.iter().map(|row| format!("  {{ {row} }},\n"));
        let _ = write!(text, "prices = [\n{}]\n", rows.collect::<String>());
    }
}

fn factors(sheet: &Sheet, text: &mut String) {
    let tokens = sheet.lines.iter().filter(|line| line.field.unit == "token");
    let tokens = list(tokens.map(|line| line.field.line));
    let factors = sheet.factors.iter().flat_map(|factor| {
        let attribute = factor.attribute;
        factor
            .times
            .iter()
            .map(move |(word, times)| (attribute, word, times))
    });
    let factors: Vec<_> = factors
        .map(|(attribute, word, times)| {
            format!(
                "  {{ {attribute} = {}, times = \"{times}\", lines = [{tokens}] }},\n",
                toml::Value::from(word.as_str())
            )
        })
        .collect();
    if !factors.is_empty() {
        let _ = write!(text, "factors = [\n{}]\n", factors.concat());
    }
}

/// Meters of which more may cost less: parts, which are taken off the whole, and what a price
/// falls with.
fn may_fall(sheet: &Sheet) -> BTreeSet<&'static str> {
    let parts = sheet.lines.iter().filter(|line| match line.field.of {
        Of::Part(side) => has_whole(sheet, side),
        _ => false,
    });
    let mut falls: BTreeSet<_> = parts.map(|line| line.field.meter).collect();
    let is_cheaper = |line: &Line| {
        line.prices.windows(2).any(|pair| match pair {
            [before, after] => before
                .iter()
                .zip(after)
                .any(|(before, after)| after < before),
            _ => false,
        })
    };
    if let Some(ranges) = &sheet.ranges
        && sheet.lines.iter().any(is_cheaper)
    {
        falls.insert(ranges.meter);
    }
    falls
}

/// The standard prices in words.
fn rule(sheet: &Sheet) -> String {
    let mut parts: Vec<String> = Vec::new();
    for line in &sheet.lines {
        let price = line.prices.first().and_then(|tiers| tiers.first()).copied();
        let per = per(line, extra(sheet, line));
        let of = match per {
            1 => line.field.unit.to_owned(),
            per => format!("{per} {}s", line.field.unit),
        };
        let title = line.field.line.replace('_', " ");
        let price = amount(price.unwrap_or(Ratio::ZERO), per);
        parts.push(format!("{title} {price} per {of}"));
    }
    if let Some([_, medium, _]) = sheet.search {
        parts.push(format!("search {medium}"));
    }
    let mut more = Vec::new();
    if sheet.lines.iter().any(|line| depends(line).0) {
        let meter = sheet.ranges.as_ref().map_or("", |ranges| ranges.meter);
        more.push(format!("by {}", meter.replace('_', " ")));
    }
    if sheet.lines.iter().any(|line| depends(line).1) {
        more.push("by tier".to_owned());
    }
    more.extend(
        sheet
            .factors
            .iter()
            .map(|factor| format!("by {}", factor.attribute.replace('_', " "))),
    );
    let more = match more.as_slice() {
        [] => String::new(),
        more => format!("; other prices {}", more.join(", ")),
    };
    // As many as there is room for.
    let text = |parts: &[String], rest: &str| format!("USD: {}{rest}{more}", parts.join(", "));
    let mut shown = parts.len();
    let mut rule = text(&parts, "");
    while rule.len() > VALUE_BYTES_MAX && shown > 0 {
        shown = shown.saturating_sub(1);
        rule = text(parts.get(..shown).unwrap_or_default(), ", and more");
    }
    rule
}
