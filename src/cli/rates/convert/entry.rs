//! A model's prices, out of the fields of its entry: which lines it has, and what each costs by
//! the length of the prompt and by tier.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::fields::{self, BATCH, Field, Of, STANDARD, Side, TIER_NAMES};
use super::map::{self, Entry};
use crate::domain::pricing::lines::Ratio;

/// Modes whose usages say their tokens, also where these cost nothing.
const TALKS: [&str; 5] = ["", "chat", "completion", "realtime", "responses"];
/// Modes whose images are what is made.
const MAKES_IMAGES: [&str; 2] = ["image_generation", "image_edit"];
/// Providers whose prices for long prompts begin at the threshold itself.
const FROM_THRESHOLD: [&str; 1] = ["xai"];
/// Meters that are two ways to say one thing: a usage has one of them.
const EITHER: [(&str, &str); 6] = [
    ("images", "completion_image_tokens"),
    ("images", "pixels"),
    ("input_images", "prompt_image_tokens"),
    ("characters", "prompt_tokens"),
    ("duration", "completion_tokens"),
    ("pages", "prompt_tokens"),
];

/// The prices of a model.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// Whether a usage says its tokens in any case.
    pub(super) talks: bool,
    /// The first is the default.
    pub(super) tiers: Vec<&'static str>,
    pub(super) ranges: Option<Ranges>,
    pub(super) lines: Vec<Line>,
    /// A web search with little, medium and much context.
    pub(super) search: Option<[Ratio; 3]>,
    /// A second of video in 1080p.
    pub(super) second_1080p: Option<Ratio>,
    pub(super) factors: Vec<Factor>,
    pub(super) notes: Vec<String>,
}

/// What prices depend on beside the tier.
#[derive(Debug)]
pub(super) struct Ranges {
    pub(super) meter: &'static str,
    /// As a card writes them.
    pub(super) words: Vec<String>,
    /// The largest that is sold.
    pub(super) max: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) field: &'static Field,
    /// By range, then by tier.
    pub(super) prices: Vec<Vec<Ratio>>,
}

impl Line {
    fn is_free(&self) -> bool {
        self.prices
            .iter()
            .flatten()
            .all(|price| *price == Ratio::ZERO)
    }
}

/// A multiplier of all tokens by a word.
#[derive(Debug)]
pub(super) struct Factor {
    pub(super) attribute: &'static str,
    pub(super) default: &'static str,
    /// Words and by how much.
    pub(super) times: Vec<(String, Ratio)>,
}

type Prices = BTreeMap<(&'static str, Option<u64>, &'static str), Ratio>;

/// The prices of an entry, or why it is left out.
pub(super) fn sheet(entry: &Entry<'_>) -> Result<Sheet, String> {
    let mut sheet = Sheet {
        talks: TALKS.contains(&entry.mode.as_str()),
        ..Sheet::default()
    };
    let mut prices = Prices::new();
    let (mut cache_hit, mut tiered) = (None, None);
    let mut residency = Vec::new();
    for (name, value) in &entry.fields {
        match name.as_str() {
            _ if fields::OTHER_UNITS.contains(&name.as_str()) => {}
            fields::OF_PROVIDER => sheet.factors.extend(of_provider(value)?),
            _ if !fields::is_price(name) || value.get() == "null" => {}
            fields::SEARCH => sheet.search = Some(search(value)?),
            fields::TIERS => tiered = Some(*value),
            fields::CACHE_HIT => cache_hit = map::price(name, value)?,
            fields::SECOND_1080P => sheet.second_1080p = map::price(name, value)?,
            fields::ENDPOINT => {
                sheet
                    .factors
                    .extend(map::price(name, value)?.map(|times| Factor {
                        attribute: "endpoint",
                        default: "global",
                        times: vec![("regional".to_owned(), times)],
                    }))
            }
            _ => match name.strip_prefix(fields::RESIDENCY) {
                Some(region) => {
                    let times = map::price(name, value)?;
                    residency.extend(times.map(|times| (region.to_owned(), times)));
                }
                None => {
                    let (field, above, tier) = fields::parse(name)
                        .ok_or_else(|| format!("its field {name} is not known"))?;
                    if let Some(price) = map::price(name, value)? {
                        prices.insert((field.name, above, tier), price);
                    }
                }
            },
        }
    }
    if !residency.is_empty() {
        sheet.factors.push(Factor {
            attribute: "data_residency",
            default: "none",
            times: residency,
        });
    }
    add_cache_hit(&mut prices, cache_hit)?;
    images(entry, &mut prices);
    match tiered {
        Some(value) => of_tiers(value, &prices, &mut sheet)?,
        None => of_fields(entry, &prices, &mut sheet)?,
    }
    drop_free(&mut sheet)?;
    add_notes(&mut sheet);
    match sheet.lines.is_empty() && sheet.search.is_none() {
        true => Err("it has no price in USD".to_owned()),
        false => Ok(sheet),
    }
}

/// The older name of the price of cached tokens.
fn add_cache_hit(prices: &mut Prices, cache_hit: Option<Ratio>) -> Result<(), String> {
    let Some(price) = cache_hit else {
        return Ok(());
    };
    let known = prices
        .entry(("cache_read_input_token_cost", None, STANDARD))
        .or_insert(price);
    match *known == price {
        true => Ok(()),
        false => Err(format!(
            "cache_read_input_token_cost and {} differ",
            fields::CACHE_HIT
        )),
    }
}

/// Where images are made and `input_cost_per_image` is their only price, it is of those that are
/// made.
fn images(entry: &Entry<'_>, prices: &mut Prices) {
    let has = |prices: &Prices, name: &str| prices.keys().any(|(field, _, _)| *field == name);
    let of_made = ["output_cost_per_image", "output_cost_per_image_token"];
    if MAKES_IMAGES.contains(&entry.mode.as_str()) && !of_made.iter().any(|name| has(prices, name))
    {
        let moved: Vec<_> = prices
            .iter()
            .filter(|((name, _, _), _)| *name == "input_cost_per_image")
            .map(|(key, price)| (*key, *price))
            .collect();
        for ((name, above, tier), price) in moved {
            prices.remove(&(name, above, tier));
            prices.insert(("output_cost_per_image", above, tier), price);
        }
    }
}

/// Prices that depend on the fields' own thresholds and tiers.
fn of_fields(entry: &Entry<'_>, prices: &Prices, sheet: &mut Sheet) -> Result<(), String> {
    let of_input = prices
        .keys()
        .filter(|(name, _, tier)| *name == "input_cost_per_token" && *tier == STANDARD);
    let thresholds: BTreeSet<u64> = of_input.filter_map(|(_, above, _)| *above).collect();
    for (name, above, _) in prices.keys() {
        if let Some(above) = above
            && !thresholds.contains(above)
        {
            return Err(format!(
                "{name} has a price above {above} tokens, and input_cost_per_token has none"
            ));
        }
    }
    let used: BTreeSet<_> = prices.keys().map(|(_, _, tier)| *tier).collect();
    let tiers = TIER_NAMES.iter().copied();
    sheet.tiers = tiers
        .filter(|tier| *tier == STANDARD || used.contains(tier))
        .collect();
    let thresholds: Vec<u64> = thresholds.into_iter().collect();
    if !thresholds.is_empty() {
        let from = FROM_THRESHOLD.contains(&entry.provider.as_str());
        sheet.ranges = Some(Ranges {
            meter: "prompt_tokens",
            words: words(&thresholds, from),
            max: None,
        });
    }
    let above = std::iter::once(None).chain(thresholds.iter().copied().map(Some));
    let above: Vec<Option<u64>> = above.collect();
    for field in fields::FIELDS {
        let mut has = prices.keys().filter(|(name, _, _)| *name == field.name);
        let Some(first) = has.next() else {
            continue;
        };
        if !prices.contains_key(&(field.name, None, STANDARD)) {
            if let (Some(above), Of::Part(side)) = (first.1, field.of) {
                let whole = whole(side);
                sheet.notes.push(format!(
                    "{} have a price above {above} tokens alone, and are priced as {whole}",
                    field.meter
                ));
                continue;
            }
            return Err(format!(
                "{} has no price where nothing else holds",
                field.name
            ));
        }
        let of_range = |above: &Option<u64>| {
            let tiers = sheet.tiers.iter();
            tiers
                .map(|tier| rate(prices, field, *above, tier))
                .collect()
        };
        sheet.lines.push(Line {
            field,
            prices: above.iter().map(of_range).collect(),
        });
    }
    let above = thresholds.first();
    for tier in sheet.tiers.iter().filter(|tier| **tier != STANDARD) {
        let has = |above| prices.contains_key(&("input_cost_per_token", above, *tier));
        if let Some(above) = above
            && has(None)
            && !has(Some(*above))
        {
            let taken = match *tier {
                BATCH => "those of shorter prompts",
                _ => "the standard ones",
            };
            sheet.notes.push(format!(
                "tier {tier} has no prices above {above} tokens; {taken} hold there, as LiteLLM has it"
            ));
        }
    }
    Ok(())
}

const fn whole(side: Side) -> &'static str {
    match side {
        Side::Prompt => "prompt_tokens",
        Side::Completion => "completion_tokens",
    }
}

/// The price of a field for prompts above so many tokens and in a tier: what is not said is
/// that of the standard tier, and then that of shorter prompts.
fn rate(prices: &Prices, field: &Field, above: Option<u64>, tier: &'static str) -> Ratio {
    let price = |above, tier| prices.get(&(field.name, above, tier)).copied();
    // Reasoning is output: where a tier has a price of output alone, it is that.
    let output = ("output_cost_per_token", None, tier);
    if field.name == "output_cost_per_reasoning_token"
        && tier != STANDARD
        && price(None, tier).is_none()
        && prices.contains_key(&output)
        && let Some(output) = fields::find("output_cost_per_token")
    {
        return rate(prices, output, above, tier);
    }
    let found = match tier {
        // A batch has one price, however long its prompts are.
        BATCH => price(above, BATCH)
            .or(price(None, BATCH))
            .or(price(above, STANDARD)),
        tier => price(above, tier)
            .or(price(above, STANDARD))
            .or(price(None, tier)),
    };
    found.or(price(None, STANDARD)).unwrap_or(Ratio::ZERO)
}

/// Ranges with these ends.
fn words(ends: &[u64], from: bool) -> Vec<String> {
    let (low, high) = if from {
        ("from", "below")
    } else {
        ("above", "up to")
    };
    let mut words = Vec::with_capacity(ends.len().saturating_add(1));
    let mut before: Option<u64> = None;
    for end in ends {
        words.push(match before {
            None => format!("{high} {end}"),
            Some(before) => format!("{low} {before} {high} {end}"),
        });
        before = Some(*end);
    }
    words.extend(before.map(|before| format!("{low} {before}")));
    words
}

/// Prices that stand in a list, each for a range of tokens or of results.
fn of_tiers(value: &RawValue, own: &Prices, sheet: &mut Sheet) -> Result<(), String> {
    let wrong = |what: &str| format!("its {} {what}", fields::TIERS);
    if own
        .keys()
        .any(|(_, above, tier)| above.is_some() || *tier != STANDARD)
    {
        return Err(wrong("stands beside prices of tiers"));
    }
    let (mut of_ranges, mut ends) = (Vec::new(), Vec::new());
    let mut meter = None;
    for item in map::list(value).ok_or_else(|| wrong("is no list"))? {
        let item = map::object(item).ok_or_else(|| wrong("is no list of objects"))?;
        let mut prices: BTreeMap<&'static str, Ratio> = BTreeMap::new();
        for (name, value) in &item {
            match (name.as_str(), fields::find(name)) {
                ("range", _) => {
                    ends.push(range(value).ok_or_else(|| wrong("has a range that is none"))?);
                    meter = meter.or(Some("prompt_tokens"));
                }
                ("max_results_range", _) => {
                    ends.push(range(value).ok_or_else(|| wrong("has a range that is none"))?);
                    meter = meter.or(Some("max_results"));
                }
                (_, Some(field)) => {
                    prices.extend(map::price(name, value)?.map(|price| (field.name, price)));
                }
                (_, None) => {
                    return Err(wrong(&format!("has the field {name}, which is not known")));
                }
            }
        }
        of_ranges.push(prices);
    }
    let meter = meter.ok_or_else(|| wrong("has no ranges"))?;
    let between = if meter == "max_results" { 1 } else { 0 };
    let is_gapless = ends.windows(2).all(|pair| match pair {
        [(_, end), (start, _)] => end.checked_add(between) == Some(*start),
        _ => true,
    });
    if ends.len() != of_ranges.len() || !is_gapless || ends.iter().any(|(start, end)| start > end) {
        return Err(wrong("has ranges with gaps"));
    }
    let uppers: Vec<u64> = ends.iter().map(|(_, end)| *end).collect();
    let (last, before) = uppers.split_last().ok_or_else(|| wrong("is empty"))?;
    sheet.tiers = vec![STANDARD];
    sheet.ranges = Some(Ranges {
        meter,
        words: words(before, false),
        // Longer prompts are priced as the longest.
        max: (meter == "max_results").then_some(*last),
    });
    for field in fields::FIELDS {
        let in_tiers = of_ranges
            .iter()
            .any(|prices| prices.contains_key(field.name));
        if !in_tiers {
            continue;
        }
        let mut prices = Vec::with_capacity(of_ranges.len());
        for of_range in &of_ranges {
            let instead = match field.name {
                "cache_read_input_token_cost" | "cache_creation_input_token_cost" => {
                    of_range.get("input_cost_per_token")
                }
                "output_cost_per_reasoning_token" => of_range.get("output_cost_per_token"),
                name => own.get(&(name, None, STANDARD)),
            };
            let price = of_range.get(field.name).or(instead).copied();
            let missing = || wrong(&format!("has no {} in one of its ranges", field.name));
            prices.push(vec![price.ok_or_else(missing)?]);
        }
        sheet.lines.push(Line { field, prices });
    }
    let in_none = own.iter().find(|((name, _, _), price)| {
        let mut lines = sheet.lines.iter();
        **price != Ratio::ZERO && !lines.any(|line| line.field.name == *name)
    });
    match in_none {
        Some(((name, _, _), price)) => {
            let field = fields::find(name).ok_or_else(|| wrong("is not known"))?;
            let prices = vec![vec![*price]; of_ranges.len()];
            sheet.lines.push(Line { field, prices });
            Ok(())
        }
        None => Ok(()),
    }
}

/// The whole numbers of a range.
fn range(value: &RawValue) -> Option<(u64, u64)> {
    let ends = map::list(value)?;
    let number = |value: &RawValue| {
        let number = map::price("range", value).ok()??;
        u64::try_from(number.floor())
            .ok()
            .filter(|_| number.is_whole())
    };
    match ends.as_slice() {
        [start, end] => Some((number(start)?, number(end)?)),
        _ => None,
    }
}

fn search(value: &RawValue) -> Result<[Ratio; 3], String> {
    let sizes = map::object(value).unwrap_or_default();
    let price = |size: &str| {
        let name = format!("search_context_size_{size}");
        let value = sizes.get(&name).copied();
        let price = value.map(|value| map::price(&name, value)).transpose()?;
        let missing = || format!("its {} has no {name}", fields::SEARCH);
        price.flatten().ok_or_else(missing)
    };
    match sizes.len() {
        3 => Ok([price("low")?, price("medium")?, price("high")?]),
        _ => Err(format!(
            "its {} has other fields than three sizes",
            fields::SEARCH
        )),
    }
}

/// Multipliers of a place and of speed; what is no number is about other things.
fn of_provider(value: &RawValue) -> Result<Vec<Factor>, String> {
    let (mut places, mut factors) = (Vec::new(), Vec::new());
    for (name, value) in map::object(value).unwrap_or_default() {
        let is_number = value.get().starts_with(|c: char| c.is_ascii_digit());
        match name.as_str() {
            _ if !is_number => {}
            "fast" => factors.extend(map::price(&name, value)?.map(|times| Factor {
                attribute: "speed",
                default: STANDARD,
                times: vec![("fast".to_owned(), times)],
            })),
            place if place.len() == 2 => {
                places.extend(map::price(&name, value)?.map(|times| (name.clone(), times)));
            }
            _ => return Err(format!("its {}.{name} is not known", fields::OF_PROVIDER)),
        }
    }
    if !places.is_empty() {
        factors.push(Factor {
            attribute: "inference_geo",
            default: "global",
            times: places,
        });
    }
    Ok(factors)
}

/// Takes prices of nothing out that say nothing, and refuses two prices of one thing.
fn drop_free(sheet: &mut Sheet) -> Result<(), String> {
    let all_free = sheet.lines.iter().all(Line::is_free) && sheet.search.is_none();
    let talks = sheet.talks;
    let mut is_timed = false;
    sheet.lines.retain(|line| {
        let says_nothing = match line.field.of {
            Of::Part(_) => false,
            Of::Duration => !all_free || is_timed,
            Of::Whole(_) => !all_free && !talks,
            Of::Own | Of::OwnOne | Of::Time => !all_free,
        };
        let stays = !(line.is_free() && says_nothing);
        is_timed |= stays && line.field.of == Of::Duration;
        stays
    });
    let timed = sheet
        .lines
        .iter()
        .filter(|line| line.field.of == Of::Duration);
    let timed: Vec<_> = timed.map(|line| line.field.name).collect();
    match timed.as_slice() {
        [] | [_] => Ok(()),
        many => Err(format!(
            "{} are there together, and the map does not say whether a second is paid once or twice",
            many.join(" and ")
        )),
    }
}

fn add_notes(sheet: &mut Sheet) {
    for (one, other) in EITHER {
        let has = |meter: &str| {
            let mut lines = sheet.lines.iter();
            lines.any(|line| line.field.meter == meter && !line.is_free())
        };
        if has(one) && has(other) {
            sheet.notes.push(format!(
                "has prices of {one} and of {other}; send one of them"
            ));
        }
    }
}
