//! Many runs of the same question, one after the other: each figure over time, and where its level shifted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::change::{CONFIDENCE, Change};
use super::compare::{Compared, Margin, Verdict, pair};
use super::differences::{Difference, differences};
use super::figure::{Asked, Figure};
use super::group::Group;
use super::levels::{least_runs, shifts};
use super::median::median;
use super::shape::Shape;
use super::shift::Shift;
use crate::plan::{Asked as Guarantee, Plan};
use crate::results::calibration::Resolution;
use crate::results::{Results, Stored};
use crate::scenario::units::Rate;
use crate::scenario::workload::{Transaction, Workload};

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which figures; none for throughput, median and p99 of the headline latency.
    pub figures: Vec<Asked>,
    /// Only brokers with these labels; none for all.
    pub brokers: Vec<String>,
    /// From which relative difference on there is a change; `None` for each figure's own.
    pub margin: Option<f64>,
}

impl Options {
    fn figures(&self, shape: Shape) -> Vec<Figure> {
        if !self.figures.is_empty() {
            let mut figures: Vec<Figure> = Vec::new();
            for figure in self.figures.iter().map(|asked| asked.of(shape)) {
                // `p99` may be `p99(end_to_end)`.
                if !figures.contains(&figure) {
                    figures.push(figure);
                }
            }
            return figures;
        }
        let seen =
            |figure: &Figure| !matches!(figure, Figure::Latency(_, percent) if *percent == 95.0);
        Figure::of(shape).into_iter().filter(seen).collect()
    }
}

/// Runs that ask the same of the brokers.
#[derive(Debug)]
pub struct History<'a> {
    /// The oldest first; never empty.
    pub runs: Vec<&'a Stored>,
    /// What is looked at, in order.
    pub figures: Vec<Figure>,
    /// One for each broker, in the order of the newest run that has it.
    pub series: Vec<Series<'a>>,
}

/// One broker over time.
#[derive(Debug)]
pub struct Series<'a> {
    /// As the results name it; of a sweep with the rate.
    pub label: Cow<'a, str>,
    /// What it was asked for: a broker of the same name may be asked for something else.
    pub asked: Guarantee,
    /// Those runs that have it, as places in [`History::runs`], and what it was worth there.
    pub entries: Vec<Entry<'a>>,
    /// One for each figure.
    pub lines: Vec<Line>,
    /// Runs that it takes at the least to find a change.
    pub least_runs: usize,
}

/// One broker in one run.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Place of the run in [`History::runs`].
    pub run: usize,
    /// Its trials.
    pub group: Group<'a>,
    /// What is not the same as in the entry before.
    pub differences: Vec<Difference>,
}

impl Entry<'_> {
    /// Why its figures do not count; `None` where they do.
    pub fn invalid(&self) -> Option<String> {
        if self.group.is_valid() {
            return None;
        }
        let example = self.group.example().map(|it| {
            let outcome = it.verdict.outcome.name();
            match it.verdict.reason.as_str() {
                "" => outcome.to_owned(),
                reason => format!("{outcome}: {reason}"),
            }
        });
        Some(example.unwrap_or("no trial was made".to_owned()))
    }
}

/// One figure of one broker over time.
#[derive(Debug)]
pub struct Line {
    /// Which.
    pub figure: Figure,
    /// One for each entry.
    pub points: Vec<Point>,
    /// Where the level shifted, in order.
    pub turns: Vec<Turn>,
    /// The relative difference that is called a change, at the median of all.
    pub margin: f64,
}

impl Line {
    /// Entries whose figure counts.
    pub fn counted(&self) -> usize {
        self.points
            .iter()
            .filter(|it| it.worth == Worth::Counted)
            .count()
    }
}

/// What a figure of a run is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It counts.
    Counted,
    /// The run has no such figure: too few samples, or none.
    NotMeasured,
    /// The trials are mostly not *ok*: it is shown and never counted.
    Invalid,
    /// The generator was late itself: it is shown and never counted.
    Blurred,
}

/// One figure in one run.
#[derive(Clone, Debug)]
pub struct Point {
    /// Median over the trials that are *ok*, or over all if none is; the figure's unit, infinite where it
    /// is lost.
    pub value: Option<f64>,
    /// Trials that have it.
    pub trials: usize,
    /// What it is worth.
    pub worth: Worth,
    /// Beside the last valid run before; `None` where there is none.
    pub before: Option<(Compared, Verdict)>,
}

/// A level that began.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The place of its first run among the entries.
    pub entry: usize,
    /// Medians of the runs of the level before, and of this one.
    pub levels: (f64, f64),
    /// How many times the new level is the old one (Hodges and Lehmann), runs being the unit.
    pub ratio: f64,
    /// Its ends at [`CONFIDENCE`]; `None` where a level has too few runs for one.
    pub interval: Option<(f64, f64)>,
    /// Runs of the level before, and of this one.
    pub runs: (usize, usize),
    /// For worse or for better.
    pub change: Change,
    /// What is not the same about the last run before and the first one after, as far as it may concern this
    /// broker.
    pub differences: Vec<Difference>,
}

/// Groups runs (the oldest first) by what they ask; the group with the newest run comes last.
pub fn histories<'a>(runs: &'a [Stored], options: &Options) -> Vec<History<'a>> {
    let mut groups: Vec<Vec<&Stored>> = Vec::new();
    for run in runs {
        let question = Question::of(&run.results);
        let same = groups
            .iter()
            .position(|group| Question::of(&group[0].results) == question);
        match same {
            // The group that grew moves to the end.
            Some(place) => {
                let mut group = groups.remove(place);
                group.push(run);
                groups.push(group);
            }
            None => groups.push(vec![run]),
        }
    }
    let histories = groups.into_iter().map(|runs| History::of(runs, options));
    histories.filter(|it| !it.series.is_empty()).collect()
}

/// What is asked. Where, by which version and how often it was measured may differ.
#[derive(PartialEq)]
struct Question<'a> {
    scenario: &'a str,
    workload: &'a Workload,
    /// Shorter trials have other percentiles, and colder brokers.
    phases: &'a crate::scenario::workload::Phases,
}

impl Question<'_> {
    fn of(results: &Results) -> Question<'_> {
        Question {
            scenario: &results.manifest.scenario,
            workload: &results.plan.workload,
            phases: &results.plan.phases,
        }
    }
}

/// What one broker is asked for besides the workload.
type Own<'a> = (&'a str, Guarantee, Option<Transaction>, Option<Rate>);

/// Every broker, of a sweep at every rate: rate by rate, in the order of the plan.
fn own(plan: &Plan) -> impl Iterator<Item = Own<'_>> {
    let rates = (0..plan.points()).map(|point| plan.sweep.get(point).copied());
    rates.flat_map(|rate| {
        let brokers = plan.brokers.iter();
        brokers.map(move |it| (it.label.as_str(), it.asked, it.transaction, rate))
    })
}

impl<'a> History<'a> {
    fn of(runs: Vec<&'a Stored>, options: &Options) -> History<'a> {
        let shape = runs.first().map(|it| Shape::of(&it.results.plan.workload));
        let figures = shape.map_or(Vec::new(), |shape| options.figures(shape));
        let mut brokers: Vec<Own> = Vec::new();
        for run in runs.iter().rev() {
            // A program of its baseline is measured for its gate alone.
            let labels = run.results.plan.brokers.iter();
            let beside: Vec<&str> = labels
                .filter(|it| it.baseline_of.is_some())
                .map(|it| it.label.as_str())
                .collect();
            for broker in own(&run.results.plan) {
                let wanted =
                    options.brokers.is_empty() || options.brokers.iter().any(|it| it == broker.0);
                if wanted && !beside.contains(&broker.0) && !brokers.contains(&broker) {
                    brokers.push(broker);
                }
            }
        }
        let beside = Beside {
            runs: &runs,
            found: RefCell::default(),
        };
        let series = brokers
            .into_iter()
            .map(|broker| Series::of(&beside, broker, &figures, options.margin));
        History {
            series: series.collect(),
            figures,
            runs,
        }
    }
}

impl<'a> Series<'a> {
    fn of(
        beside: &Beside<'a, '_>,
        broker: Own<'a>,
        figures: &[Figure],
        margin: Option<f64>,
    ) -> Series<'a> {
        let runs = beside.runs;
        let mut entries: Vec<Entry> = Vec::new();
        for (run, stored) in runs.iter().enumerate() {
            let results = &stored.results;
            let brokers = results.plan.brokers.len();
            let Some(place) = own(&results.plan).position(|it| it == broker) else {
                continue;
            };
            let differences = entries
                .last()
                .map(|it| beside.concerning(broker.0, it.run, run));
            entries.push(Entry {
                run,
                group: Group::at(results, place % brokers, place / brokers),
                differences: differences.unwrap_or_default(),
            });
        }
        // All figures of a broker together are allowed the error that one comparison is.
        let error = (1.0 - CONFIDENCE) / figures.len().max(1) as f64;
        let mut points: Vec<Vec<Point>> = figures.iter().map(|_| Vec::new()).collect();
        let mut valid: Option<&Entry> = None;
        for entry in &entries {
            let side = |entry: &Entry<'a>| (broker.0, entry.group.clone());
            let two = valid.map(|before| pair(side(before), side(entry), figures, margin, false));
            for (i, figure) in figures.iter().enumerate() {
                let before = two.as_ref().and_then(|pair| {
                    let (compared, verdict) = pair.verdicts().nth(i)?;
                    Some((compared.clone(), verdict))
                });
                points[i].push(Point::of(*figure, &entry.group, before));
            }
            if entry.group.is_valid() {
                valid = Some(entry);
            }
        }
        let machines = entries.iter().map(|it| it.group.resolution);
        let margin = Margin {
            asked: margin,
            resolution: machines.reduce(Resolution::coarser).unwrap_or_default(),
        };
        let lines = figures.iter().zip(points).map(|(figure, points)| {
            let turns = turns(*figure, &points, error, margin);
            let turns = turns.into_iter().map(|(last, mut turn)| {
                let (last, first) = (entries[last].run, entries[turn.entry].run);
                turn.differences = beside.concerning(broker.0, last, first);
                turn
            });
            let usual = median(points.iter().filter_map(Point::counted));
            Line {
                figure: *figure,
                turns: turns.collect(),
                margin: margin.of(*figure, usual),
                points,
            }
        });
        Series {
            label: match broker.3 {
                Some(rate) => format!("{} at {rate}", broker.0).into(),
                None => broker.0.into(),
            },
            asked: broker.1,
            lines: lines.collect(),
            entries,
            least_runs: least_runs(error),
        }
    }
}

impl Point {
    /// The value, if it counts.
    pub fn counted(&self) -> Option<f64> {
        self.value.filter(|_| self.worth == Worth::Counted)
    }

    fn of(figure: Figure, group: &Group, before: Option<(Compared, Verdict)>) -> Point {
        let used = group.used();
        let values = group.judged(figure);
        // Of fewer than half of the trials nothing is said elsewhere, either.
        let enough = 2 * values.len() > used.len();
        let worth = match enough {
            _ if !group.is_valid() => Worth::Invalid,
            false => Worth::NotMeasured,
            true if used.iter().any(|it| figure.is_blurred(it)) => Worth::Blurred,
            true => Worth::Counted,
        };
        Point {
            trials: values.len(),
            value: if enough { median(values) } else { None },
            worth,
            before,
        }
    }
}

/// Differences of runs, each pair looked at once for all brokers.
struct Beside<'a, 'r> {
    runs: &'r [&'a Stored],
    found: RefCell<BTreeMap<(usize, usize), Vec<Difference>>>,
}

impl Beside<'_, '_> {
    /// Those of two runs that may concern one broker: those that are another's own do not.
    fn concerning(&self, label: &str, one: usize, other: usize) -> Vec<Difference> {
        let (first, second) = (&self.runs[one].results, &self.runs[other].results);
        let mut found = self.found.borrow_mut();
        let all = found
            .entry((one, other))
            .or_insert_with(|| differences(first, second));
        let brokers = first.plan.brokers.iter().chain(&second.plan.brokers);
        let others: BTreeSet<String> = brokers
            .filter(|it| it.label != label)
            .map(|it| format!("{}: ", it.label))
            .collect();
        let mine = format!("{label}: ");
        let concerns = |it: &&Difference| {
            it.what.starts_with(&mine) || !others.iter().any(|other| it.what.starts_with(other))
        };
        all.iter().filter(concerns).cloned().collect()
    }
}

/// Where the level shifted by more than the margin, and the place of the last entry before.
fn turns(figure: Figure, points: &[Point], error: f64, margin: Margin) -> Vec<(usize, Turn)> {
    let counted = points
        .iter()
        .enumerate()
        .filter(|it| it.1.worth == Worth::Counted);
    let (places, values): (Vec<usize>, Vec<f64>) = counted
        .filter_map(|(place, point)| Some((place, point.value?)))
        .unzip();
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let mut borders = shifts(&logs, error);
    loop {
        let drafts: Vec<Option<(f64, Turn)>> = (0..borders.len())
            .map(|i| {
                let from = i.checked_sub(1).map_or(0, |before| borders[before]);
                let to = borders.get(i + 1).copied().unwrap_or(logs.len());
                let (before, since) = (from..borders[i], borders[i]..to);
                let shift = Shift::independent(&logs[before.clone()], &logs[since.clone()])?;
                let level = |range: std::ops::Range<usize>| median(values[range].iter().copied());
                let levels = (level(before.clone())?, level(since.clone())?);
                let least = margin.of(figure, Some(levels.0));
                let estimate = shift.estimate();
                let ends = shift.interval(CONFIDENCE);
                let turn = Turn {
                    entry: places[borders[i]],
                    levels,
                    ratio: estimate.exp(),
                    interval: ends.map(|(low, high)| (low.exp(), high.exp())),
                    runs: (before.len(), since.len()),
                    change: match (estimate > 0.0) == figure.lower_is_better() {
                        true => Change::Regressed,
                        false => Change::Improved,
                    },
                    differences: Vec::new(),
                };
                // By how many margins it is beyond.
                Some((estimate.abs() / least.ln_1p(), turn))
            })
            .collect();
        // The smallest first: its levels become one, which the others are then held against.
        let size = |draft: &Option<(f64, Turn)>| draft.as_ref().map_or(0.0, |it| it.0);
        let smallest =
            (0..drafts.len()).min_by(|a, b| size(&drafts[*a]).total_cmp(&size(&drafts[*b])));
        match smallest {
            Some(place) if size(&drafts[place]) <= 1.0 => {
                borders.remove(place);
            }
            _ => {
                let turns = drafts.into_iter().flatten().zip(&borders);
                return turns
                    .map(|((_, turn), border)| (places[border - 1], turn))
                    .collect();
            }
        }
    }
}
