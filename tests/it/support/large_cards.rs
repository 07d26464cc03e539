//! Rate cards at their limits, made by a program: the tests load them, and the benchmark says
//! how long that takes. Each is allowed, and as large as one limit lets it be.

use std::fmt::Write as _;

/// Bytes of the largest file.
pub const BYTES: usize = 4 * 1024 * 1024;
/// Prices of a row, and lines of a service, in cards with a million combinations.
const COLUMNS: usize = 16;

/// A card by its name, and how it is made.
pub type LargeCard = (&'static str, fn() -> String);

/// All of them.
pub const ALL: [LargeCard; 12] = [
    ("services with one price", one_price),
    ("services with lines", services),
    ("lines", lines),
    ("a table of two attributes", table),
    ("rows that leave out attributes", rows),
    ("ranges of a meter", ranges),
    ("lists of words", words),
    ("lists of ranges", lists),
    ("factors", factors),
    ("formulas", formulas),
    ("quantities that grow", growing),
    ("examples", examples),
];

fn head(name: &str) -> String {
    format!("format = 2\nname = \"{name}\"\ntitle = \"Large\"\nrounding = \"half_even\"\n")
}

fn service(text: &mut String, key: impl std::fmt::Display) {
    write!(
        text,
        "\n[[service]]\nkey = \"{key}\"\ntitle = \"S\"\nrule = \"R\"\n"
    )
    .unwrap();
}

fn quoted(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
    words.join(",")
}

/// ",c0=\"1\",c1=\"2\"": a price of each line.
fn prices(row: usize, columns: usize) -> String {
    let prices = (0..columns).map(|column| format!(",c{column}=\"{}\"", row + column));
    prices.collect()
}

/// "lines = [...]", that many of them, each with its fields.
fn columns(text: &mut String, count: usize, fields: &str) {
    text.push_str("lines = [\n");
    for line in 0..count {
        writeln!(text, "{{key=\"c{line}\"{fields}}},").unwrap();
    }
    text.push_str("]\n");
}

/// Comments, until the file is as large as it may be.
pub fn filled(mut text: String) -> String {
    assert!(text.len() <= BYTES, "{}", text.len());
    while text.len() < BYTES {
        let rest = (BYTES - text.len()).min(100);
        text.extend(std::iter::repeat_n('#', rest - 1));
        text.push('\n');
    }
    text
}

/// As many services as a card can have, each with long words.
fn one_price() -> String {
    let mut text = head("one-price");
    let long = "x".repeat(250);
    for key in 0..4_096 {
        write!(
            text,
            "\n[[service]]\nkey = \"{}-{key:04}\"\ntitle = \"{long}\"\nrule = \"{long}\"\nmeter = \"count\"\npiece = \"image\"\nprice = {{ model = \"per_piece\", credits = \"0.05\" }}\n",
            "k".repeat(120)
        )
        .unwrap();
    }
    filled(text)
}

/// As many services as a card can have, each with lines, rows and factors.
fn services() -> String {
    let mut text = head("services");
    for key in 0..4_096 {
        service(&mut text, format!("vendor/model-{key:04}"));
        text.push_str("meters.input = { unit = \"token\", default = \"0\" }\nmeters.cached = { unit = \"token\", default = \"0\" }\nmeters.output = { unit = \"token\", default = \"0\" }\nattributes.tier = { values = [\"standard\", \"batch\"], default = \"standard\" }\nattributes.region = { values = [\"global\", \"us\"], default = \"global\" }\nlines = [\n{ key = \"in_\", quantity = \"input\", per = \"1000000\" },\n{ key = \"hit\", quantity = \"cached\", per = \"1000000\" },\n{ key = \"out\", quantity = \"output\", per = \"1000000\" },\n]\nprices = [\n{ input = \"up to 200000\", in_ = \"1.25\", hit = \"0.125\", out = \"10\" },\n{ in_ = \"2.5\", hit = \"0.25\", out = \"15\" },\n]\nfactors = [{ tier = \"batch\", times = \"0.5\" }, { region = \"us\", times = \"1.1\" }]\n");
    }
    filled(text)
}

/// As many lines as services can have, in as many services as a file has room for.
fn lines() -> String {
    let mut text = head("lines");
    for key in 0..2_300 {
        service(&mut text, key);
        text.push_str("meters.m = { unit = \"u\" }\n");
        columns(&mut text, 32, ",quantity=\"m\",price=\"1\"");
    }
    filled(text)
}

/// 16 lines with 65,536 combinations each, and as many rows as a service can have.
fn table() -> String {
    let mut text = head("table");
    service(&mut text, "s");
    for name in ["a", "b"] {
        let values = quoted((0..256).map(|value| format!("{name}{value}")));
        writeln!(text, "attributes.{name} = [{values}]").unwrap();
    }
    columns(&mut text, COLUMNS, "");
    text.push_str("prices = [\n");
    for row in 0..16_384 {
        let (a, b) = (row / 64, row % 64 * 4);
        let values = quoted((b..b + 4).map(|value| format!("b{value}")));
        writeln!(
            text,
            "{{a=\"a{a}\",b=[{values}]{}}},",
            prices(row % 10, COLUMNS)
        )
        .unwrap();
    }
    text.push_str("]\n");
    filled(text)
}

/// As many rows as a service can have, of 16 attributes, each without one of them.
fn rows() -> String {
    let mut text = head("rows");
    service(&mut text, "s");
    let names: Vec<char> = ('a'..='p').collect();
    for name in &names {
        writeln!(text, "attributes.{name} = [\"n\",\"y\"]").unwrap();
    }
    columns(&mut text, COLUMNS, ",price=\"1\"");
    text.push_str("prices = [\n");
    for row in 0..16_384_usize {
        // In no order that could be of help.
        let mixed = row * 5_431 % 16_384;
        let word = |at: usize| ["n", "y"][mixed >> at & 1];
        let said = names[..14].iter().enumerate();
        let said: String = said
            .map(|(at, name)| format!("{name}=\"{}\",", word(at)))
            .collect();
        let last = names[14 + row % 2];
        let prices = prices(row % 10, COLUMNS);
        writeln!(text, "{{{said}{last}=\"y\"{prices}}},").unwrap();
    }
    text.push_str("]\n");
    filled(text)
}

/// As many rows as a service can have, each a range of one meter.
fn ranges() -> String {
    let mut text = head("ranges");
    service(&mut text, "s");
    text.push_str("meters.m = { unit = \"u\" }\n");
    columns(&mut text, COLUMNS, ",quantity=\"m\"");
    text.push_str("prices = [\n");
    for row in 0..16_383 {
        writeln!(
            text,
            "{{m=\"up to {}\"{}}},",
            row * 3,
            prices(row / 2_000, COLUMNS)
        )
        .unwrap();
    }
    writeln!(text, "{{{}}},\n]", &prices(9_000, COLUMNS)[1..]).unwrap();
    filled(text)
}

/// As many values as the attributes of a service can have, and rows with long lists of them.
fn words() -> String {
    let mut text = head("words");
    service(&mut text, "s");
    let value = |value: usize| format!("{value:x}");
    let values = quoted((0..1_022).map(value));
    writeln!(
        text,
        "attributes.a = [{values}]\nattributes.z = [\"n\",\"y\"]"
    )
    .unwrap();
    columns(&mut text, COLUMNS, ",price=\"1\"");
    text.push_str("prices = [\n");
    for row in 0..690 {
        let values = quoted((0..=row).rev().chain(row + 1..1_020).map(value));
        let z = ["n", "y"][row % 2];
        let line = row / 2 % COLUMNS;
        let price = match row {
            0..32 => format!("c{line}=\"2\""),
            _ => "refuse=\"no\"".to_owned(),
        };
        // One row for each line and word; the others refuse what is left.
        match row {
            0..32 => writeln!(text, "{{a=[{values}],z=\"{z}\",{price}}},").unwrap(),
            32 => writeln!(text, "{{a=[{values},\"3fc\"],{price}}},").unwrap(),
            _ => break,
        }
    }
    text.push_str("]\n");
    // What is left of the file: the same once more.
    let one = text.split_off(head("words").len());
    let mut text = head("words");
    for key in 0..(BYTES / one.len()).min(4_096) {
        let again = one.replace("key = \"s\"", &format!("key = \"s{key}\""));
        if text.len() + again.len() > BYTES {
            break;
        }
        text.push_str(&again);
    }
    filled(text)
}

/// Rows with long lists of numbers, about every line: as many combinations as a card can have.
fn lists() -> String {
    let mut text = head("lists");
    service(&mut text, "s");
    text.push_str("meters.m = { unit = \"u\" }\nattributes.a = [\"n\",\"y\"]\n");
    columns(&mut text, COLUMNS, ",price=\"1\"");
    text.push_str("prices = [\n");
    for row in 0..32 {
        let (first, word) = (row % 16 * 1_000, ["n", "y"][row / 16]);
        // Each number stands there many times.
        let numbers = quoted((0..16_000).map(|at| (first + at % 1_000 * 2 % 1_999).to_string()));
        writeln!(text, "{{a=\"{word}\",m=[{numbers}],refuse=\"no\"}},").unwrap();
    }
    text.push_str("]\n");
    filled(text)
}

/// As many combinations of factors as lines can have combinations, and as many factors.
fn factors() -> String {
    let mut text = head("factors");
    service(&mut text, "s");
    for name in 0..16 {
        writeln!(text, "attributes.a{name} = [\"n\",\"y\"]").unwrap();
    }
    text.push_str("meters.m = { unit = \"u\" }\n");
    columns(&mut text, COLUMNS, ",quantity=\"m\",price=\"1.25\"");
    text.push_str("factors = [\n");
    for name in 0..16 {
        writeln!(
            text,
            "{{a{name}=\"y\",times=\"1.{}\"}},",
            [1, 2, 3, 5][name % 4]
        )
        .unwrap();
        writeln!(text, "{{a{name}=[\"n\",\"y\"],times=\"3\"}},").unwrap();
    }
    text.push_str("]\n");
    text
}

/// As many formulas as there is room for, each as long as it may be.
fn formulas() -> String {
    let mut text = head("formulas");
    let products = "(a+b)*(c+d)*(e+f)*(g+h)*(i+j)*(k+l)";
    let mut formula = products.to_owned();
    while formula.len() + products.len() < 1_000 {
        write!(formula, "+{products}").unwrap();
    }
    while formula.len() < 1_020 {
        formula.push_str("*1");
    }
    for key in 0..60 {
        service(&mut text, key);
        for meter in "abcdefghijkl".chars() {
            writeln!(text, "meters.{meter} = {{ unit = \"u\", max = \"1000\" }}").unwrap();
        }
        for quantity in 0..32 {
            writeln!(
                text,
                "quantities.q{quantity} = {{ of = \"{formula}\", unit = \"u\" }}"
            )
            .unwrap();
        }
        text.push_str("lines = [\n");
        for line in 0..32 {
            writeln!(
                text,
                "{{key=\"c{line}\",quantity={{of=\"{formula}\",unit=\"u\"}},price=\"0.000000001\",when={{q{line}=\"from 1\"}}}},"
            )
            .unwrap();
        }
        text.push_str("]\n");
    }
    filled(text)
}

/// 16 numbers as conditions of each line, all of which grow with each of 16 meters.
fn growing() -> String {
    let mut text = head("growing");
    service(&mut text, "s");
    let names = "abcdefghijklmnop".chars();
    for meter in names.clone() {
        writeln!(text, "meters.{meter} = {{ unit = \"u\", max = \"1000\" }}").unwrap();
    }
    let sum: Vec<_> = names.map(String::from).collect();
    let sum = sum.join("+");
    for quantity in 0..16 {
        writeln!(text, "quantities.q{quantity} = \"{sum}\"").unwrap();
    }
    columns(&mut text, COLUMNS, ",price=\"1\"");
    text.push_str("factors = [\n");
    for quantity in 0..16 {
        writeln!(
            text,
            "{{q{quantity}=\"above {}\",times=\"1.1\"}},",
            100 + quantity
        )
        .unwrap();
    }
    text.push_str("]\n");
    text
}

/// As many examples as there is room for.
fn examples() -> String {
    let mut text = head("examples");
    service(&mut text, "s");
    text.push_str("meters.m = { unit = \"u\" }\nattributes.a = [\"n\",\"y\"]\nlines=[{key=\"c\",quantity=\"m\",price=\"2\"}]\nfactors=[{a=\"y\",times=\"2\"}]\nexamples = [\n");
    while text.len() < BYTES - 100 {
        text.push_str("{m=\"2\",a=\"y\",costs=\"8\"},\n");
    }
    text.push_str("]\n");
    filled(text)
}
