//! A goal, and how far creditd is from it.

use serde::Serialize;

use crate::pairs::{Figure, Pairs, middle};
use crate::text::figure;

/// What has to hold.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// It is no goal: the figure says where others stand.
    Nothing,
    /// So many times the yardstick's figure, or more.
    TimesAtLeast(f64),
    /// Less than so many times the yardstick's figure.
    TimesUnder(f64),
    /// A figure of creditd's that is no larger.
    AtMost(f64),
    /// A figure of creditd's that is smaller.
    Under(f64),
}

impl Goal {
    const fn bound(self) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::TimesAtLeast(bound)
            | Self::TimesUnder(bound)
            | Self::AtMost(bound)
            | Self::Under(bound) => Some(bound),
        }
    }

    fn text(self, unit: &str) -> String {
        let text = match self {
            Self::Nothing => "-".to_owned(),
            Self::TimesAtLeast(bound) => format!("at least {bound} x"),
            Self::TimesUnder(bound) => format!("under {bound} x"),
            Self::AtMost(bound) => format!("at most {bound} {unit}"),
            Self::Under(bound) => format!("under {bound} {unit}"),
        };
        text.trim_end().to_owned()
    }

    fn is_met(self, creditd: f64, ratio: Option<f64>) -> Option<bool> {
        Some(match self {
            Self::Nothing => return None,
            Self::TimesAtLeast(bound) => ratio? >= bound,
            Self::TimesUnder(bound) => ratio? < bound,
            Self::AtMost(bound) => creditd <= bound,
            Self::Under(bound) => creditd < bound,
        })
    }
}

/// One line of the table. What is None was not measured.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub unit: String,
    pub creditd: Option<f64>,
    pub yardstick: Option<f64>,
    pub ratio: Option<f64>,
    /// None: it is no goal.
    pub goal: Option<f64>,
    pub goal_text: String,
    pub met: Option<bool>,
    /// Processor time of each server for one of what is counted.
    pub creditd_server_nanos: Option<f64>,
    pub yardstick_server_nanos: Option<f64>,
    /// What else there is to say.
    pub note: Option<String>,
    pub pairs: Pairs,
}

impl Row {
    /// Of what was measured in turn.
    pub fn of_pairs(name: &str, unit: &str, goal: Goal, pairs: Pairs) -> Self {
        let (creditd, yardstick) = (middle(&pairs.creditd), middle(&pairs.yardstick));
        let value = |figure: Option<Figure>| figure.map(|figure| figure.value);
        let nanos = |figure: Option<Figure>| figure?.server_nanos;
        let ratio = pairs.ratio();
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            creditd: value(creditd),
            yardstick: value(yardstick),
            ratio,
            goal: goal.bound(),
            goal_text: goal.text(unit),
            met: value(creditd).and_then(|creditd| goal.is_met(creditd, ratio)),
            creditd_server_nanos: nanos(creditd),
            yardstick_server_nanos: nanos(yardstick),
            note: None,
            pairs,
        }
    }

    /// Of one figure, without a yardstick.
    pub fn of_one(name: &str, unit: &str, goal: Goal, value: Option<f64>) -> Self {
        let pairs = Pairs {
            creditd: value.map(Figure::of).into_iter().collect(),
            yardstick: Vec::new(),
        };
        Self::of_pairs(name, unit, goal, pairs)
    }

    /// Not measured, and why.
    pub fn missing(name: &str, unit: &str, goal: Goal, why: &str) -> Self {
        Self::of_one(name, unit, goal, None).noting(why.to_owned())
    }

    pub fn noting(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    pub fn print(&self) {
        let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), figure);
        let micros = |nanos: Option<f64>| {
            nanos.map_or_else(|| "-".to_owned(), |nanos| format!("{:.2}", nanos / 1e3))
        };
        println!(
            "{:<45} {:>11} {:>11} {:>7} {:>16} {:<5} {:>7} {:>7}  {}",
            self.name,
            text(self.creditd),
            text(self.yardstick),
            self.ratio
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            self.goal_text,
            match self.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            },
            micros(self.creditd_server_nanos),
            micros(self.yardstick_server_nanos),
            self.unit,
        );
        if let Some(note) = &self.note {
            println!("    {note}");
        }
    }
}

pub fn print_head() {
    println!();
    println!(
        "{:<45} {:>11} {:>11} {:>7} {:>16} {:<5} {:>7} {:>7}",
        "", "creditd", "yardstick", "ratio", "goal", "met", "µs", "µs",
    );
}

/// The last lines.
pub fn print_foot(rows: &[Row]) {
    let goals = || rows.iter().filter(|row| row.goal.is_some());
    let count = |met| goals().filter(|row| row.met == met).count();
    println!();
    println!(
        "{} of {} goals are met, {} are missed, {} were not measured",
        count(Some(true)),
        goals().count(),
        count(Some(false)),
        count(None),
    );
    println!(
        "a figure is the median of its measurements, a ratio the median of the pairs' ratios;\n\
         µs: processor time of creditd and of the yardstick for one of what is counted"
    );
}
