//! What is said of histories: what changed, when, and what else did then.

use std::collections::BTreeMap;

use super::verdicts::{ratio, value};
use crate::results::Stored;
use crate::stats::change::Change;
use crate::stats::differences::Difference;
use crate::stats::history::{History, Line, Series, Turn};
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, listed};
use crate::terminal::style;

/// More differences than this are counted.
const MOST_DIFFERENCES: usize = 6;
/// Longer values are cut.
const LONGEST: usize = 40;

/// When a run began, to the minute, by the clock of its place.
pub fn when(run: &Stored) -> String {
    let minute: String = run.results.manifest.started.chars().take(16).collect();
    printable(&minute.replace('T', " "))
}

/// A broker's label, with what it was asked for where another one has the same.
pub fn label(history: &History, series: &Series) -> String {
    let namesakes = history.series.iter().filter(|it| it.label == series.label);
    let label = printable(&series.label);
    match namesakes.count() {
        0 | 1 => label,
        _ => {
            let asked = series.asked;
            let delivery = super::columns::delivery(asked.delivery);
            let durability = super::columns::durability(asked.durability);
            format!("{label} ({delivery}, {durability})")
        }
    }
}

/// `nats: server 2.10 → 2.11 · kernel 6.1 → 6.2`.
pub fn different(differences: &[Difference]) -> String {
    let cut = |text: &str| -> String {
        match text.chars().count() {
            0 => numbers::NONE.to_owned(),
            1..=LONGEST => printable(text),
            _ => {
                let start: String = text.chars().take(LONGEST - 1).collect();
                printable(&start) + "…"
            }
        }
    };
    let one = |it: &Difference| {
        format!(
            "{} {} → {}",
            printable(&it.what),
            cut(&it.one),
            cut(&it.other)
        )
    };
    let mut all: Vec<String> = differences.iter().take(MOST_DIFFERENCES).map(one).collect();
    if differences.len() > MOST_DIFFERENCES {
        all.push(format!("and {} more", differences.len() - MOST_DIFFERENCES));
    }
    all.join(" · ")
}

/// What is said of a broker.
pub struct Said {
    /// `✗`, `✓`, `=` or `?`.
    pub sign: char,
    /// Of the sign.
    pub tone: anstyle::Style,
    /// A sentence.
    pub text: String,
    /// Lines below it.
    pub more: Vec<String>,
}

/// One for each thing that changed and for each broker of which something did not, or cannot be told.
pub fn sentences(history: &History) -> Vec<Said> {
    let is_long = |series: &Series, line: &Line| line.counted() >= series.least_runs;
    let mut lines = history
        .series
        .iter()
        .flat_map(|it| it.lines.iter().map(move |line| (it, line)));
    if !lines.any(|(series, line)| is_long(series, line) || !line.turns.is_empty()) {
        let least = history
            .series
            .iter()
            .map(|it| it.least_runs)
            .max()
            .unwrap_or(0);
        return vec![Said {
            sign: '?',
            tone: style::WARN,
            text: format!("too few runs that count to tell a lasting change: it takes {least}"),
            more: Vec::new(),
        }];
    }
    let mut all = Vec::new();
    for series in &history.series {
        let label = label(history, series);
        all.extend(turns(history, series));
        let names = |wanted: &dyn Fn(&&Line) -> bool| -> Vec<String> {
            let lines = series.lines.iter().filter(wanted);
            lines.map(|it| it.figure.short()).collect()
        };
        let is_long = |it: &Line| is_long(series, it);
        let steady = names(&|it| it.turns.is_empty() && is_long(it));
        if !steady.is_empty() {
            all.push(Said {
                sign: '=',
                tone: anstyle::Style::new(),
                text: format!("{label}: no lasting change of {}", listed(&steady)),
                more: Vec::new(),
            });
        }
        let short = names(&|it| it.turns.is_empty() && !is_long(it));
        if !short.is_empty() {
            let few = series.lines.iter().filter(|it| !is_long(it));
            let least = few.map(Line::counted).min().unwrap_or(0);
            all.push(Said {
                sign: '?',
                tone: style::WARN,
                text: format!(
                    "{label}: too few runs that count to tell a lasting change of {}: {least} of at least {}",
                    listed(&short),
                    series.least_runs
                ),
                more: Vec::new(),
            });
        }
    }
    all
}

/// A sentence for each run from which on something was worse, or better, with a line for each figure.
fn turns(history: &History, series: &Series) -> Vec<Said> {
    let mut found: BTreeMap<(usize, bool), Vec<(&Line, &Turn)>> = BTreeMap::new();
    for line in &series.lines {
        for turn in &line.turns {
            let is_better = turn.change == Change::Improved;
            let same = found.entry((turn.entry, is_better)).or_default();
            same.push((line, turn));
        }
    }
    let said = found.into_iter().map(|((entry, is_better), turns)| {
        let at = when(history.runs[series.entries[entry].run]);
        let (sign, tone, word) = match is_better {
            true => ('✓', style::GOOD, "better"),
            false => ('✗', style::BAD, "worse"),
        };
        let mut more: Vec<String> = turns
            .iter()
            .map(|(line, turn)| turned(line, turn))
            .collect();
        let differences = turns.first().map_or(&[][..], |it| &it.1.differences);
        more.push(match differences {
            [] => "nothing that results tell of changed then".to_owned(),
            some => format!("changed then: {}", different(some)),
        });
        Said {
            sign,
            tone,
            text: format!("{}: {word} from {at} on", label(history, series)),
            more,
        }
    });
    said.collect()
}

/// `p99 1.2 ms → 1.9 ms: 1.60 × (95 % interval 1.57 to 1.62), 8 runs before and 5 since`.
fn turned(line: &Line, turn: &Turn) -> String {
    let interval = match turn.interval {
        Some((low, high)) => {
            let bare = |end: f64| ratio(Some(end)).trim_end_matches(" ×").to_owned();
            format!(" (95 % interval {} to {})", bare(low), bare(high))
        }
        None => String::new(),
    };
    let (before, since) = turn.runs;
    format!(
        "{} {} → {}: {}{interval}, {} before and {since} since",
        line.figure.short(),
        value(line.figure, Some(turn.levels.0)),
        value(line.figure, Some(turn.levels.1)),
        ratio(Some(turn.ratio)),
        numbers::counted(before as u64, "run"),
    )
}
