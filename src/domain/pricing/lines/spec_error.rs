//! What is wrong with a service of a card, and where.

/// What is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// Where.
    pub place: Place,
    /// What is wrong: a sentence without its end.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// A place in a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The service as a whole.
    Service,
    /// A meter, by name.
    Meter(Box<str>),
    /// An attribute, by name.
    Attribute(Box<str>),
    /// A named quantity.
    Quantity(Box<str>),
    /// A line, by its position and its key.
    Line(usize, Box<str>),
    /// A row of prices, by its position.
    Row(usize),
    /// What a row says of that attribute or number.
    RowWhen(usize, Box<str>),
    /// A factor, by its position.
    Factor(usize),
    /// What a factor says of that attribute or number.
    FactorWhen(usize, Box<str>),
    /// The limits of the sum.
    Total,
    /// The list of meters of which more may cost less.
    MayFall,
}

impl Place {
    /// The entry that a condition stands in.
    #[must_use]
    pub fn entry(&self) -> Self {
        match self {
            Self::RowWhen(position, _) => Self::Row(*position),
            Self::FactorWhen(position, _) => Self::Factor(*position),
            other => other.clone(),
        }
    }
}

impl SpecError {
    /// A fault at a place, which the problem says first.
    pub fn new(place: &Place, problem: impl AsRef<str>, remedy: impl Into<String>) -> Self {
        Self::bare(place, format!("{place}{}", problem.as_ref()), remedy)
    }

    /// A fault whose problem says all.
    pub fn bare(place: &Place, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// What stands before the problem, "line \"clip\": ".
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |position: &usize| position.saturating_add(1);
        match self {
            Self::Service | Self::Total => Ok(()),
            Self::Meter(name) => write!(f, "meter \"{name}\": "),
            Self::Attribute(name) => write!(f, "attribute \"{name}\": "),
            Self::Quantity(name) => write!(f, "quantity \"{name}\": "),
            Self::Line(_, key) => write!(f, "line \"{key}\": "),
            Self::Row(position) => write!(f, "prices, row {}: ", number(position)),
            Self::RowWhen(position, name) => {
                write!(f, "prices, row {}.{name}: ", number(position))
            }
            Self::Factor(position) => write!(f, "factors, entry {}: ", number(position)),
            Self::FactorWhen(position, name) => {
                write!(f, "factors, entry {}.{name}: ", number(position))
            }
            Self::MayFall => f.write_str("may_fall: "),
        }
    }
}
