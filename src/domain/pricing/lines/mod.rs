//! Prices that are sums of lines (format 2 of rate cards): meters and attributes make
//! quantities, rows and factors make prices, and each line adds a quantity at a price.
//!
//! [`Spec`] is what a card says. [`Program::compile`] proves it complete and turns it into
//! tables; [`Program::price`] prices a usage and, by the same steps, explains it.

mod checks;
mod explain;
mod formula;
mod grid;
mod inputs;
mod number;
mod order;
mod program;
mod range;
mod ratio;
mod run;
mod sets;
mod spec;
mod spec_error;
mod survey;

pub use explain::Explanation;
pub use formula::{Formula, FormulaError};
pub use grid::did_you_mean;
pub use number::Number;
pub use program::Program;
pub use range::{End, Range};
pub use ratio::Ratio;
pub use run::{Inputs, Silent, Stop};
pub use spec::{
    AttributeSpec, Condition, Exchange, FactorSpec, Is, LineSpec, MeterSpec, QuantitySpec, RowSays,
    RowSpec, Spec, Step, StepRounding, TIME_DECIMALS, TIME_UNIT, TotalSpec,
};
pub use spec_error::{Place, SpecError};
pub use survey::{LineSurvey, Survey};
