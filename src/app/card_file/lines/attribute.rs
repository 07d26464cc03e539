//! Reads attributes: their values, and where they come from.

use std::collections::BTreeSet;
use std::ops::Range as Span;

use super::fields::{Fields, Read, Value, error, texts_of};
use crate::app::card_file::parse::check_text;
use crate::domain::pricing::lines::{AttributeSpec, Hours, Overlap, Source, Window, did_you_mean};

/// Fields of an attribute; all others name values and say when they hold.
const FIELDS: [&str; 3] = ["values", "default", "from"];

/// An attribute of a service or of a card.
pub fn attribute(name: &str, at: &Span<usize>, value: &Value<'_>) -> Read<AttributeSpec> {
    if !value.get_ref().is_table() {
        return Ok(AttributeSpec {
            values: values(name, at, value)?,
            default: None,
            source: Source::Caller,
        });
    }
    let fields = Fields::of(value, "an attribute")?;
    let list = fields.get("values").ok_or_else(|| too_few(name, at))?;
    let values = values(name, at, list)?;
    let source = fields.text("from")?;
    let by_clock = matches!(source, Some(("clock", _)));
    let words = values.iter().map(|word| &**word).filter(|_| by_clock);
    let known: Vec<&str> = FIELDS.into_iter().chain(words).collect();
    fields.only(&known)?;
    let default = fields.text("default")?;
    if let Some((default, at)) = &default
        && !values.iter().any(|known| &**known == *default)
    {
        let problem = format!("the default of attribute \"{name}\" is none of its values");
        let remedy = did_you_mean(default, values.iter().map(|value| &**value));
        return Err(error(at, problem, remedy));
    }
    let default = default.map(|(default, _)| Box::<str>::from(default));
    let source = match source {
        None | Some(("caller", _)) => Source::Caller,
        Some(("account" | "clock", _)) if default.is_none() => {
            let problem = match by_clock {
                true => format!("attribute {name}: a moment may be in no window"),
                false => format!("attribute {name}: an account may have no {name}"),
            };
            return Err(error(at, problem, "say what holds then, with default"));
        }
        Some(("account", _)) => Source::Account,
        Some(("clock", _)) => Source::Clock(hours(name, &fields, &values, default.as_deref())?),
        Some((other, at)) => {
            let problem = format!("attribute {name}: from \"{other}\" is not known");
            let remedy =
                "write from = \"account\" or \"clock\", or leave it out where callers send it";
            return Err(error(&at, problem, remedy));
        }
    };
    Ok(AttributeSpec {
        values,
        default,
        source,
    })
}

/// The values that an attribute can have.
fn values(name: &str, at: &Span<usize>, value: &Value<'_>) -> Read<Vec<Box<str>>> {
    let texts = texts_of(value, name)?;
    let mut values: Vec<Box<str>> = Vec::with_capacity(texts.len());
    let mut known = BTreeSet::new();
    for (text, at) in &texts {
        let text = check_text("a value", text, at)?;
        if !known.insert(text) {
            let problem = format!("\"{text}\" stands twice in attribute \"{name}\"");
            return Err(error(at, problem, "take one out"));
        }
        values.push(text.into());
    }
    match values.len() {
        0 | 1 => Err(too_few(name, at)),
        _ => Ok(values),
    }
}

fn too_few(name: &str, at: &Span<usize>) -> crate::app::card_file::parse::SpannedError {
    let problem = format!("attribute {name}: an attribute needs two different values at least");
    error(at, problem, "list what callers may send")
}

/// When the clock says which value.
fn hours(
    name: &str,
    fields: &Fields<'_, '_>,
    values: &[Box<str>],
    default: Option<&str>,
) -> Read<Hours> {
    let mut windows = Vec::new();
    for word in values {
        if FIELDS.contains(&&**word) {
            let problem = format!("attribute {name}: a value of the clock cannot be \"{word}\"");
            return Err(error(&fields.at, problem, "choose another word"));
        }
        let says = fields.get(word);
        match (says, default == Some(&**word)) {
            (None, true) => continue,
            (Some(value), true) => {
                let problem = format!("attribute {name}: \"{word}\" holds where no other does");
                return Err(error(&value.span(), problem, "take its windows out"));
            }
            (None, false) => {
                let problem = format!("attribute {name}: nothing says when it is \"{word}\"");
                let remedy = format!("write {word} = [\"16:30-00:30\"], in UTC, or take it out");
                return Err(error(&fields.at, problem, remedy));
            }
            (Some(_), false) => {}
        }
        let texts = says.map(|value| texts_of(value, word)).transpose()?;
        let of_value = texts.into_iter().flatten().map(|(text, at)| {
            Window::parse(text).ok_or_else(|| {
                let problem = format!("attribute {name}: \"{text}\" is no window");
                let remedy = "write it like \"16:30-00:30\" or \"sat,sun 00:00-24:00\", in UTC";
                error(&at, problem, remedy)
            })
        });
        let of_value = of_value.collect::<Read<Vec<_>>>()?;
        if of_value.is_empty() {
            let problem = format!("attribute {name}: nothing says when it is \"{word}\"");
            return Err(error(
                &fields.at,
                problem,
                "list its windows, or take it out",
            ));
        }
        windows.push((word.clone(), of_value));
    }
    let default = values.iter().position(|word| Some(&**word) == default);
    let default = default.and_then(|at| u16::try_from(at).ok());
    Hours::new(values, default.unwrap_or_default(), windows).map_err(|Overlap(one, other)| {
        let problem = format!("attribute {name}: \"{one}\" and \"{other}\" hold at the same time");
        error(&fields.at, problem, "end one where the other begins")
    })
}
