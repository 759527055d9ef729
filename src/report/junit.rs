//! What a gate found, as test runners read it: a suite for each broker, a case for each figure.

use std::fmt;

use super::verdicts::{interval, percent, ratio, value, verdict_name};
use super::versus::Versus;
use crate::stats::compare::{Compared, Pair, Verdict};

/// The report. What is inconclusive is skipped, with `strict` failed.
pub fn render(versus: &Versus, name: &str, strict: bool) -> String {
    let mut all = Counts::default();
    let mut suites = String::new();
    for pair in &versus.pairs {
        let mut counts = Counts::default();
        let cases = pair.verdicts();
        let cases: String = cases
            .map(|(it, verdict)| case(pair, it, verdict, strict, &mut counts))
            .collect();
        let label = xml(&pair.label);
        suites += &format!("  <testsuite name=\"{label}\" {counts}>\n{cases}  </testsuite>\n");
        all.add(counts);
    }
    let name = xml(name);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"{name}\" {all}>\n{suites}</testsuites>\n"
    )
}

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: u32,
    failures: u32,
    errors: u32,
    skipped: u32,
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.tests += more.tests;
        self.failures += more.failures;
        self.errors += more.errors;
        self.skipped += more.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Counts {
            tests,
            failures,
            errors,
            skipped,
        } = self;
        write!(
            f,
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\""
        )
    }
}

fn case(pair: &Pair, it: &Compared, verdict: Verdict, strict: bool, counts: &mut Counts) -> String {
    counts.tests += 1;
    let verdict = verdict_name(verdict);
    let said = xml(&format!(
        "{} → {}, ratio {}, 95 % interval {}, margin ±{}",
        value(it.figure, it.medians.0),
        value(it.figure, it.medians.1),
        ratio(it.decision.ratio),
        interval(it),
        percent(it.margin)
    ));
    let outcome = match verdict {
        "regressed" | "inconclusive" if strict || verdict == "regressed" => {
            counts.failures += 1;
            format!("<failure type=\"{verdict}\" message=\"{said}\"/>")
        }
        "invalid" => {
            counts.errors += 1;
            let why = xml(&pair.invalid().unwrap_or_default());
            format!("<error type=\"invalid\" message=\"{why}\"/>")
        }
        "inconclusive" | "instrument-limited" | "not-measured" => {
            counts.skipped += 1;
            format!("<skipped message=\"{verdict}: {said}\"/>")
        }
        _ => format!("<system-out>{verdict}: {said}</system-out>"),
    };
    let (label, figure) = (xml(&pair.label), xml(&it.figure.to_string()));
    format!("    <testcase classname=\"{label}\" name=\"{figure}\">{outcome}</testcase>\n")
}

/// Text that XML shows as it is; what it cannot hold at all is left out.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}
