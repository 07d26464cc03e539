//! Rate cards at their limits and beyond: as much as is allowed loads, one more is refused by
//! name, and nothing that a card can say makes the program slow or ends it.

mod cards;

use std::time::{Duration, Instant};

use creditd::app::card_file::{
    self, CARD_CELLS_MAX, ENTRIES_MAX, FILE_BYTES_MAX, Loading, ROWS_MAX, SERVICES_MAX, VALUES_MAX,
};
use creditd::domain::names::{KEY_BYTES_MAX, PAIRS_MAX, SERVICE_BYTES_MAX, VALUE_BYTES_MAX};
use creditd::domain::pricing::ServicePrice;
use creditd::domain::pricing::lines::{
    CELLS_MAX, FORMULA_BYTES_MAX, FORMULA_DEPTH_MAX, NUMBER_BYTES_MAX, PRODUCT_NAMES_MAX,
    PRODUCTS_MAX,
};

use self::cards::*;
use crate::support::large_cards;

/// Far more than any card takes, also in a debug build on a busy machine; work that grows with
/// the square of a card would take minutes.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Each service tells 531,441 combinations apart, by 12 lines that tell 3 apart each.
#[test]
fn what_a_publication_warns_of_is_found_line_by_line() {
    let mut text = "format = 2\nname = \"wide\"\ntitle = \"Wide\"\n".to_owned();
    for service in 0..200 {
        let each = |of: &dyn Fn(usize) -> String| (0..12).map(of).collect::<Vec<_>>().join(", ");
        let attributes = each(&|at| format!("a{at} = [\"x\", \"y\", \"z\"]"));
        let lines = each(&|at| format!("{{ key = \"l{at}\" }}"));
        let prices = each(&|at| format!("{{ a{at} = \"x\", l{at} = \"0\" }}, {{ l{at} = \"1\" }}"));
        text.push_str(&format!(
            "[[service]]\nkey = \"s{service}\"\ntitle = \"S{service}\"\nrule = \"r\"\nattributes = {{ {attributes} }}\nlines = [{lines}]\nprices = [{prices}]\n"
        ));
    }
    let start = Instant::now();
    let loaded = card_file::load_text(&text, &Loading::ALONE).unwrap();
    assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    assert_eq!(loaded.warnings.len(), 200 * 12);
    let first = "service \"s0\": line \"l0\" costs nothing where a0 = \"x\"";
    assert_eq!(loaded.warnings[0], first);
}

/// What is wrong with a card; "" where it loads, and then its stored form gives it back.
fn complaint(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("card.toml");
    std::fs::write(&file, text).unwrap();
    let start = Instant::now();
    let complaint = match card_file::load(&file) {
        Ok(loaded) => {
            let restored = card_file::restore(&loaded.stored).unwrap();
            for (restored, loaded) in restored.services().iter().zip(loaded.card.services()) {
                assert!(
                    prices_alike(&restored.price, &loaded.price),
                    "{}",
                    loaded.key
                );
            }
            String::new()
        }
        Err(error) => error.to_string(),
    };
    assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    complaint
}

/// Whether two services price alike; conditions that say the same may stand in another order.
fn prices_alike(one: &ServicePrice, other: &ServicePrice) -> bool {
    match (one, other) {
        (ServicePrice::Lines(one), ServicePrice::Lines(other)) => {
            let (numbers, others) = (&one.numbers, &other.numbers);
            numbers == others && one.quantities == other.quantities && one.lines == other.lines
        }
        _ => one == other,
    }
}

/// A limit of cards: the most, a card with so much of it, and what is said of one more.
type Limit = (&'static str, usize, fn(usize) -> String, &'static str);

const LIMITS: [Limit; 18] = [
    (
        "meters",
        PAIRS_MAX,
        meters,
        "service \"s\": it has more than 16 meters; split the service",
    ),
    (
        "attributes",
        PAIRS_MAX,
        attributes,
        "service \"s\": it has more than 16 attributes; split the service",
    ),
    (
        "values",
        VALUES_MAX,
        values,
        "service \"s\": its attributes have more than 1024 values; split the service",
    ),
    (
        "quantities",
        ENTRIES_MAX,
        quantities,
        "service \"s\": it has more than 32 quantities; split the service",
    ),
    (
        "lines",
        ENTRIES_MAX,
        lines,
        "service \"s\": it has 33 lines; write 1 to 32 lines",
    ),
    (
        "factors",
        ENTRIES_MAX,
        factors,
        "service \"s\": it has more than 32 factors; put them together",
    ),
    (
        "rows",
        ROWS_MAX,
        rows,
        "service \"s\": it has more than 16384 rows of prices; split the service",
    ),
    (
        "services",
        SERVICES_MAX,
        services,
        "it has more than 4096 services; split it into several cards",
    ),
    (
        "combinations of a line",
        CELLS_MAX,
        pieces,
        "service \"s\": line \"one\": 65537 combinations are more than 65536; split the service",
    ),
    (
        "combinations of a card",
        CARD_CELLS_MAX,
        cells,
        "its services have more than 1048576 combinations together; split it into several cards",
    ),
    (
        "text of a formula",
        FORMULA_BYTES_MAX,
        formula_bytes,
        "service \"s\": line \"one\": the formula is too large; split it",
    ),
    (
        "brackets",
        FORMULA_DEPTH_MAX,
        depth,
        "service \"s\": line \"one\": the formula is too large; split it",
    ),
    (
        "products",
        PRODUCTS_MAX,
        products,
        "service \"s\": line \"one\": the formula is too large; split it",
    ),
    (
        "names of a product",
        PRODUCT_NAMES_MAX,
        product_names,
        "service \"s\": line \"one\": the formula is too large; split it",
    ),
    (
        "digits",
        NUMBER_BYTES_MAX,
        digits,
        "is no number; write digits and at most one point, such as \"1000\" or \"0.5\"",
    ),
    (
        "bytes of a name",
        KEY_BYTES_MAX,
        name_bytes,
        "cannot be a name; use at most 64 of a-z 0-9 _, a letter first",
    ),
    (
        "bytes of a key",
        SERVICE_BYTES_MAX,
        key_bytes,
        "cannot be used; use 1 to 128 of A-Z a-z 0-9 . _ - / : @ + ~",
    ),
    (
        "bytes of a title",
        VALUE_BYTES_MAX,
        title_bytes,
        "title is empty, too long or not on one line; write 1 to 256 bytes",
    ),
];

#[test]
fn as_much_as_is_allowed_loads_and_one_more_is_refused() {
    let mut failures = Vec::new();
    for (what, most, text, refusal) in LIMITS {
        let at_the_limit = complaint(&text(most));
        if !at_the_limit.is_empty() {
            failures.push(format!("{what}, {most}: {at_the_limit}"));
        }
        let beyond = complaint(&text(most + 1));
        if !beyond.ends_with(refusal) {
            failures.push(format!("{what}, {}: {beyond:?}", most + 1));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// A file is refused by its length before it is read.
#[test]
fn a_file_has_a_largest_size() {
    let most = usize::try_from(FILE_BYTES_MAX).unwrap();
    let full = large_cards::filled(card(ONE_LINE));
    assert_eq!(full.len(), most);
    assert_eq!(complaint(&full), "");
    for text in [full + "\n", "[".repeat(most + 1), "\0".repeat(most * 2)] {
        let complaint = complaint(&text);
        let refusal = ": it has more than 4194304 bytes; give the path of a rate card file";
        assert!(complaint.ends_with(refusal), "{complaint}");
    }
}

/// Each of these is refused, in time and with a short sentence.
#[test]
fn nothing_that_a_card_says_is_too_much() {
    let deep = 100_000;
    let digits = "9".repeat(10_000);
    let priced = |price: &str| card(&format!("lines = [{{ key = \"one\", price = {price} }}]"));
    let spread = |count: usize, word: &str| each(count, |at| format!("\"{word}{at}\","));
    let row = |says: &str| {
        card(&format!(
            "meters.m = {{ unit = \"u\" }}\nattributes.a = [\"n\", \"y\"]\n{ONE_LINE}prices = [{{ {says}, one = \"2\" }}]\nfactors = [{{ a = \"y\", times = \"2\" }}]"
        ))
    };
    for (what, text, refusal) in [
        (
            "brackets by the thousand",
            depth(5_000),
            "the formula is too large",
        ),
        (
            "brackets up to the length",
            depth(FORMULA_BYTES_MAX / 2 - 1),
            "the formula is too large",
        ),
        (
            "open brackets",
            formula(&"(".repeat(1_000)),
            "the formula is too large",
        ),
        (
            "deep lists",
            format!("{HEAD}x = {}{}", "[".repeat(deep), "]".repeat(deep)),
            "",
        ),
        (
            "deep tables",
            format!("{HEAD}x = {}1{}", "{a=".repeat(deep), "}".repeat(deep)),
            "",
        ),
        (
            "a long path",
            format!("{HEAD}x{} = 1", ".a".repeat(deep)),
            "",
        ),
        ("a long head", format!("{HEAD}[x{}]", ".a".repeat(deep)), ""),
        (
            "deep prices",
            card(&format!(
                "prices = {}{}",
                "[".repeat(deep),
                "]".repeat(deep)
            )),
            "",
        ),
        ("an exponent", priced("\"1e999999\""), "is no amount"),
        (
            "an exponent without quotes",
            priced("1e999999"),
            "is not in quotes",
        ),
        ("an exponent of digits", priced(&format!("1e{digits}")), ""),
        (
            "digits",
            priced(&format!("\"{digits}\"")),
            "is more than 9000000000",
        ),
        ("digits without quotes", priced(&digits), ""),
        ("decimals", priced(&format!("\"0.{digits}\"")), ""),
        (
            "an exponent in a formula",
            formula("a * 1e999999"),
            "is no number",
        ),
        (
            "digits in a formula",
            formula(&format!("a * {}", "9".repeat(1_000))),
            "is no number",
        ),
        (
            "digits of time",
            row(&format!("m = \"{digits}s\"")),
            "is no number",
        ),
        (
            "digits of a range",
            row(&format!("m = \"from {digits}\"")),
            "is no number",
        ),
        ("a format of digits", HEAD.replace('2', &digits), ""),
        ("a ring of 32", ring(ENTRIES_MAX), "rest on each other"),
        ("a ring of one", ring(1), "rest on each other"),
        (
            "values by the hundred thousand",
            values(300_000),
            "more than 1024 values",
        ),
        (
            "one value many times",
            card(&format!(
                "attributes.a = [{}]\n{ONE_LINE}",
                "\"v\",".repeat(300_000)
            )),
            "stands twice",
        ),
        (
            "numbers by the hundred thousand",
            row(&format!(
                "m = [{}]",
                each(300_000, |at| format!("\"{}\",", at * 2 + 1))
            )),
            "1200002 combinations are more than 65536",
        ),
        (
            "words that are no values",
            row(&format!("a = [{}]", spread(300_000, "v"))),
            "is never \"v0\"",
        ),
        (
            "meters by the ten thousand",
            meters(50_000),
            "more than 16 meters",
        ),
        (
            "lines by the ten thousand",
            lines(100_000),
            "it has 100000 lines",
        ),
        (
            "rows by the ten thousand",
            rows(100_000),
            "more than 16384 rows",
        ),
        (
            "services of many combinations",
            cells(CARD_CELLS_MAX * 64),
            "1048576 combinations together",
        ),
    ] {
        let complaint = complaint(&text);
        assert!(!complaint.is_empty(), "{what}: it loads");
        assert!(complaint.contains(refusal), "{what}: {complaint:.500}");
        assert!(complaint.len() < 20_000, "{what}: {complaint:.500}");
    }
}

/// What the benchmark measures loads, and its stored form gives it back. A debug build takes so
/// long for some that the benchmark alone loads them.
#[test]
fn cards_at_their_limits_load() {
    let quick = ["services with one price", "lists of words", "examples"];
    let mut loaded = 0;
    for (name, text) in large_cards::ALL {
        if !cfg!(debug_assertions) || quick.contains(&name) {
            assert_eq!(complaint(&text()), "", "{name}");
            loaded += 1;
        }
    }
    assert!(loaded >= quick.len(), "{loaded}");
}
