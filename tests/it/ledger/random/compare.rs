//! Whether the ledger said what the model says.

use super::super::call::{Outcome, Reply};
use crate::support::refusal::Refusal;

/// What differs, if anything; ids are those of the model in both.
pub fn compare(model: &Outcome, real: &Outcome) -> Result<(), String> {
    let same = match (model, real) {
        (Ok(Reply::BatchCharge(model)), Ok(Reply::BatchCharge(real))) => {
            let mut pairs = model.iter().zip(real);
            model.len() == real.len()
                && pairs.all(|pair| match pair {
                    (Ok(model), Ok(real)) => model == real,
                    (Err(model), Err(real)) => same_refusal(model, real),
                    _ => false,
                })
        }
        (Ok(model), Ok(real)) => model == real,
        (Err(model), Err(real)) => same_refusal(model, real),
        _ => false,
    };
    if same {
        return Ok(());
    }
    Err(format!("expected {model:#?}\nbut got  {real:#?}"))
}

/// Code, reason and all bad fields, and of the metadata what the model knows.
fn same_refusal(model: &Refusal, real: &Refusal) -> bool {
    let known = |(key, value): (&String, &String)| real.metadata.get(key) == Some(value);
    if model.code != real.code || !model.metadata.iter().all(known) {
        return false;
    }
    if model.fields.is_empty() {
        return model.reason == real.reason && real.fields.is_empty();
    }
    let mut left = real.fields.clone();
    for (path, reason) in &model.fields {
        let same = |(other, found): &(String, String)| {
            found == reason && (path == other || path.split('|').any(|path| path == other))
        };
        match left.iter().position(same) {
            Some(at) => left.remove(at),
            None => return false,
        };
    }
    // The first of them is told, whichever that is.
    left.is_empty() && real.fields.iter().any(|(_, reason)| *reason == real.reason)
}
