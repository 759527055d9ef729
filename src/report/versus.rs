//! Two sides beside each other: brokers of one run, or two runs.

use serde_json::{Value, json};

use super::calibrated;
use super::columns;
use super::different;
use super::headline::headline;
use super::markdown::{escape, grid};
use super::text::{Page, View};
use super::verdicts::{
    drifting, interleaved, interval, overall_name, percent, ratio, trials, value, verdict_name,
};
use super::{Format, csv};
use crate::plan::PlannedBroker;
use crate::results::{Results, Stored};
use crate::stats::change::Change;
use crate::stats::compare::{Overall, Pair, Verdict};
use crate::stats::differences::{Difference, differences};
use crate::stats::figure::Figure;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row, Table};

/// What is beside what.
pub struct Versus<'a> {
    /// Heads it.
    pub(super) title: String,
    /// `baseline: results/a · 2026-11-21T15:53 · mqbench 0.1.0`
    pub(super) about: Vec<String>,
    /// What is not the same about two runs.
    pub differences: Vec<Difference>,
    /// One for each broker.
    pub pairs: Vec<Pair<'a>>,
    /// Brokers that only one of two runs has.
    alone: Vec<String>,
    /// What the margins owe to the machine.
    margins: Option<String>,
    /// Those of the plan, in its order.
    brokers: &'a [PlannedBroker],
    /// Of two runs, or of the brokers of one.
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Runs,
    Brokers,
}

/// How something is said to be.
struct Word {
    sign: char,
    tone: anstyle::Style,
    text: &'static str,
}

impl<'a> Versus<'a> {
    /// Two runs.
    pub fn runs(baseline: &Stored, candidate: &'a Stored, pairs: Vec<Pair<'a>>) -> Versus<'a> {
        let side = |name: &str, stored: &Stored| {
            let manifest = &stored.results.manifest;
            let folder = stored.folder.display().to_string();
            let (started, tool) = (&manifest.started, &manifest.tool_version);
            printable(&format!("{name}: {folder} · {started} · mqbench {tool}"))
        };
        let lacks = |one: &Results, other: &Results, who: &str| -> Vec<String> {
            let brokers = one.plan.brokers.iter();
            let alone = brokers
                .filter(|it| it.baseline_of.is_none())
                .filter(|it| !other.plan.brokers.iter().any(|o| o.label == it.label));
            alone
                .map(|it| format!("{}: only in the {who}", printable(&it.label)))
                .collect()
        };
        let (one, other) = (&baseline.results, &candidate.results);
        let mut alone = lacks(one, other, "baseline");
        alone.extend(lacks(other, one, "candidate"));
        Versus {
            title: headline(other),
            about: vec![side("baseline", baseline), side("candidate", candidate)],
            differences: differences(one, other),
            pairs,
            alone,
            margins: calibrated::margins(one, other),
            brokers: &candidate.results.plan.brokers,
            kind: Kind::Runs,
        }
    }

    /// The brokers of one run, the reference being the first side of each pair.
    pub fn brokers(results: &'a Results, pairs: Vec<Pair<'a>>) -> Versus<'a> {
        let brokers = &results.plan.brokers;
        let reference = pairs.first().map(|pair| &brokers[pair.one.broker]);
        let side =
            reference.map(|it| format!("reference: {} ({})", printable(&it.label), gives(it)));
        Versus {
            title: headline(results),
            about: side.into_iter().collect(),
            differences: Vec::new(),
            pairs,
            alone: Vec::new(),
            margins: calibrated::margins(results, results),
            brokers,
            kind: Kind::Brokers,
        }
    }

    /// In a format, the last line ended.
    pub fn render(&self, format: Format, view: &View) -> String {
        match format {
            Format::Text => self.text(view),
            Format::Markdown => self.markdown(),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    /// What the two sides are called: `baseline`, `candidate`.
    pub(super) fn sides(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Runs => ("baseline", "candidate"),
            Kind::Brokers => ("reference", "this"),
        }
    }

    /// Whether brokers of one run are compared, which may not give the same.
    pub(super) fn is_of_brokers(&self) -> bool {
        self.kind == Kind::Brokers
    }

    /// What the broker that is judged gives.
    pub(super) fn gives(&self, pair: &Pair) -> String {
        let broker = self.brokers.get(pair.other.broker);
        broker.map_or(String::new(), gives)
    }

    /// A verdict in the word for it.
    pub(super) fn says(&self, change: Change) -> &'static str {
        self.word(change).text
    }

    fn word(&self, change: Change) -> Word {
        let runs = self.kind == Kind::Runs;
        let (sign, tone, text) = match change {
            Change::Regressed if runs => ('✗', style::BAD, "regressed"),
            Change::Regressed => ('✗', style::BAD, "worse"),
            Change::Improved if runs => ('✓', style::GOOD, "improved"),
            Change::Improved => ('✓', style::GOOD, "better"),
            Change::Unchanged if runs => ('✓', style::GOOD, "unchanged"),
            Change::Unchanged => ('=', anstyle::Style::new(), "the same"),
            Change::Inconclusive => ('?', style::WARN, "inconclusive"),
        };
        Word { sign, tone, text }
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        let (one, other) = self.sides();
        table.column("broker", Align::Left);
        if self.kind == Kind::Brokers {
            table.column("gives", Align::Left);
        }
        table.column("figure", Align::Left);
        table.column(one, Align::Right);
        table.column(other, Align::Right);
        table.column("ratio", Align::Right);
        table.column("95 % interval", Align::Right);
        table.column("n", Align::Right);
        table.column("verdict", Align::Left);
        table.column("margin", Align::Right);
        for pair in &self.pairs {
            for (i, (it, verdict)) in pair.verdicts().enumerate() {
                let label = if i == 0 {
                    printable(&pair.label)
                } else {
                    String::new()
                };
                let (first, second) = it.medians;
                let verdict = match verdict {
                    Verdict::NotMeasured => Cell::plain("not measured").styled(style::DIM),
                    Verdict::Invalid => Cell::plain("not valid").styled(style::BAD),
                    Verdict::Blurred => Cell::plain("instrument-limited").styled(style::WARN),
                    Verdict::Judged(change) => {
                        let word = self.word(change);
                        Cell::plain(word.text).styled(word.tone)
                    }
                };
                let mut cells = vec![Cell::plain(label)];
                if self.kind == Kind::Brokers {
                    let gives = match i {
                        0 => self.gives(pair),
                        _ => String::new(),
                    };
                    cells.push(Cell::plain(gives));
                }
                cells.extend([
                    Cell::plain(it.figure.short()),
                    Cell::plain(value(it.figure, first)),
                    Cell::plain(value(it.figure, second)),
                    Cell::plain(ratio(it.decision.ratio)),
                    Cell::plain(interval(it)),
                    Cell::plain(trials(it)),
                    verdict,
                    Cell::plain(format!("±{}", percent(it.margin))),
                ]);
                table.rows.push(Row {
                    cells,
                    notes: Vec::new(),
                });
            }
        }
        table
    }

    /// What stands below the table: sign, tone and sentence of each broker.
    pub(super) fn sentences(&self) -> Vec<(char, anstyle::Style, String)> {
        let sentence = |pair: &Pair| {
            let label = printable(&pair.label);
            if let Some(why) = pair.invalid() {
                let text = format!("{label}: not to be compared, {}", printable(&why));
                return ('⚠', style::BAD, text);
            }
            let Overall::Judged(change) = pair.overall() else {
                return ('⚠', style::BAD, label);
            };
            let word = self.word(change);
            let of = match self.kind {
                Kind::Runs => String::new(),
                Kind::Brokers => format!(" beside {}", printable(&pair.one_label)),
            };
            let said = pair.figures.iter().filter(|it| it.is_judged());
            let said: Vec<String> = said
                .filter(|it| it.decision.change == change && change != Change::Unchanged)
                .map(|it| match it.decision.ratio {
                    Some(found) => format!("{} {}", it.figure.short(), ratio(Some(found))),
                    None => it.figure.short(),
                })
                .collect();
            let said = match said.is_empty() {
                true => String::new(),
                false => format!(" ({})", said.join(", ")),
            };
            let more = match (change, pair.trials_needed()) {
                (Change::Inconclusive, Some(needed)) => {
                    format!(
                        "; about {} each would settle it",
                        numbers::counted(needed as u64, "trial")
                    )
                }
                (Change::Inconclusive, None) if !pair.figures.iter().any(|it| it.is_measured()) => {
                    "; nothing was measured: measure for longer".to_owned()
                }
                (Change::Inconclusive, None) if !pair.figures.iter().any(|it| it.is_judged()) => {
                    "; the generator was late itself: leave it more CPU".to_owned()
                }
                (Change::Inconclusive, None) => {
                    "; too near to the margin to be told, or too noisy".to_owned()
                }
                _ => String::new(),
            };
            let text = format!("{label}: {}{of}{said}{more}", word.text);
            (word.sign, word.tone, text)
        };
        self.pairs.iter().map(sentence).collect()
    }

    /// What the figures of the table are.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let figures = || self.pairs.iter().flat_map(|pair| &pair.figures);
        if figures().next().is_some() {
            const BLOCKS: &str = "exact signed-rank intervals over the blocks of the run";
            const ALONE: &str = "exact Mann–Whitney intervals";
            let test = match (figures().any(|it| it.paired), figures().all(|it| it.paired)) {
                (true, false) if self.kind == Kind::Runs => {
                    "exact intervals, of signed ranks over the blocks where there are enough of them, else of \
                     Mann and Whitney"
                }
                (true, _) => BLOCKS,
                _ => ALONE,
            };
            notes.push(format!(
                "medians of the valid trials; ratios by Hodges and Lehmann, {test}, each for itself; verdicts \
                 are about differences beyond the margin, at 95 % for all figures of a broker together (Holm)"
            ));
        }
        if figures().any(|it| matches!(it.figure, Figure::Latency(..))) {
            notes.extend(self.margins.clone());
        }
        if figures().any(|it| !it.is_measured()) {
            notes.push(
                "not measured: a percentile is given where 50 samples lie beyond it; measure for longer".to_owned(),
            );
        }
        if figures().any(|it| it.blurred) {
            notes.push(
                "instrument-limited: the generator was late itself by more than a tenth of it, so it is not \
                 judged"
                    .to_owned(),
            );
        }
        notes.extend(interleaved(&self.pairs));
        notes.extend(drifting(&self.pairs));
        notes.extend(self.alone.iter().cloned());
        notes
    }

    /// One line for each difference, the first of many.
    pub(super) fn different(&self) -> Vec<String> {
        different::lines(&self.differences)
    }

    fn text(&self, view: &View) -> String {
        let mut page = Page::new(view);
        page.paragraph("", "  ", &self.title, style::STRONG);
        for side in &self.about {
            page.paragraph("  ", "    ", side, style::DIM);
        }
        let different = self.different();
        if !different.is_empty() {
            page.blank();
        }
        for line in different {
            page.signed('≠', style::WARN, &line);
        }
        page.blank();
        let dropped = page.table(&self.table(), view);
        page.blank();
        for note in self.notes() {
            page.paragraph("  ", "    ", &note, style::DIM);
        }
        page.dropped(&dropped);
        page.blank();
        for (sign, tone, text) in self.sentences() {
            page.signed(sign, tone, &text);
        }
        page.out
    }

    fn markdown(&self) -> String {
        let mut out = format!("**{}**\n\n", escape(&self.title));
        for side in &self.about {
            out.push_str(&format!("- {}\n", escape(side)));
        }
        for line in self.different() {
            out.push_str(&format!("- ≠ {}\n", escape(&line)));
        }
        out.push('\n');
        out.push_str(&grid(&self.table()));
        out.push('\n');
        for (sign, _, text) in self.sentences() {
            let sign = match sign {
                '✓' => "✅",
                '✗' => "❌",
                '?' => "❔",
                '⚠' => "⚠",
                _ => "➖",
            };
            out.push_str(&format!("- {sign} {}\n", escape(&text)));
        }
        out.push('\n');
        for note in self.notes() {
            out.push_str(&format!("{}\n\n", escape(&note)));
        }
        out
    }

    fn csv(&self) -> String {
        let names = [
            "broker",
            "reference",
            "figure",
            "one",
            "other",
            "ratio",
            "ratio_low",
            "ratio_high",
            "trials_one",
            "trials_other",
            "paired",
            "margin",
            "verdict",
            "trials_needed",
        ]
        .map(str::to_owned);
        let number = |value: Option<f64>| value.map(|v| format!("{v}")).unwrap_or_default();
        let lines = self.pairs.iter().flat_map(|pair| {
            pair.verdicts().map(move |(it, verdict)| {
                let (low, high) = it.decision.interval.unzip();
                vec![
                    pair.label.to_string(),
                    pair.one_label.to_string(),
                    it.figure.to_string(),
                    number(it.medians.0),
                    number(it.medians.1),
                    number(it.decision.ratio),
                    number(low),
                    number(high),
                    it.trials.0.to_string(),
                    it.trials.1.to_string(),
                    it.paired.to_string(),
                    number(Some(it.margin)),
                    verdict_name(verdict).to_owned(),
                    it.decision
                        .trials_needed
                        .map(|n| n.to_string())
                        .unwrap_or_default(),
                ]
                .into_iter()
            })
        });
        csv::lines_of(&names, lines)
    }

    fn json(&self) -> String {
        // Lost percentiles are infinite, which JSON has no word for.
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_infinite() => json!("lost"),
            value => json!(value),
        };
        let pairs: Vec<Value> = self
            .pairs
            .iter()
            .map(|pair| {
                let figures: Vec<Value> = pair
                    .verdicts()
                    .map(|(it, verdict)| {
                        let (low, high) = it.decision.interval.unzip();
                        json!({
                            "figure": it.figure.to_string(),
                            "one": number(it.medians.0),
                            "other": number(it.medians.1),
                            "ratio": number(it.decision.ratio),
                            "interval": match low.is_some() {
                                true => json!([number(low), number(high)]),
                                false => Value::Null,
                            },
                            "trials": [it.trials.0, it.trials.1],
                            "paired": it.paired,
                            "margin": it.margin,
                            "verdict": verdict_name(verdict),
                            "trials_needed": it.decision.trials_needed,
                        })
                    })
                    .collect();
                json!({
                    "broker": pair.label,
                    "reference": pair.one_label,
                    "verdict": overall_name(pair),
                    "reason": pair.invalid(),
                    "pace": pair.pace.map(|it| it.ratio),
                    "figures": figures,
                })
            })
            .collect();
        let different: Vec<Value> = self
            .differences
            .iter()
            .map(|it| json!({"about": it.about.name(), "what": it.what, "one": it.one, "other": it.other}))
            .collect();
        let all = json!({"differences": different, "brokers": pairs});
        format!("{all:#}\n")
    }
}

/// What a broker guarantees: what is compared is not always alike.
fn gives(broker: &PlannedBroker) -> String {
    let offer = &broker.offer;
    let (delivery, durability) = (
        columns::delivery(offer.delivery),
        columns::durability(offer.durability),
    );
    format!("{delivery}, {durability}")
}
