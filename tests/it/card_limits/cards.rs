//! Cards that have so much of one thing.

use creditd::domain::pricing::lines::CELLS_MAX;

pub const HEAD: &str = "format = 2\nname = \"card\"\ntitle = \"Card\"\n";

/// A card of one service that says this.
pub fn card(service: &str) -> String {
    format!("{HEAD}{}", service_of("s", service))
}

pub fn service_of(key: &str, says: &str) -> String {
    format!("\n[[service]]\nkey = \"{key}\"\ntitle = \"S\"\nrule = \"R\"\n{says}\n")
}

/// Something for each number up to a count.
pub fn each(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

pub const ONE_LINE: &str = "lines = [{ key = \"one\", price = \"1\" }]\n";

pub fn meters(count: usize) -> String {
    let meters = each(count, |at| format!("meters.m{at} = {{ unit = \"u\" }}\n"));
    let sum: Vec<_> = (0..count).map(|at| format!("m{at}")).collect();
    let sum = sum.join(" + ");
    card(&format!(
        "{meters}lines = [{{ key = \"one\", quantity = \"{sum}\", price = \"1\" }}]"
    ))
}

pub fn attributes(count: usize) -> String {
    let attributes = each(count, |at| format!("attributes.a{at} = [\"n\", \"y\"]\n"));
    let factors = each(count, |at| format!("{{ a{at} = \"y\", times = \"2\" }}, "));
    card(&format!("{attributes}{ONE_LINE}factors = [{factors}]"))
}

pub fn values(count: usize) -> String {
    let values = each(count, |at| format!("\"v{at}\", "));
    card(&format!(
        "attributes.a = [{values}]\n{ONE_LINE}factors = [{{ a = \"v0\", times = \"2\" }}]"
    ))
}

/// Quantities of which each but the first rests on the one before it.
pub fn quantities(count: usize) -> String {
    let quantities = each(count, |at| match at {
        0 => "quantities.q0 = \"m\"\n".to_owned(),
        _ => format!("quantities.q{at} = \"q{} + 1 * m\"\n", at - 1),
    });
    let last = count - 1;
    card(&format!(
        "meters.m = {{ unit = \"u\" }}\n{quantities}lines = [{{ key = \"one\", quantity = \"q{last}\", price = \"1\" }}]"
    ))
}

/// The same, with the first resting on the last.
pub fn ring(count: usize) -> String {
    let last = format!("quantities.q0 = \"q{} + m\"", count - 1);
    quantities(count).replace("quantities.q0 = \"m\"", &last)
}

pub fn lines(count: usize) -> String {
    let lines = each(count, |at| {
        format!("{{ key = \"l{at}\", price = \"1\" }}, ")
    });
    card(&format!("lines = [{lines}]"))
}

pub fn factors(count: usize) -> String {
    let factors = "{ a = \"y\", times = \"1.5\" }, ".repeat(count);
    card(&format!(
        "rounding = \"up\"\nattributes.a = [\"n\", \"y\"]\n{ONE_LINE}factors = [{factors}]"
    ))
}

pub fn rows(count: usize) -> String {
    let rows = each(count, |at| format!("{{ m = \"{at}\", one = \"1\" }}, "));
    card(&format!(
        "meters.m = {{ unit = \"u\" }}\n{ONE_LINE}prices = [{rows}]"
    ))
}

pub fn services(count: usize) -> String {
    let services = each(count, |at| service_of(&format!("s{at}"), ONE_LINE));
    format!("{HEAD}{services}")
}

/// A line with that many pieces of one meter.
pub fn pieces(count: usize) -> String {
    // Each odd number is a piece, each even one another, and so is what follows.
    let odd = each((count - 1) / 2, |at| format!("\"{}\", ", at * 2 + 1));
    let last = match count % 2 {
        0 => format!("\"from {}\"", count - 1),
        _ => String::new(),
    };
    card(&format!(
        "meters.m = {{ unit = \"u\" }}\n{ONE_LINE}factors = [{{ m = [{odd}{last}], times = \"2\" }}]\nmay_fall = [\"m\"]"
    ))
}

/// Services with so many combinations together.
pub fn cells(count: usize) -> String {
    let full = attributes(16).replace(HEAD, "");
    let full = each(count / CELLS_MAX, |at| {
        full.replace("\"s\"", &format!("\"s{at}\""))
    });
    let single = each(count % CELLS_MAX, |at| {
        service_of(&format!("one{at}"), ONE_LINE)
    });
    format!("{HEAD}{full}{single}")
}

/// A line with this formula of meters a to h.
pub fn formula(formula: &str) -> String {
    let meters: String = ('a'..='h')
        .map(|name| format!("meters.{name} = {{ unit = \"u\", max = \"100\" }}\n"))
        .collect();
    card(&format!(
        "{meters}lines = [{{ key = \"one\", quantity = {{ of = \"{formula}\", unit = \"u\" }}, price = \"1\" }}, {{ key = \"all\", quantity = \"a+b+c+d+e+f+g+h\", price = \"1\" }}]"
    ))
}

pub fn formula_bytes(count: usize) -> String {
    formula(&format!("a{}", " ".repeat(count - 1)))
}

pub fn depth(count: usize) -> String {
    formula(&format!("{}a{}", "(".repeat(count), ")".repeat(count)))
}

/// A sum of that many different products of three names.
pub fn products(count: usize) -> String {
    let name = |at: usize| ["a", "b", "c", "d", "e", "f", "g", "h"][at % 8];
    let mut seen = std::collections::BTreeSet::new();
    let mut sum = Vec::new();
    for at in 0..512 {
        let mut names = [at % 8, at / 8 % 8, at / 64];
        names.sort_unstable();
        if sum.len() < count && seen.insert(names) {
            sum.push(names.map(name).join("*"));
        }
    }
    formula(&sum.join("+"))
}

pub fn product_names(count: usize) -> String {
    formula(&vec!["a"; count].join("*"))
}

pub fn digits(count: usize) -> String {
    let digits = "0".repeat(count - 1) + "7";
    card(&format!(
        "meters.m = {{ unit = \"u\" }}\nlines = [{{ key = \"one\", quantity = \"m\", per = \"{digits}\", price = \"7\" }}]"
    ))
}

pub fn name_bytes(count: usize) -> String {
    let name = "n".repeat(count);
    card(&format!(
        "meters.{name} = {{ unit = \"u\" }}\nlines = [{{ key = \"one\", quantity = \"{name}\", price = \"1\" }}]"
    ))
}

pub fn key_bytes(count: usize) -> String {
    format!("{HEAD}{}", service_of(&"k".repeat(count), ONE_LINE))
}

pub fn title_bytes(count: usize) -> String {
    card(ONE_LINE).replace("\"S\"", &format!("\"{}\"", "S".repeat(count)))
}
