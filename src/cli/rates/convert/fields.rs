//! The price fields of LiteLLM's map: what each is a price of.

/// What the tokens of a field are a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// All tokens of the prompt, or of the completion.
    Whole(Side),
    /// A part of them.
    Part(Side),
    /// Something by itself.
    Own,
    /// Something by itself, of which a usage has one where it does not say.
    OwnOne,
    /// The time of `Usage.duration`.
    Duration,
    /// Another time.
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Prompt,
    Completion,
}

/// A field that is a price.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Of the line that it becomes.
    pub(super) line: &'static str,
    pub(super) meter: &'static str,
    /// What one is called.
    pub(super) unit: &'static str,
    pub(super) of: Of,
}

const fn field(
    name: &'static str,
    line: &'static str,
    meter: &'static str,
    unit: &'static str,
    of: Of,
) -> Field {
    Field {
        name,
        line,
        meter,
        unit,
        of,
    }
}

const PROMPT: Of = Of::Part(Side::Prompt);
const COMPLETION: Of = Of::Part(Side::Completion);

/// In the order of the lines that they become. A meter has one line.
#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    field("input_cost_per_token", "input", "prompt_tokens", "token", Of::Whole(Side::Prompt)),
    field("cache_read_input_token_cost", "cached", "cached_tokens", "token", PROMPT),
    field("cache_creation_input_token_cost", "cache_write", "cache_creation_tokens", "token", PROMPT),
    field("cache_creation_input_token_cost_above_1hr", "cache_write_1h", "cache_creation_1h_tokens", "token", PROMPT),
    field("input_cost_per_audio_token", "audio_input", "prompt_audio_tokens", "token", PROMPT),
    field("cache_read_input_audio_token_cost", "cached_audio", "cached_audio_tokens", "token", PROMPT),
    field("cache_creation_input_audio_token_cost", "audio_cache_write", "cache_creation_audio_tokens", "token", PROMPT),
    field("input_cost_per_image_token", "image_input", "prompt_image_tokens", "token", PROMPT),
    field("input_cost_per_video_token", "video_input", "prompt_video_tokens", "token", PROMPT),
    field("output_cost_per_token", "output", "completion_tokens", "token", Of::Whole(Side::Completion)),
    field("output_cost_per_reasoning_token", "reasoning", "reasoning_tokens", "token", COMPLETION),
    field("output_cost_per_audio_token", "audio_output", "completion_audio_tokens", "token", COMPLETION),
    field("output_cost_per_image_token", "image_output", "completion_image_tokens", "token", COMPLETION),
    field("output_cost_per_video_token", "video_output", "completion_video_tokens", "token", COMPLETION),
    field("citation_cost_per_token", "citation", "citation_tokens", "token", Of::Own),
    field("input_cost_per_character", "character", "characters", "character", Of::Own),
    field("output_cost_per_character", "output_character", "output_characters", "character", Of::Own),
    field("input_cost_per_image", "input_image", "input_images", "image", Of::Own),
    field("output_cost_per_image", "image", "images", "image", Of::Own),
    field("input_cost_per_pixel", "pixel", "pixels", "pixel", Of::Own),
    field("output_cost_per_pixel", "output_pixel", "output_pixels", "pixel", Of::Own),
    field("input_cost_per_second", "second", "duration", "s", Of::Duration),
    field("output_cost_per_second", "second", "duration", "s", Of::Duration),
    field("output_cost_per_video_per_second", "second", "duration", "s", Of::Duration),
    field("input_cost_per_audio_per_second", "audio_second", "audio_seconds", "s", Of::Time),
    field("input_cost_per_video_per_second", "video_second", "video_seconds", "s", Of::Time),
    field("input_cost_per_query", "query", "queries", "call", Of::OwnOne),
    field("input_cost_per_request", "request", "requests", "call", Of::OwnOne),
    field("ocr_cost_per_page", "page", "pages", "page", Of::Own),
    field("annotation_cost_per_page", "annotation", "annotated_pages", "page", Of::Own),
    field("ocr_cost_per_credit", "vendor_credit", "vendor_credits", "vendor credit", Of::Own),
    field("code_interpreter_cost_per_session", "code_interpreter", "code_interpreter_sessions", "session", Of::Own),
];

/// The same prices in a unit of the vendor's, beside those in USD.
pub(super) const OTHER_UNITS: &[&str] = &[
    "input_dbu_cost_per_token",
    "output_dbu_cost_per_token",
    "output_db_cost_per_token",
];

/// Fields that `entry` reads by themselves.
pub(super) const SEARCH: &str = "search_context_cost_per_query";
pub(super) const TIERS: &str = "tiered_pricing";
pub(super) const CACHE_HIT: &str = "input_cost_per_token_cache_hit";
pub(super) const SECOND_1080P: &str = "output_cost_per_second_1080p";
pub(super) const OF_PROVIDER: &str = "provider_specific_entry";
pub(super) const RESIDENCY: &str = "regional_processing_uplift_multiplier_";
pub(super) const ENDPOINT: &str = "regional_endpoint_uplift_multiplier";

/// Ends of names, and the tier that each is a price of.
const OF_TIERS: &[(&str, &str)] = &[
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_ultrafast", "ultrafast"),
];

/// Tiers in the order in which cards list them. The first is the default.
pub(super) const TIER_NAMES: &[&str] = &["standard", "batch", "flex", "priority", "ultrafast"];
pub(super) const STANDARD: &str = "standard";
pub(super) const BATCH: &str = "batch";

/// Whether a field says what something costs.
pub(super) fn is_price(name: &str) -> bool {
    ["cost", "pricing", "multiplier"]
        .iter()
        .any(|word| name.contains(word))
}

/// The field of that name.
pub(super) fn find(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// What a name says: of which field it is a price, above how many tokens of the prompt, and in
/// which tier.
pub(super) fn parse(name: &str) -> Option<(&'static Field, Option<u64>, &'static str)> {
    let of_tier = OF_TIERS
        .iter()
        .find_map(|(end, tier)| Some((name.strip_suffix(end)?, *tier)));
    let (name, tier) = of_tier.unwrap_or((name, STANDARD));
    if let Some(field) = find(name) {
        return Some((field, None, tier));
    }
    let (name, above) = name.strip_suffix("_tokens")?.rsplit_once("_above_")?;
    let above = match above.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1_000)?,
        None => above.parse().ok()?,
    };
    Some((find(name)?, Some(above), tier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_prices_of() {
        for (name, expected) in [
            ("input_cost_per_token", Some(("input", None, "standard"))),
            (
                "input_cost_per_token_batches",
                Some(("input", None, "batch")),
            ),
            (
                "output_cost_per_token_above_272k_tokens_priority",
                Some(("output", Some(272_000), "priority")),
            ),
            (
                "cache_creation_input_token_cost_above_1hr",
                Some(("cache_write_1h", None, "standard")),
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                Some(("cache_write_1h", Some(200_000), "standard")),
            ),
            (
                "input_cost_per_token_above_512_tokens",
                Some(("input", Some(512), "standard")),
            ),
            ("input_cost_per_video_per_second_above_15s_interval", None),
            ("input_cost_per_token_above_many_tokens", None),
            ("input_cost_per_dream", None),
        ] {
            let said = parse(name).map(|(field, above, tier)| (field.line, above, tier));
            assert_eq!(said, expected, "{name}");
        }
    }
}
