//! Two things measured in turn, and what their ratio is.

use serde::Serialize;

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figure {
    /// Such as calls a second.
    pub value: f64,
    /// Processor time of the server for each of them.
    pub server_nanos: Option<f64>,
}

impl Figure {
    pub fn of(value: f64) -> Self {
        Self {
            value,
            server_nanos: None,
        }
    }
}

/// What was measured in turn.
#[derive(Debug, Default, Serialize)]
pub struct Pairs {
    pub creditd: Vec<Figure>,
    pub yardstick: Vec<Figure>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Creditd,
    Yardstick,
}

impl Pairs {
    /// Measures both so many times. The one that comes first comes second in the next pair,
    /// so that what changes in the course of a run favours neither.
    pub fn measure(
        count: u32,
        mut measure: impl FnMut(Side, u32) -> Result<Figure, String>,
    ) -> Result<Self, String> {
        let mut pairs = Self::default();
        for pair in 0..count {
            let mut sides = [Side::Creditd, Side::Yardstick];
            if pair % 2 == 1 {
                sides.reverse();
            }
            for side in sides {
                let figure = measure(side, pair + 1)?;
                match side {
                    Side::Creditd => pairs.creditd.push(figure),
                    Side::Yardstick => pairs.yardstick.push(figure),
                }
            }
        }
        Ok(pairs)
    }

    /// The median of the pairs' ratios: of values, not of medians.
    pub fn ratio(&self) -> Option<f64> {
        let both = self.creditd.iter().zip(&self.yardstick);
        median(both.map(|(creditd, yardstick)| creditd.value / yardstick.value))
    }
}

/// The middle one of what was measured.
pub fn middle(figures: &[Figure]) -> Option<Figure> {
    Some(Figure {
        value: median(figures.iter().map(|figure| figure.value))?,
        server_nanos: median(figures.iter().filter_map(|figure| figure.server_nanos)),
    })
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        1 => values.get(half).copied(),
        _ => Some(f64::midpoint(
            *values.get(half.checked_sub(1)?)?,
            values[half],
        )),
    }
}
