//! Prices that are sums of lines (format 2 of rate cards): meters and attributes make
//! quantities, rows and factors make prices, and each line adds a quantity at a price.
//!
//! [`Spec`] is what a card says. [`Program::compile`] proves it complete and turns it into
//! tables; [`Program::price`] prices a usage and, by the same steps, explains it.

mod card_factors;
mod checks;
mod explain;
mod formula;
mod grid;
mod hours;
mod idle;
mod inputs;
mod normal;
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
mod written;

pub use card_factors::{
    CardFactors, Multiplied, Multiplier, common_rounding, factor_words, unit_of_totals,
};
pub use explain::Explanation;
pub use formula::{
    DEPTH_MAX as FORMULA_DEPTH_MAX, FACTORS_MAX as PRODUCT_NAMES_MAX, Formula, FormulaError,
    TERMS_MAX as PRODUCTS_MAX, TEXT_BYTES_MAX as FORMULA_BYTES_MAX,
};
pub use grid::{CELLS_MAX, did_you_mean};
pub use hours::{Hours, Overlap, Window};
pub use number::{Number, SECONDS_MAX, UNITS_MAX};
pub use program::Program;
pub use range::{End, Range};
pub use ratio::{NUMBER_BYTES_MAX, Ratio};
pub use run::{Inputs, Silent, Stop};
pub use spec::{
    AttributeSpec, Condition, Exchange, FactorSpec, Is, LineSpec, MeterSpec, QuantitySpec, RowSays,
    RowSpec, Source, Spec, Step, StepRounding, TIME_DECIMALS, TIME_UNIT, TotalSpec,
};
pub use spec_error::{Place, SpecError};
pub use survey::{LineSurvey, Survey};
