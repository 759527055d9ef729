use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn rates_are_read_with_their_prefix_and_their_time() {
    for (text, rate) in [
        ("5k/s", 5_000.0),
        ("1.5M/s", 1_500_000.0),
        ("100/s", 100.0),
        ("60/min", 1.0),
        ("2 G / s", 2e9),
        ("0.5/s", 0.5),
    ] {
        assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
    }
}

#[test]
fn rates_print_in_the_shortest_exact_form() {
    for (rate, text) in [
        (5_000.0, "5k/s"),
        (1_500_000.0, "1.5M/s"),
        (100.0, "100/s"),
        (1_234.0, "1234/s"),
    ] {
        assert_eq!(Rate(rate).to_string(), text);
    }
}

#[test]
fn a_rate_without_its_time_says_how_to_write_it() {
    let error = "5000".parse::<Rate>().unwrap_err().to_string();
    assert_eq!(error, "`5000` does not say per what time; write `5000/s`");
    let error = serde_json::from_str::<Rate>("5000")
        .unwrap_err()
        .to_string();
    assert!(error.contains("write `5000/s`"), "{error}");
}

#[test]
fn wrong_units_are_named_and_a_right_one_is_shown() {
    for (text, part) in [
        ("5K/s", "`K`"),
        ("5k/d", "`/d`"),
        ("5k/s/s", "`/s/s`"),
        ("-5/s", "negative"),
        ("inf/s", "not a rate"),
        ("1e5/s", "`e5`"),
        ("1..5/s", "not a rate"),
    ] {
        let error = text.parse::<Rate>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    for (text, part) in [
        ("256", "write `256B`"),
        ("256b", "`b` is no unit"),
        ("1.5B", "whole number"),
        ("99999999999TiB", "fits"),
        ("-1B", "negative"),
        ("B", "not a size"),
    ] {
        let error = text.parse::<Size>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    for (text, part) in [
        ("20", "write `20s`"),
        ("20 sec", "`sec` is no unit"),
        ("-5s", "negative"),
        ("s", "not a time"),
        ("", "not a time"),
        ("1s,2s", "not a time"),
        ("99999999999d", "fits"),
        ("0.1ns", "whole number of nanoseconds"),
    ] {
        let error = duration::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    for text in ["101%", "1.01", "-1%", "x", "%", "NaN", "1%%"] {
        assert!(text.parse::<Fraction>().is_err(), "{text}");
    }
}

#[test]
fn sizes_know_binary_and_decimal_units() {
    for (text, bytes) in [
        ("256B", 256),
        ("1KiB", 1024),
        ("1kB", 1000),
        ("1KB", 1000),
        ("10MB", 10_000_000),
        ("1.5KiB", 1536),
        ("2 GiB", 2 << 30),
    ] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for (bytes, text) in [
        (0, "0B"),
        (256, "256B"),
        (1024, "1KiB"),
        (1000, "1kB"),
        (1536, "1536B"),
    ] {
        assert_eq!(Size(bytes).to_string(), text);
    }
}

#[test]
fn times_are_read_and_printed() {
    for (text, nanos) in [
        ("20s", 20_000_000_000u64),
        ("10ms", 10_000_000),
        ("1m30s", 90_000_000_000),
        ("5us", 5_000),
        ("100ns", 100),
        ("0s", 0),
        ("1h1m", 3_660_000_000_000),
        ("1.5s", 1_500_000_000),
        ("1.000000001s", 1_000_000_001),
        ("2h0.5s", 7_200_500_000_000),
    ] {
        let time = Duration::from_nanos(nanos);
        if text != "2h0.5s" {
            assert_eq!(duration::text(time), text);
        }
        assert_eq!(duration::parse(text), Ok(time), "{text}");
    }
    assert_eq!(duration::parse("5µs"), Ok(Duration::from_micros(5)));
    assert_eq!(duration::parse("1min 30s"), Ok(Duration::from_secs(90)));
}

#[test]
fn fractions_are_read_as_percent_and_as_numbers() {
    assert_eq!("1%".parse(), Ok(Fraction(0.01)));
    assert_eq!("0.01".parse(), Ok(Fraction(0.01)));
    assert_eq!(
        serde_json::from_str::<Fraction>("0.01").unwrap(),
        Fraction(0.01)
    );
    assert_eq!(Fraction(0.01).to_string(), "1%");
    assert_eq!(Fraction(0.005).to_string(), "0.5%");
    assert!(serde_json::from_str::<Fraction>("2").is_err());
}

fn same_after_json<T>(value: T) -> Result<(), TestCaseError>
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let json = serde_json::to_string(&value).unwrap();
    let back: T = serde_json::from_str(&json)
        .map_err(|error| TestCaseError::fail(format!("{json}: {error}")))?;
    prop_assert_eq!(&back, &value, "{}", json);
    Ok(())
}

proptest! {
    #[test]
    fn any_rate_reads_back_as_itself(rate in prop_oneof![0.0..1e12f64, (0u32..10_000_000).prop_map(f64::from)]) {
        same_after_json(Rate(rate))?;
    }

    #[test]
    fn any_size_reads_back_as_itself(bytes in any::<u64>(), shift in 0u32..64) {
        same_after_json(Size(bytes >> shift))?;
    }

    #[test]
    fn any_fraction_reads_back_as_itself(share in 0.0..=1.0f64) {
        same_after_json(Fraction(share))?;
    }

    #[test]
    fn any_time_reads_back_as_itself(nanos in any::<u64>(), shift in 0u32..64) {
        same_after_json(duration::Time(Duration::from_nanos(nanos >> shift)))?;
    }

    #[test]
    fn no_text_makes_a_unit_panic(text in ".{0,20}") {
        let _ = text.parse::<Rate>();
        let _ = text.parse::<Size>();
        let _ = text.parse::<Fraction>();
        let _ = duration::parse(&text);
    }
}
