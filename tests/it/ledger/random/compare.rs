//! Whether the ledger said what the model says.

use crate::support::call::{Outcome, Reply};
use crate::support::refusal::Refusal;

/// What differs, if anything. Ids are those of the model in both.
pub fn compare(model: &Outcome, real: &Outcome) -> Result<(), String> {
    if same(model, real) {
        return Ok(());
    }
    Err(format!("expected {model:#?}\nbut got  {real:#?}"))
}

fn same(model: &Outcome, real: &Outcome) -> bool {
    match (model, real) {
        (Ok(model), Ok(real)) => {
            let (items, real_items) = (&model.results.0, &real.results.0);
            // The model knows less of a refusal than the ledger says.
            let with_items = |reply: &Reply| Reply {
                results: model.results.clone(),
                ..reply.clone()
            };
            items.len() == real_items.len()
                && items
                    .iter()
                    .zip(real_items)
                    .all(|(item, real)| same(item, real))
                && *model == with_items(real)
        }
        (Err(model), Err(real)) => same_refusal(model, real),
        _ => false,
    }
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
        let same = |(other, actual): &(String, String)| {
            actual == reason && (path == other || path.split('|').any(|path| path == other))
        };
        match left.iter().position(same) {
            Some(at) => left.remove(at),
            None => return false,
        };
    }
    // The refusal's reason is that of the first, whichever that is.
    left.is_empty() && real.fields.iter().any(|(_, reason)| *reason == real.reason)
}
