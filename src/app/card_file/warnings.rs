//! Prices of nothing: they are allowed, and may not be meant.

use std::mem;

use crate::domain::pricing::lines::{LineSurvey, Program};
use crate::domain::pricing::{Card, OnePrice, Price, ServicePrice};

/// What costs nothing on a card, a sentence for each line of a service, in the order of the
/// card.
#[must_use]
pub fn free_prices(card: &Card) -> Vec<String> {
    let of_services = card.services().iter().map(|service| {
        let key = &*service.key;
        match &service.price {
            ServicePrice::One(one) if is_free(one) => {
                vec![format!("service \"{key}\" costs nothing")]
            }
            ServicePrice::One(_) => Vec::new(),
            ServicePrice::Lines(program) => {
                let lines = line_by_line(program);
                lines.iter().filter_map(|line| of_line(key, line)).collect()
            }
        }
    });
    of_services.flatten().collect()
}

/// The lines at a glance, each alone. What they tell apart together can be a million times as
/// much as what each does, for every service of a card.
fn line_by_line(program: &Program) -> Vec<LineSurvey> {
    let mut alone = program.clone();
    let lines = mem::take(&mut alone.lines);
    let says = mem::take(&mut alone.spec.lines);
    let mut surveys = Vec::with_capacity(lines.len());
    for (line, says) in lines.into_iter().zip(says) {
        alone.lines = [line].into();
        alone.spec.lines = [says].into();
        surveys.extend(alone.survey().lines);
    }
    surveys
}

const fn is_free(one: &OnePrice) -> bool {
    let credits = match &one.price {
        Price::PerPiece { credits } | Price::StartedBlock { credits, .. } => *credits,
        Price::ProRata(rate) => rate.credits(),
    };
    credits.is_zero()
}

fn of_line(key: &str, line: &LineSurvey) -> Option<String> {
    let (free, first) = line.free.as_ref()?;
    let places = match (*free, first.as_str()) {
        (_, "") => String::new(),
        (1, first) => format!(" where {first}"),
        (free, first) => format!(" in {free} combinations, the first where {first}"),
    };
    let title = &line.title;
    Some(format!(
        "service \"{key}\": line \"{title}\" costs nothing{places}"
    ))
}
