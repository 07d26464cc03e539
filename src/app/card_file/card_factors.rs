//! Factors of a card, which apply to the total of every service, and the attributes of the
//! account by which they are chosen.

use std::collections::BTreeMap;
use std::ops::Range;

use super::lines::{self, Fields, Value};
use super::parse::SpannedError;
use crate::domain::Rounding;
use crate::domain::pricing::lines::{
    AttributeSpec, CardFactors, FactorSpec, Is, Place, Source, Spec, SpecError, common_rounding,
    did_you_mean,
};
use crate::domain::pricing::{Price, Service, ServicePrice};

/// Most attributes of a card's own, and most factors.
const ATTRIBUTES_MAX: usize = 16;
const FACTORS_MAX: usize = 32;

/// Attributes of a card's own, by name, each with the place of its name.
type OwnAttributes = BTreeMap<Box<str>, (AttributeSpec, Range<usize>)>;

/// What a card says of them.
pub(super) struct CardFactorsText<'t> {
    pub(super) attributes: Option<Value<'t>>,
    pub(super) factors: Option<Value<'t>>,
}

impl CardFactorsText<'_> {
    /// The factors of the card, after those of the card that it extends.
    pub(super) fn read(
        &self,
        services: &[Service],
        base: Option<&CardFactors>,
    ) -> Result<Option<CardFactors>, SpannedError> {
        let own = self.own_attributes()?;
        let known = known_attributes(&own, services, base);
        let list = self.factors.as_ref().map(|value| {
            let list = value.get_ref().as_array();
            list.ok_or_else(|| wrong(value, "factors is no list", "write factors = [...]"))
        });
        let list = list.transpose()?.map_or(&[][..], |list| list);
        let mut factors = base.map_or_else(Vec::new, |base| base.factors.clone());
        let inherited = factors.len();
        if let Some(value) = list.get(FACTORS_MAX.saturating_sub(inherited)) {
            let problem = match inherited {
                0 => format!("the card has more than {FACTORS_MAX} factors"),
                _ => format!(
                    "the card has more than {FACTORS_MAX} factors, with those of the card that it extends"
                ),
            };
            return Err(wrong(value, problem, "put them together"));
        }
        let mut spec = Spec {
            attributes: known,
            ..Spec::default()
        };
        for (position, value) in list.iter().enumerate() {
            let factor = factor(value, position, &spec)?;
            factors.push(factor.normal(&spec.attributes));
        }
        let used = |name: &str| {
            let mut conditions = factors.iter().flat_map(|factor| &factor.when);
            conditions.any(|condition| &*condition.name == name)
        };
        if let Some((name, at)) = own.iter().find(|(name, _)| !used(name)) {
            let problem = format!("attribute \"{name}\" changes no price");
            let remedy = "use it in factors of the card, or take it out";
            return Err(SpannedError::new(at.1.clone(), problem, remedy));
        }
        if factors.is_empty() {
            return Ok(None);
        }
        spec.attributes.retain(|name, _| used(name));
        if let Some((name, service)) = disagreement(&spec.attributes, services) {
            let own = own.get(name).map(|(_, at)| at.clone());
            let factors = || self.factors.as_ref().map(Value::span).unwrap_or_default();
            let problem = format!(
                "attribute \"{name}\" has other values or another default in service \"{service}\""
            );
            let remedy = "write the same in both, so that an account means the same in both";
            return Err(SpannedError::new(
                own.unwrap_or_else(factors),
                problem,
                remedy,
            ));
        }
        let compiled = CardFactors::compile(spec.attributes, factors);
        compiled.map(Some).map_err(|error| {
            let at = |position: usize| list.get(position.saturating_sub(inherited));
            self.at(error, inherited, at)
        })
    }

    fn own_attributes(&self) -> Result<OwnAttributes, SpannedError> {
        let mut own = BTreeMap::new();
        let Some(value) = &self.attributes else {
            return Ok(own);
        };
        for (name, at, value) in Fields::of(value, "attributes")?.entries() {
            lines::new_name(&Spec::default(), name, &at)?;
            let attribute = lines::attribute(name, &at, value)?;
            if attribute.source != Source::Account {
                let problem = format!("attribute {name}: a card's own attribute is of the account");
                let remedy = "add from = \"account\", or move it to the services";
                return Err(SpannedError::new(at, problem, remedy));
            }
            own.insert(name.into(), (attribute, at));
        }
        match own.len() > ATTRIBUTES_MAX {
            true => Err(wrong(
                value,
                format!("the card has more than {ATTRIBUTES_MAX} attributes"),
                "an account has no more",
            )),
            false => Ok(own),
        }
    }

    /// A fault of the factors together, at its place.
    fn at<'v, 't: 'v>(
        &self,
        error: SpecError,
        inherited: usize,
        entry: impl Fn(usize) -> Option<&'v Value<'t>>,
    ) -> SpannedError {
        let position = match error.place {
            Place::Factor(position) | Place::FactorWhen(position, _) => position,
            _ => inherited,
        };
        let at = entry(position).or_else(|| entry(inherited));
        SpannedError::new(
            at.map(|value| value.span()).unwrap_or_default(),
            error.problem,
            error.remedy,
        )
    }
}

/// Attributes of the account that factors may name: the card's own, and those that its services
/// or the card that it extends declare.
fn known_attributes(
    own: &OwnAttributes,
    services: &[Service],
    base: Option<&CardFactors>,
) -> BTreeMap<Box<str>, AttributeSpec> {
    let mut known: BTreeMap<Box<str>, AttributeSpec> = BTreeMap::new();
    let of_base = base.into_iter().flat_map(|base| &base.attributes);
    let programs = services.iter().filter_map(|service| match &service.price {
        ServicePrice::Lines(program) => Some(&program.spec.attributes),
        ServicePrice::One(_) => None,
    });
    let own = own.iter().map(|(name, (attribute, _))| (name, attribute));
    // The first that declares it says its values.
    for (name, attribute) in own.chain(of_base).chain(programs.flatten()) {
        if attribute.source == Source::Account && !known.contains_key(name) {
            known.insert(name.clone(), attribute.clone());
        }
    }
    known
}

/// An attribute that a service declares otherwise, and that service.
fn disagreement<'a>(
    attributes: &BTreeMap<Box<str>, AttributeSpec>,
    services: &'a [Service],
) -> Option<(&'a str, &'a str)> {
    services.iter().find_map(|service| {
        let ServicePrice::Lines(program) = &service.price else {
            return None;
        };
        let mut of_service = program.spec.attributes.iter();
        let (name, _) = of_service.find(|(name, other)| {
            let known = attributes.get(*name);
            other.source == Source::Account && known.is_some_and(|known| known != *other)
        })?;
        Some((&**name, &*service.key))
    })
}

fn factor(value: &Value<'_>, position: usize, spec: &Spec) -> Result<FactorSpec, SpannedError> {
    let name = format!("factors of the card, entry {}", position.saturating_add(1));
    let fields = Fields::of(value, "a factor")?;
    for (key, at, _) in fields.entries() {
        if matches!(key, "times" | "title") || spec.attributes.contains_key(key) {
            continue;
        }
        if key == "lines" {
            let problem = format!("{name}: a factor of a card is about the whole cost of services");
            return Err(SpannedError::new(
                at,
                problem,
                "take lines out, or move it to the services",
            ));
        }
        let known = spec.attributes.keys().map(|name| &**name);
        let remedy = match spec.attributes.is_empty() {
            _ if key == "when" => lines::WHEN_BESIDE.to_owned(),
            true => format!(
                "declare it: attributes.{key} = {{ values = [\"...\", \"...\"], default = \"...\", from = \"account\" }}"
            ),
            false => did_you_mean(key, known),
        };
        let problem = format!("{name}: \"{key}\" is no attribute of the account");
        return Err(SpannedError::new(at, problem, remedy));
    }
    let read = lines::factor(value, position, spec).map_err(|mut error| {
        let of_service = format!("factors, entry {}", position.saturating_add(1));
        error.problem = error.problem.replace(&of_service, &name);
        error
    })?;
    for condition in &read.when {
        let known = spec.attributes.get(&condition.name);
        let known = || known.into_iter().flat_map(|known| &known.values);
        let Is::OneOf(words) = &condition.is else {
            continue;
        };
        if let Some(word) = words
            .iter()
            .find(|word| !known().any(|value| value == *word))
        {
            let at = fields
                .get(&condition.name)
                .map_or_else(|| value.span(), Value::span);
            let problem = format!("{name}: {} is never \"{word}\"", condition.name);
            let remedy = did_you_mean(word, known().map(|value| &**value));
            return Err(SpannedError::new(at, problem, remedy));
        }
    }
    Ok(read)
}

fn wrong(value: &Value<'_>, problem: impl Into<String>, remedy: impl Into<String>) -> SpannedError {
    SpannedError::new(value.span(), problem, remedy)
}

/// In which direction the factors of a card round the cost of a service; None where they need
/// not. `said` is what the service says, or else the card.
pub(super) fn rounding(
    factors: &CardFactors,
    service: &Service,
    said: Option<Rounding>,
) -> Result<Option<Rounding>, SpecError> {
    if !factors.can_round(service.unit_of_costs()) {
        return Ok(None);
    }
    match said {
        Some(said) => Ok(Some(said)),
        None => Err(SpecError::bare(
            &Place::Service,
            format!(
                "service \"{}\": the factors of the card can make its cost longer than 9 decimals and nothing says how it rounds",
                service.key
            ),
            "add rounding = \"up\", \"down\", \"half_up\" or \"half_even\" to the service, or to this card where the service is of a card that it extends",
        )),
    }
}

/// The direction in which a service already rounds, where it is one.
pub(super) fn own_rounding(service: &Service) -> Option<Rounding> {
    match &service.price {
        ServicePrice::One(one) => match &one.price {
            Price::ProRata(rate) => Some(rate.rounding()),
            Price::PerPiece { .. } | Price::StartedBlock { .. } => None,
        },
        ServicePrice::Lines(program) => common_rounding(&program.spec),
    }
}
