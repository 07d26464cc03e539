use super::*;

#[test]
fn amounts_follow_the_grammar_and_nothing_else() {
    for (text, expected) in [
        ("1", Ok("1")),
        ("0", Ok("0")),
        ("0.248", Ok("0.248")),
        ("28.80", Ok("28.8")),
        ("1.00", Ok("1")),
        ("007.5", Ok("7.5")),
        ("0.000000001", Ok("0.000000001")),
        ("9000000000", Ok("9000000000")),
        ("9000000000.000000000", Ok("9000000000")),
        ("8999999999.999999999", Ok("8999999999.999999999")),
        ("", Err(AmountError::Empty)),
        ("1e3", Err(AmountError::Grammar)),
        ("1_000", Err(AmountError::Grammar)),
        ("1,000", Err(AmountError::Grammar)),
        ("+1", Err(AmountError::Grammar)),
        (".5", Err(AmountError::Grammar)),
        ("1.", Err(AmountError::Grammar)),
        ("1.2.3", Err(AmountError::Grammar)),
        (" 1", Err(AmountError::Grammar)),
        ("1 ", Err(AmountError::Grammar)),
        ("--1", Err(AmountError::Grammar)),
        ("-", Err(AmountError::Grammar)),
        ("NaN", Err(AmountError::Grammar)),
        ("\u{0661}", Err(AmountError::Grammar)),
        ("-1", Err(AmountError::Negative)),
        ("0.0000000001", Err(AmountError::Decimals)),
        ("1.0000000000", Err(AmountError::Decimals)),
        ("9000000000.000000001", Err(AmountError::TooLarge)),
        ("99999999999999999999", Err(AmountError::TooLarge)),
    ] {
        let parsed = Credits::parse(text).map(|credits| credits.to_string());
        assert_eq!(
            parsed.as_deref().map_err(|violation| *violation),
            expected,
            "{text:?}"
        );
    }
    assert_eq!(Credits::parse(&"0".repeat(65)), Err(AmountError::TooLong));
    assert_eq!(Credits::parse_positive("0.0"), Err(AmountError::Zero));
}

#[test]
fn rounding_goes_where_it_is_told() {
    use Rounding::{Down, HalfEven, HalfUp, Up};
    for (amount, decimals, up, down, half_up, half_even) in [
        ("0.248", 2, "0.25", "0.24", "0.25", "0.25"),
        ("0.245", 2, "0.25", "0.24", "0.25", "0.24"),
        ("0.255", 2, "0.26", "0.25", "0.26", "0.26"),
        ("0.241", 2, "0.25", "0.24", "0.24", "0.24"),
        ("0.25", 2, "0.25", "0.25", "0.25", "0.25"),
        ("1.5", 0, "2", "1", "2", "2"),
        ("2.5", 0, "3", "2", "3", "2"),
    ] {
        let credits = Credits::parse(amount).unwrap();
        for (rounding, expected) in [
            (Up, up),
            (Down, down),
            (HalfUp, half_up),
            (HalfEven, half_even),
        ] {
            let rounded = credits.rounded_to(decimals, rounding).unwrap();
            assert_eq!(rounded.to_string(), expected, "{amount} {rounding:?}");
            let negative = credits.negated().rounded_to(decimals, rounding).unwrap();
            assert_eq!(negative, rounded.negated(), "-{amount} {rounding:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_never_wrapped() {
    assert_eq!(Credits::MAX.checked_add(Credits::ONE), Err(TooLarge));
    assert_eq!(
        Credits::MAX.negated().checked_sub(Credits::ONE),
        Err(TooLarge)
    );
    assert_eq!(Credits::MAX.checked_times(2), Err(TooLarge));
    assert_eq!(Credits::MAX.checked_times(i128::MAX), Err(TooLarge));
    assert_eq!(Credits::ONE.pro_rata(1, 0, Rounding::Up), Err(TooLarge));
    assert_eq!(
        Credits::ONE.pro_rata(i128::MAX, 1, Rounding::Up),
        Err(TooLarge)
    );
    assert_eq!(Credits::from_nanos(i64::MIN), Err(TooLarge));
    assert_eq!(Credits::MAX.checked_add(Credits::ZERO), Ok(Credits::MAX));
}

#[test]
fn the_canonical_form_and_the_decimal_say_the_same() {
    for nanos in [
        0,
        1,
        -1,
        10,
        248_000_000,
        9_000_000_000_000_000_000,
        -1_500_000_000,
    ] {
        let credits = Credits::from_nanos(nanos).unwrap();
        assert_eq!(credits.to_string(), credits.to_decimal().to_string());
    }
}
