//! Two runs of the same broker, or two brokers of one run, side by side.

use std::borrow::Cow;

use super::change::{CONFIDENCE, Change, Decision, Metric, Trials, decide};
use super::figure::{Asked, Figure};
use super::group::Group;
use super::median::median;
use super::pace::Pace;
use super::shape::Shape;
use super::shift::least;
use crate::measure::verdict::Outcome;
use crate::plan::{Plan, PlannedBroker};
use crate::results::Results;
use crate::results::calibration::Resolution;
use crate::scenario::units::Rate;

/// What is compared.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which figures; none for those of the workload.
    pub figures: Vec<Asked>,
    /// From which relative difference on there is a change; `None` for each figure's own.
    pub margin: Option<f64>,
    /// By which figure brokers are listed; `None` for the headline.
    pub sort: Option<Asked>,
}

impl Options {
    fn sorts_by(&self, shape: Shape) -> Figure {
        let headline = Figure::headline(shape);
        self.sort.map_or(headline, |asked| asked.of(shape))
    }

    fn figures(&self, shape: Shape) -> Vec<Figure> {
        match self.figures.is_empty() {
            true => Figure::of(shape),
            false => self.figures.iter().map(|asked| asked.of(shape)).collect(),
        }
    }
}

/// One figure of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Which.
    pub figure: Figure,
    /// The medians of the trials; `None` where a side does not have the figure.
    pub medians: (Option<f64>, Option<f64>),
    /// How many trials of each side have it.
    pub trials: (usize, usize),
    /// Whether the trials were compared block by block.
    pub paired: bool,
    /// The relative difference that is called a change.
    pub margin: f64,
    /// Whether the generator was late itself, on any side: then the figure is not judged.
    pub blurred: bool,
    /// What the trials say.
    pub decision: Decision,
}

impl Compared {
    /// Whether there is something to be judged.
    pub fn is_judged(&self) -> bool {
        !self.blurred && self.is_measured()
    }

    /// Whether both sides have the figure: a percentile needs enough samples.
    pub fn is_measured(&self) -> bool {
        self.trials.0 > 0 && self.trials.1 > 0
    }
}

/// Two sides.
#[derive(Clone, Debug)]
pub struct Pair<'a> {
    /// The first side's label.
    pub one_label: Cow<'a, str>,
    /// The second side's label: the one that is judged. Of a sweep with the rate: `nats at 5k/s`.
    pub label: Cow<'a, str>,
    /// The first side.
    pub one: Group<'a>,
    /// The second side.
    pub other: Group<'a>,
    /// One for each figure.
    pub figures: Vec<Compared>,
    /// Whether the first side is the baseline's program, measured again in the blocks of the second.
    pub interleaved: bool,
    /// How fast the machine was when the second side was measured; `None` where that is not known, or both were
    /// measured in the same blocks.
    pub pace: Option<Pace>,
}

/// What a figure of a pair is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A side does not have it: a percentile needs enough samples.
    NotMeasured,
    /// A side's figures may not be compared.
    Invalid,
    /// The generator was late itself.
    Blurred,
    /// As its trials say.
    Judged(Change),
}

/// What a pair is worth as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// A side's figures may not be compared.
    Invalid,
    /// As its figures say together.
    Judged(Change),
}

impl Pair<'_> {
    /// The worst that any figure says: regressed, inconclusive, improved, unchanged.
    pub fn overall(&self) -> Overall {
        if self.invalid().is_some() {
            return Overall::Invalid;
        }
        let says = |change| {
            let mut judged = self.figures.iter().filter(|it| it.is_judged());
            judged.any(|it| it.decision.change == change)
        };
        let order = [Change::Regressed, Change::Inconclusive, Change::Improved];
        let worst = order.into_iter().find(|change| says(*change));
        let fallback = match self.figures.iter().any(Compared::is_judged) {
            true => Change::Unchanged,
            false => Change::Inconclusive,
        };
        Overall::Judged(worst.unwrap_or(fallback))
    }

    /// Each figure, and what it is worth.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Compared, Verdict)> {
        let is_valid = self.invalid().is_none();
        self.figures.iter().map(move |it| {
            let verdict = match is_valid {
                _ if !it.is_measured() => Verdict::NotMeasured,
                false => Verdict::Invalid,
                true if it.blurred => Verdict::Blurred,
                true => Verdict::Judged(it.decision.change),
            };
            (it, verdict)
        })
    }

    /// Why they may not be compared.
    pub fn invalid(&self) -> Option<String> {
        let sides = [(&self.one_label, &self.one), (&self.label, &self.other)];
        let same = self.one_label == self.label;
        let mut reasons = sides.iter().enumerate().filter_map(|(i, (label, group))| {
            let who = match (same, i) {
                (true, 0) => "the baseline",
                (true, _) => "the candidate",
                (false, _) => label,
            };
            match group.outcome {
                Some(Outcome::Ok) => None,
                Some(_) => {
                    let example = group.example()?;
                    Some(format!("{who}: {}", example.verdict.reason))
                }
                None => Some(format!("{who}: no trial was made")),
            }
        });
        reasons.next()
    }

    /// How many trials of each side would probably settle all that is inconclusive; `None` where nothing is, or
    /// where no number would settle some of it.
    pub fn trials_needed(&self) -> Option<usize> {
        let judged = self.figures.iter().filter(|it| it.is_judged());
        let open = judged.filter(|it| it.decision.change == Change::Inconclusive);
        let needed: Option<Vec<usize>> = open.map(|it| it.decision.trials_needed).collect();
        needed?.into_iter().max()
    }
}

/// Each broker that both runs have, in the order of the candidate; of two sweeps, at each rate that both have and that
/// was not too much for it in both. Where the candidate was measured beside the program of this very baseline, with that
/// instead of the old figures.
pub fn runs<'a>(baseline: &'a Results, candidate: &'a Results, options: &Options) -> Vec<Pair<'a>> {
    let figures = options.figures(Shape::of(&candidate.plan.workload));
    let shared = shared_points(&baseline.plan, &candidate.plan);
    let of_broker = |(place, broker): (usize, &'a PlannedBroker)| {
        let mut others = baseline.plan.brokers.iter();
        let before = others.position(|it| it.label == broker.label)?;
        let at_point = |(then, now, rate): &(usize, usize, Option<Rate>)| {
            let one = Group::at(baseline, before, *then);
            let other = Group::at(candidate, place, *now);
            if rate.is_some() && !one.is_valid() && !other.is_valid() {
                return None;
            }
            let label: Cow<str> = match rate {
                Some(rate) => format!("{} at {rate}", broker.label).into(),
                None => broker.label.as_str().into(),
            };
            let again = measured_again(baseline, before, candidate, *now);
            let interleaved = again.is_some();
            let (one, other) = ((label.clone(), again.unwrap_or(one)), (label, other));
            let pair = pair(one, other, &figures, options.margin, interleaved);
            Some(Pair {
                interleaved,
                ..pair
            })
        };
        Some(shared.iter().filter_map(at_point).collect::<Vec<Pair>>())
    };
    let brokers = candidate.plan.brokers.iter().enumerate();
    let own = brokers.filter(|(_, broker)| broker.baseline_of.is_none());
    own.filter_map(of_broker).flatten().collect()
}

/// The load points that two plans have in common: their places in each, and the rate. Without a sweep there is one, and
/// a sweep has none in common with a plan without.
fn shared_points(before: &Plan, now: &Plan) -> Vec<(usize, usize, Option<Rate>)> {
    if before.sweep.is_empty() && now.sweep.is_empty() {
        return vec![(0, 0, None)];
    }
    let at_rate = |(place, rate): (usize, &Rate)| {
        let then = before.sweep.iter().position(|it| it == rate)?;
        Some((then, place, Some(*rate)))
    };
    now.sweep.iter().enumerate().filter_map(at_rate).collect()
}

/// The trials that the candidate has of the program that the baseline's broker was measured with; `None` where it has
/// none, or only such as failed. Of a sweep those at one of the candidate's load points.
fn measured_again<'a>(
    baseline: &Results,
    before: usize,
    candidate: &'a Results,
    point: usize,
) -> Option<Group<'a>> {
    let label = &baseline.plan.brokers.get(before)?.label;
    let mut brokers = candidate.plan.brokers.iter();
    let place = brokers.position(|it| it.baseline_of.as_ref() == Some(label))?;
    let then = baseline.provenance.broker(before)?;
    let now = candidate.provenance.broker(place)?;
    let is_same = then.server_version.is_some()
        && (&then.server_version, &then.server_program)
            == (&now.server_version, &now.server_program);
    let group = Group::at(candidate, place, point);
    let is_measured = group.outcome.is_some_and(|it| it != Outcome::Failed);
    (is_same && is_measured).then_some(group)
}

/// The broker that is best in the figure by which they are listed, of those whose figures are valid and
/// may be ranked; `None` where there is none.
pub fn best(results: &Results, options: &Options) -> Option<usize> {
    let figure = options.sorts_by(Shape::of(&results.plan.workload));
    let groups = Group::all(results).into_iter();
    let ranked =
        groups.filter(|group| group.is_valid() && results.plan.brokers[group.broker].ranked);
    let valued = ranked.filter_map(|group| Some((badness(figure, &group)?, group.broker)));
    let best = valued.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, broker)| broker)
}

/// The median, turned so that less is better.
fn badness(figure: Figure, group: &Group) -> Option<f64> {
    let found = median(group.judged(figure))?;
    Some(if figure.lower_is_better() {
        found
    } else {
        -found
    })
}

/// Each broker of a run beside one of them, the best first. Broker and reference were measured in the same blocks.
pub fn brokers<'a>(results: &'a Results, reference: usize, options: &Options) -> Vec<Pair<'a>> {
    let figures = options.figures(Shape::of(&results.plan.workload));
    let Some(referred) = results.plan.brokers.get(reference) else {
        return Vec::new();
    };
    let others = results.plan.brokers.iter().enumerate();
    let mut pairs: Vec<Pair> = others
        .filter(|(place, _)| *place != reference)
        .map(|(place, broker)| {
            let one = (referred.label.as_str(), Group::of(results, reference));
            let other = (broker.label.as_str(), Group::of(results, place));
            pair(one, other, &figures, options.margin, true)
        })
        .collect();
    let by = options.sorts_by(Shape::of(&results.plan.workload));
    let rank = |pair: &Pair| match pair.invalid() {
        None => badness(by, &pair.other).unwrap_or(f64::INFINITY),
        // Below all that may be ranked.
        Some(_) => f64::INFINITY,
    };
    pairs.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    pairs
}

/// From which relative difference on there is a change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Margin {
    /// The one that was asked for; `None` for each figure's own.
    pub asked: Option<f64>,
    /// From where on latencies are told apart, whatever their ratio.
    pub resolution: Resolution,
}

impl Margin {
    /// That of a figure which was `before`.
    pub fn of(self, figure: Figure, before: Option<f64>) -> f64 {
        let margin = self.asked.unwrap_or(figure.margin());
        match (figure, before) {
            (Figure::Latency(_, percent), Some(before)) => {
                margin.max(self.resolution.at(percent) / before)
            }
            _ => margin,
        }
    }
}

/// What is known of a figure before it is judged.
struct Draft {
    figure: Figure,
    medians: (Option<f64>, Option<f64>),
    counts: (usize, usize),
    blurred: bool,
    metric: Metric,
}

impl Draft {
    fn is_clear(&self) -> bool {
        !self.blurred && self.counts.0 > 0 && self.counts.1 > 0
    }

    fn of(
        figure: Figure,
        one: &Group,
        other: &Group,
        paired_from: Option<usize>,
        margin: Option<f64>,
        pace: Option<Pace>,
    ) -> Draft {
        let is_blurred = |group: &Group| group.used().iter().any(|it| figure.is_blurred(it));
        let (first, second) = (one.judged(figure), other.judged(figure));
        let medians = (
            median(first.iter().copied()),
            median(second.iter().copied()),
        );
        let counts = (first.len(), second.len());
        // Blocks share what the machine did meanwhile, but it takes more of them to say anything.
        let blocks = paired_from.map(|least| (least, blocks(figure, one, other)));
        let trials = match blocks {
            Some((least, blocks)) if blocks.len() >= least => Trials::Paired(blocks),
            _ => Trials::Independent(first, second),
        };
        let margin = Margin {
            asked: margin,
            resolution: one.resolution.coarser(other.resolution),
        };
        let usual_noise = other.noise.or(one.noise);
        let usual_noise = usual_noise.and_then(|it| it.figure(&figure.to_string()));
        Draft {
            figure,
            medians,
            counts,
            blurred: is_blurred(one) || is_blurred(other),
            metric: Metric {
                trials,
                margin: margin.of(figure, medians.0),
                lower_is_better: figure.lower_is_better(),
                usual_noise: usual_noise.map(|it| it.noise),
                drift: pace.map_or(0.0, |it| it.drift(figure, one, other)),
            },
        }
    }
}

/// The figure of both sides in each block that has it on both.
fn blocks(figure: Figure, one: &Group, other: &Group) -> Vec<(f64, f64)> {
    let of_block = |group: &Group, block: u32| {
        let mut used = group.used().iter();
        let attempt = used.find(|attempt| attempt.block == block)?;
        figure.judged(attempt, group.shape)
    };
    let both = one.used().iter().filter_map(|attempt| {
        let before = figure.judged(attempt, one.shape)?;
        Some((before, of_block(other, attempt.block)?))
    });
    both.collect()
}

/// Two sides by these figures; `same_run` where they were measured in the same blocks.
pub fn pair<'a>(
    (one_label, one): (impl Into<Cow<'a, str>>, Group<'a>),
    (label, other): (impl Into<Cow<'a, str>>, Group<'a>),
    figures: &[Figure],
    margin: Option<f64>,
    same_run: bool,
) -> Pair<'a> {
    let alone = 1.0 - (1.0 - CONFIDENCE) / figures.len() as f64;
    let paired_from = same_run.then(|| least(true, alone));
    let pace = (!same_run).then(|| Pace::of(&one, &other)).flatten();
    let draft = |figure: &Figure| Draft::of(*figure, &one, &other, paired_from, margin, pace);
    let drafts: Vec<Draft> = figures.iter().map(draft).collect();
    // What cannot be told is not asked: each figure more takes more trials for all.
    let clear = drafts.iter().filter(|draft| draft.is_clear());
    let clear: Vec<Metric> = clear.map(|draft| draft.metric.clone()).collect();
    let mut decisions = decide(&clear).into_iter();
    let figures = drafts.into_iter().filter_map(|draft| {
        let decision = match draft.is_clear() {
            true => decisions.next()?,
            false => Decision {
                change: Change::Inconclusive,
                trials_needed: None,
                ..decide(std::slice::from_ref(&draft.metric)).pop()?
            },
        };
        Some(Compared {
            figure: draft.figure,
            medians: draft.medians,
            trials: draft.counts,
            paired: matches!(draft.metric.trials, Trials::Paired(_)),
            margin: draft.metric.margin,
            blurred: draft.blurred,
            decision,
        })
    });
    Pair {
        figures: figures.collect(),
        interleaved: false,
        pace,
        one_label: one_label.into(),
        label: label.into(),
        one,
        other,
    }
}
