//! Numbers as a person reads them: few digits, and the unit that suits the value.

/// What stands where there is no number.
pub const NONE: &str = "–";

/// One decimal below ten, none from there on.
fn short(value: f64) -> String {
    if value < 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A time given in nanoseconds: `850 ns`, `8.4 µs`, `118 µs`, `1.2 ms`, `15 s`.
pub fn time(nanoseconds: f64) -> String {
    let magnitude = nanoseconds.abs();
    if magnitude < 999.5 {
        return format!("{nanoseconds:.0} ns");
    }
    // Half a unit below the next one, what is printed would already be `1000`.
    for (unit, size) in [("µs", 1e3), ("ms", 1e6)] {
        if magnitude < 999.5 * size {
            return format!("{} {unit}", short(nanoseconds / size));
        }
    }
    format!("{} s", short(nanoseconds / 1e9))
}

/// A whole number with its thousands set apart: `5,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of something in a second, without the unit: `0.5`, `5,000`, `148 k`, `1.24 M`.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second < 0.0 {
        return NONE.to_owned();
    }
    if per_second > 0.0 && per_second < 9.95 {
        return short(per_second);
    }
    if per_second < 99_999.5 {
        return count(per_second.round() as u64);
    }
    if per_second < 999_500.0 {
        return format!("{:.0} k", per_second / 1e3);
    }
    format!("{:.2} M", per_second / 1e6)
}

/// A number of bytes in binary units: `256 B`, `1 KiB`, `1.5 MiB`.
pub fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.5 {
            let text = if unit == "B" {
                format!("{value:.0}")
            } else {
                short(value)
            };
            let text = text.strip_suffix(".0").unwrap_or(&text);
            return format!("{text} {unit}");
        }
        value /= 1024.0;
    }
    format!("{} TiB", short(value))
}

/// Bytes in a second as megabytes (10⁶), without the unit: `0.3`, `12`, `1,240`.
pub fn megabytes(bytes_per_second: f64) -> String {
    let mega = bytes_per_second / 1e6;
    if mega < 9.95 {
        short(mega)
    } else {
        count(mega.round() as u64)
    }
}

/// A share of 1: `6 %`, `0.4 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", short(share * 100.0).trim_end_matches(".0"))
}

/// How many times one is the other: `1.3 ×`, `12 ×`.
pub fn times(ratio: f64) -> String {
    if ratio < 1.095 {
        format!("{ratio:.2} ×")
    } else {
        format!("{} ×", short(ratio))
    }
}

/// A length of time to wait for: `8 s`, `2m 10s`, `1h 05m`.
pub fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A number and its noun, which takes an *s* unless it is one: `1 trial`, `5 trials`.
pub fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_takes_the_unit_that_suits_it() {
        let shown = [
            (0.0, "0 ns"),
            (850.0, "850 ns"),
            (999.6, "1.0 µs"),
            (8_400.0, "8.4 µs"),
            (9_960.0, "10 µs"),
            (118_000.0, "118 µs"),
            (999_600.0, "1.0 ms"),
            (1_240_000.0, "1.2 ms"),
            (38_000_000.0, "38 ms"),
            (999_600_000.0, "1.0 s"),
            (15e9, "15 s"),
        ];
        for (nanoseconds, text) in shown {
            assert_eq!(time(nanoseconds), text);
        }
    }

    #[test]
    fn counts_and_rates_stay_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(0.5), "0.5");
        assert_eq!(rate(4_999.7), "5,000");
        assert_eq!(rate(99_999.6), "100 k");
        assert_eq!(rate(999_600.0), "1.00 M");
        assert_eq!(rate(1_240_000.0), "1.24 M");
        assert_eq!(rate(f64::NAN), "–");
    }

    #[test]
    fn sizes_spans_and_shares() {
        assert_eq!(bytes(256.0), "256 B");
        assert_eq!(bytes(1024.0), "1 KiB");
        assert_eq!(bytes(1536.0 * 1024.0), "1.5 MiB");
        assert_eq!(megabytes(1_280_000.0), "1.3");
        assert_eq!(megabytes(1_240_400_000.0), "1,240");
        assert_eq!(percent(0.06), "6 %");
        assert_eq!(percent(0.004), "0.4 %");
        assert_eq!(times(1.04), "1.04 ×");
        assert_eq!(times(1.31), "1.3 ×");
        assert_eq!(span(8.4), "8 s");
        assert_eq!(span(130.0), "2m 10s");
        assert_eq!(span(3_900.0), "1h 05m");
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(&items[..1]), "a");
        assert_eq!(listed(&items[..2]), "a and b");
        assert_eq!(listed(&items), "a, b and c");
        assert_eq!(counted(1, "trial"), "1 trial");
        assert_eq!(counted(5_000, "message"), "5,000 messages");
    }
}
