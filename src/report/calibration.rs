//! What is known of a machine as an instrument, in full.

use std::path::Path;

use serde_json::{Value, json};

use crate::results::Calibration;
use crate::results::calibration::{FigureNoise, Noise};
use crate::stats::change::CONFIDENCE;
use crate::stats::figure::{Asked, Figure};
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, counted, percent};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row, Table};

use super::calibrated::{resolutions, seconds_between};
use super::text::{Page, View};
use super::unfit::unfit;
use super::verdicts;

/// All of it, for a person; `kept` is where it is now.
pub fn text(found: &Calibration, kept: Option<&Path>, view: &View) -> String {
    let mut page = Page::new(view);
    let about = format!(
        "This machine as an instrument · {} · took {}",
        printable(&found.made),
        numbers::span(found.seconds)
    );
    page.paragraph("", "  ", &about, style::STRONG);
    page.blank();
    page.paragraph("  ", "  ", "The machine", style::STRONG);
    page.facts(&machine(found));
    page.blank();
    page.paragraph(
        "  ",
        "  ",
        "mqbench itself, without a broker: messages pass through memory",
        style::STRONG,
    );
    page.facts(&harness(found));
    page.blank();
    let mut dropped = page.table(&by_rate(found), view);
    let by_rate = "a message is late by the time from its due instant to its sending: what mqbench itself adds; \
                   end to end it is with everything, up to the consumer; CPU is that of publisher and consumer for \
                   one message, part of which goes into waiting precisely";
    page.paragraph("  ", "    ", by_rate, style::DIM);
    for noise in &found.noise {
        page.blank();
        page.paragraph("  ", "  ", &equal_runs(noise, found), style::STRONG);
        if let Some(why) = &noise.invalid {
            let why = format!("its figures do not count: {}", printable(why));
            page.signed('⚠', style::WARN, &why);
        } else {
            dropped.extend(page.table(&noises(noise), view));
            for note in legend(noise) {
                page.paragraph("  ", "    ", &note, style::DIM);
            }
        }
    }
    page.dropped(&dropped);
    page.blank();
    let warnings = unfit(found);
    if warnings.is_empty() {
        page.signed(
            '✓',
            style::GOOD,
            "nothing was seen that makes this machine unfit",
        );
    }
    for said in warnings {
        page.signed('⚠', style::WARN, &format!("{}; {}", said.what, said.remedy));
    }
    if let Some(path) = kept {
        page.blank();
        let kept = format!(
            "Kept in {}: `run` stores it with its results, and reports, `compare` and `gate` go by it",
            printable(&path.display().to_string())
        );
        page.paragraph("  ", "    ", &kept, style::DIM);
    }
    page.out
}

/// All of it, for a program.
pub fn json(found: &Calibration, kept: Option<&Path>) -> String {
    let warnings: Vec<Value> = unfit(found)
        .iter()
        .map(|said| json!({ "warning": said.what, "remedy": said.remedy }))
        .collect();
    let document = json!({
        "calibration": found,
        "warnings": warnings,
        "kept": kept.map(|path| path.display().to_string()),
    });
    format!("{document:#}\n")
}

/// A name, a figure, and what it means.
type Fact = [String; 3];

fn fact(name: &str, figure: impl Into<String>, means: impl Into<String>) -> Fact {
    [name.to_owned(), figure.into(), means.into()]
}

fn machine(found: &Calibration) -> Vec<Fact> {
    let host = &found.host;
    let mut facts = vec![fact(
        "processor",
        counted(host.cores.into(), "core"),
        printable(&host.cpu),
    )];
    if let Some(frequency) = found.frequency {
        let most = frequency
            .most_mhz
            .map(|most| format!(", of at most {}", gigahertz(most)));
        facts.push(fact(
            "clock rate",
            gigahertz(frequency.mean_mhz),
            format!(
                "of the cores under load, at the slowest{}",
                most.unwrap_or_default()
            ),
        ));
    }
    let governor = host.governor.as_deref().unwrap_or("not told");
    facts.push(fact(
        "governor",
        printable(governor),
        "who decides how fast the cores run; `performance` keeps them fast",
    ));
    let virtual_machine = match host.virtual_machine {
        true => "a virtual machine: the hypervisor may give its CPU to others",
        false => "no virtual machine, so that nothing should be taken",
    };
    facts.push(fact(
        "taken: steal",
        percent(found.taken.steal),
        format!("of the CPU while this was measured; {virtual_machine}"),
    ));
    facts.push(fact(
        "taken: others",
        percent(found.taken.others),
        "of the CPU by other programs meanwhile; a trial that loses more than 2 % is measured again",
    ));
    let [one, _, fifteen] = host.load_average;
    facts.push(fact(
        "load before",
        format!("{one:.2}"),
        format!(
            "programs wanted the CPU in the minute before; {fifteen:.2} over a quarter of an hour"
        ),
    ));
    facts
}

fn harness(found: &Calibration) -> Vec<Fact> {
    let source = found.host.clock_source.as_deref();
    let source = source
        .map(|it| format!(" ({})", printable(it)))
        .unwrap_or_default();
    let mut facts = vec![fact(
        "clock",
        numbers::time(found.clock.cost_ns),
        format!(
            "is what a reading takes{source}, and each message takes a few; it tells {} apart",
            numbers::time(found.clock.step_ns as f64)
        ),
    )];
    let sleep = found.sleep.p50_ns.zip(found.sleep.p90_ns);
    if let Some((p50, p90)) = sleep {
        facts.push(fact(
            "timer",
            numbers::time(p50 as f64),
            format!(
                "is how late a sleep ends, and one in ten is later than {}; mqbench looks at the clock for the last part of \
                 each wait",
                numbers::time(p90 as f64)
            ),
        ));
    }
    if let Some(rate) = found.capacity.per_second {
        let cpu = found
            .capacity
            .cpu_ns
            .map(|cpu| format!(", for {} of CPU each", numbers::time(cpu)));
        facts.push(fact(
            "capacity",
            format!("{}/s", numbers::rate(rate)),
            format!(
                "messages of 256 B with one publisher and one consumer{}: no broker can be measured to be faster",
                cpu.unwrap_or_default()
            ),
        ));
    }
    let [p50, p95, p99] = resolutions(&found.resolution);
    facts.push(fact(
        "resolution",
        p50,
        format!(
            "is what two medians must differ by to be called different, {p95} two 95th percentiles, {p99} higher ones; \
             equal runs of a broker may show that it takes more"
        ),
    ));
    facts
}

fn gigahertz(megahertz: f64) -> String {
    format!("{:.1} GHz", megahertz / 1e3)
}

fn by_rate(found: &Calibration) -> Table {
    let mut table = Table::default();
    table.column("messages", Align::Right);
    for name in [
        "late p50",
        "late p99",
        "end to end p50",
        "end to end p99",
        "CPU",
    ] {
        table.column(name, Align::Right);
    }
    let time = |it: Option<f64>| Cell::plain(it.map_or(numbers::NONE.to_owned(), numbers::time));
    for paced in &found.paced {
        let rate = format!("{}/s", numbers::rate(paced.per_second));
        let times = [
            paced.lateness_p50_ns,
            paced.lateness_p99_ns,
            paced.end_to_end_p50_ns,
            paced.end_to_end_p99_ns,
            paced.cpu_ns,
        ];
        table.rows.push(Row {
            cells: std::iter::once(Cell::plain(rate))
                .chain(times.map(time))
                .collect(),
            notes: Vec::new(),
        });
    }
    table
}

fn equal_runs(noise: &Noise, found: &Calibration) -> String {
    let version = noise.server_version.as_deref();
    let version = version
        .map(|it| format!(" {}", printable(it)))
        .unwrap_or_default();
    let then = match is_within(noise, found) {
        true => String::new(),
        false => format!(" (measured {})", printable(&noise.made)),
    };
    format!(
        "{} equal runs of {}{version}, scenario {}, {} of {} each{then}: how much they differ",
        noise.runs,
        printable(&noise.broker),
        printable(&noise.scenario),
        counted(noise.trials as u64, "trial"),
        numbers::time(noise.seconds * 1e9),
    )
}

/// Whether it was measured in this very calibration.
fn is_within(noise: &Noise, found: &Calibration) -> bool {
    seconds_between(&found.made, &noise.made).is_some_and(|it| (0.0..=found.seconds).contains(&it))
}

fn noises(noise: &Noise) -> Table {
    let mut table = Table::default();
    table.column("figure", Align::Left);
    table.column("median", Align::Right);
    table.column("trials ±", Align::Right);
    table.column("runs +", Align::Right);
    table.column(format!("{} find", noise.usual_trials), Align::Right);
    table.column("margin", Align::Right);
    table.column("needed", Align::Right);
    table.column("gate", Align::Left);
    for it in &noise.figures {
        let (name, median) = match it.figure.parse::<Asked>() {
            Ok(Asked::Figure(figure)) => (figure.short(), verdicts::value(figure, Some(it.median))),
            _ => (printable(&it.figure), numbers::NONE.to_owned()),
        };
        let cells = [
            name,
            median,
            percent(it.noise),
            percent(it.runs_ratio - 1.0),
            it.smallest_effect.map_or(numbers::NONE.to_owned(), percent),
            percent(it.margin),
            it.trials_needed
                .map_or("too many".to_owned(), |it| numbers::count(it as u64)),
            said(it),
        ];
        table.rows.push(Row {
            cells: cells.into_iter().map(Cell::plain).collect(),
            notes: Vec::new(),
        });
    }
    table
}

/// `2 ✓`, `1 ✓ 1 ?`.
fn said(it: &FigureNoise) -> String {
    let words = [
        (it.said.unchanged, '✓'),
        (it.said.inconclusive, '?'),
        (it.said.changed, '✗'),
    ];
    let words = words.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = words
        .map(|(count, sign)| format!("{count} {sign}"))
        .collect();
    words.join(" ")
}

fn legend(noise: &Noise) -> Vec<String> {
    let usual = counted(noise.usual_trials as u64, "trial");
    let mut legend = vec![
        "trials ±: standard deviation of the equal trials of a run; runs +: the largest median of a run beyond the \
         smallest, so also what a new start of the server changes"
            .to_owned(),
        format!(
            "{} find: {usual} of each side call a difference from there on one, nine times out of ten; margin: what is \
             called a change; needed: so many trials of each side call equal runs unchanged and a difference of two \
             margins a change, nine times out of ten, at {} for all figures together",
            noise.usual_trials,
            percent(CONFIDENCE)
        ),
        format!(
            "gate: each run beside the one before: ✓ unchanged, ? inconclusive (it asks for more trials), ✗ changed, which \
             is wrong; trials that are longer than these {} differ less",
            numbers::time(noise.seconds * 1e9)
        ),
    ];
    let figures = Figure::of(Shape::of(&noise.workload)).into_iter();
    let missing = figures.filter(|it| noise.figure(&it.to_string()).is_none());
    let missing: Vec<String> = missing.map(Figure::short).collect();
    if !missing.is_empty() {
        legend.push(format!(
            "not there: {}: too few messages, or mqbench was late itself by more than a tenth of it",
            numbers::listed(&missing)
        ));
    }
    legend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn view(width: usize) -> View<'static> {
        View {
            width: Some(width),
            ..View::default()
        }
    }

    #[test]
    fn a_calibration_is_told_in_words() {
        let mut found = sample::calibration();
        // However these tests are built.
        found.optimised = true;
        let kept = Path::new("state/calibration/0123.json");
        insta::assert_snapshot!("calibration", text(&found, Some(kept), &view(120)));
        insta::assert_snapshot!("calibration_80", text(&found, None, &view(80)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 200] {
            let text = text(&sample::calibration(), None, &view(width));
            let widest = text.lines().map(style::width).max().unwrap();
            assert!(widest <= width, "{widest} in {width} columns:\n{text}");
        }
    }

    #[test]
    fn for_a_program_it_is_what_is_kept() {
        let found = sample::calibration();
        let value: Value = serde_json::from_str(&json(&found, None)).unwrap();
        let back: Calibration = serde_json::from_value(value["calibration"].clone()).unwrap();
        assert_eq!(back, found);
        assert!(value["warnings"].is_array() && value["kept"].is_null());
    }
}
