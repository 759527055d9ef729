use proptest::prelude::*;

use super::*;

#[test]
fn thresholds_read_back_from_their_text() {
    for text in [
        "p99(end_to_end) < 20ms",
        "kafka: p99.9(publish) <= 1.5s",
        "lost == 0",
        "received_per_s >= 4.9k/s",
        "mean(transit) != 5us",
        "max(end_to_end) > 0s",
    ] {
        let threshold: Threshold = text.parse().unwrap();
        assert_eq!(threshold.to_string(), text);
    }
    let long: Threshold = "p9999( end_to_end )<1s".parse().unwrap();
    assert_eq!(long.to_string(), "p99.99(end_to_end) < 1s");
}

#[test]
fn what_is_wrong_with_a_threshold_is_marked() {
    for (text, marked, message) in [
        (
            "p99(end_to_nd) < 20ms",
            "p99(end_to_nd)",
            "unknown latency `end_to_nd`",
        ),
        ("lots == 0", "lots", "unknown metric `lots`"),
        ("p99(publish) < 20", "20", "`20` has no unit"),
        ("lost < 1%", "1%", "not a number of messages"),
        ("lost", "lost", "compares nothing"),
        ("p100(publish) < 1s", "p100(publish)", "is the maximum"),
        ("p0(publish) < 1s", "p0(publish)", "no percentile `p0`"),
        ("p101(publish) < 1s", "p101(publish)", "no percentile"),
        ("end_to_end < 1s", "end_to_end", "of which a percentile"),
        ("a: p99(publish < 1s", "p99(publish", "lacks its `)`"),
        (
            "avg(publish) < 1s",
            "avg(publish)",
            "unknown statistic `avg`",
        ),
    ] {
        let error = text.parse::<Threshold>().unwrap_err();
        let (start, length) = error.span;
        let found: String = text.chars().skip(start).take(length).collect();
        assert_eq!(found, marked, "{text}");
        assert!(error.message.contains(message), "{text}: {}", error.message);
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_threshold_panic(text in "(p[0-9.]{0,4}|é|max|lost|[(): <>=!]|end_to_end|[0-9]{1,3}ms){0,8}") {
        if let Ok(threshold) = text.parse::<Threshold>() {
            prop_assert_eq!(threshold.to_string().parse::<Threshold>(), Ok(threshold));
        }
    }
}
