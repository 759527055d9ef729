//! How a latency was spread, second by second: the number of messages in each cell of time and latency. What the
//! percentiles of a second cannot show is seen here: two groups of messages, a pause and what comes after it.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::over_time::seen;
use super::{Head, Run, name, ramp, sentence};
use crate::measure::cells::{Cells, PER_DECADE, bounds};
use crate::report::details::{Measured, Moment};
use crate::results::Attempt;
use crate::stats::group::Group;
use crate::terminal::numbers;

/// The most columns of a panel, and of all panels together: more could not be told apart.
const MOST: usize = 200;
const MOST_OF_ALL: usize = 1_600;
/// Rows that there are at least, so that an axis of one tight group can be read, too: a decade.
const LEAST_ROWS: u8 = PER_DECADE as u8;

/// A panel for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heat {
    /// What stands around it.
    pub head: Head,
    /// Seconds of the measured part; trials follow one another.
    pub x: Axis,
    /// Nanoseconds, the same for all panels; always logarithmic.
    pub y: Axis,
    /// The lowest and the highest cell of the axis, the same for all panels.
    pub rows: [u8; 2],
    /// How many of them are a decade.
    pub per_decade: u32,
    /// Messages in the fullest cell of all panels: the end of the scale of colours, which begins at one message.
    pub most: u64,
    /// How many colours the scale has.
    pub colours: usize,
    /// Seconds that a column stands for, the same for all panels.
    pub together: usize,
    /// In the order of the plan.
    pub panels: Vec<Panel>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Which trial of its broker, from 1.
    pub trial: u32,
    /// Its length in seconds: the measured part, or its last second where that ended a little later.
    pub seconds: f64,
    /// The verdict where it is not *ok*: `saturated`.
    pub verdict: Option<&'static str>,
    /// One after the other.
    pub columns: Vec<Column>,
}

/// One second, or several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its beginning, in seconds after the start of the measured part.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Whether others took more CPU time in one of its seconds than the scenario allows a trial.
    pub disturbed: bool,
    /// Messages by latency.
    pub cells: Cells,
}

/// Of a run; `None` where no trial has two seconds with messages in cells, as in results that did not keep them.
pub(super) fn chart(run: &Run, measured: &[Measured]) -> Option<Heat> {
    let seconds = |attempt: &Attempt| {
        let of = measured.iter().find(|it| it.trial == attempt.trial);
        of.map_or(&[][..], |it| it.seconds.as_slice())
    };
    let groups: Vec<Group> = (0..run.brokers.len())
        .map(|broker| Group::of(run.results, broker))
        .filter(|group| {
            let mut all = group.trials.iter().flat_map(|it| seconds(it));
            all.any(|it| !it.cells.is_empty())
        })
        .collect();
    let known = |attempt: &Attempt| {
        let of = seconds(attempt).iter();
        of.filter(|it| !it.cells.is_empty()).count()
    };
    let mut all = groups.iter().flat_map(|it| &it.trials);
    if !all.any(|attempt| known(attempt) >= 2) {
        return None;
    }
    let room = MOST.min(MOST_OF_ALL / groups.len());
    let lengths = groups.iter().map(|group| {
        let trials = group.trials.iter().map(|it| seconds(it).len());
        trials.collect::<Vec<_>>()
    });
    let together = lengths.map(|it| together(&it, room)).max()?;
    let allowed = run.results.plan.disturbed.share.0;
    let trial = |attempt: &&Attempt| {
        let columns = columns(seconds(attempt), together, allowed);
        Trial {
            trial: attempt.repetition,
            seconds: columns
                .iter()
                .fold(attempt.seconds, |end, it| end.max(it.to)),
            verdict: (!attempt.is_ok()).then_some(attempt.verdict.outcome.name()),
            columns,
        }
    };
    let panels = groups.iter().map(|group| Panel {
        broker: group.broker,
        trials: group.trials.iter().map(trial).collect(),
    });
    let panels: Vec<Panel> = panels.collect();
    let columns = || {
        panels
            .iter()
            .flat_map(|it| &it.trials)
            .flat_map(|it| &it.columns)
    };
    let cells = || columns().flat_map(|it| it.cells.iter());
    let most = cells().map(|(_, count)| count).max()?;
    let rows = rows(cells().map(|(cell, _)| cell))?;
    let kind = seen(run);
    let mut notes = vec![format!(
        "colour: how many messages lie in a cell of {} and a tenth of a decade of latency, the same for all brokers; \
         trials one after another",
        numbers::counted(together as u64, "second")
    )];
    if columns().any(|it| it.disturbed) {
        let share = numbers::percent(allowed);
        notes.push(format!(
            "grey: others took more than {share} of the CPU in {}",
            match together {
                1 => "that second",
                _ => "one of those seconds",
            }
        ));
    }
    if panels
        .iter()
        .flat_map(|it| &it.trials)
        .any(|it| it.verdict.is_some())
    {
        notes.push("hatched: the trial is not ok".to_owned());
    }
    notes.extend(run.marked(panels.iter().map(|panel| panel.broker)));
    let title = format!("Distribution of {} over time", name(kind));
    let mut head = run.head("latency-heat-map", sentence(&title), notes);
    head.describe(panels.iter().map(|panel| {
        let who = run.brokers[panel.broker].spoken();
        format!("{who}: {}", told(panel))
    }));
    Some(Heat {
        head,
        x: Axis::linear("seconds of the measured part", Unit::Seconds),
        y: Axis {
            log: true,
            ..Axis::linear(name(kind), Unit::Nanoseconds)
        },
        rows,
        per_decade: PER_DECADE,
        most,
        colours: ramp::STEPS,
        together,
        panels,
    })
}

impl Heat {
    /// Which of the colours of [`ramp`] a count has: equal steps are equal ratios, from one message to the most.
    pub fn step(&self, count: u64) -> usize {
        let share = share(count, self.most);
        ((share * self.colours as f64) as usize).min(self.colours - 1)
    }

    /// Counts that are named along the scale of colours, and where, from 0 to 1: its ends, and powers of ten that
    /// keep clear of them.
    pub fn named_counts(&self) -> Vec<(f64, String)> {
        let named = |count: u64| match count {
            0..100_000 => numbers::count(count),
            _ => numbers::rate(count as f64),
        };
        let counts = named_counts(self.most).into_iter();
        counts.map(|(at, count)| (at, named(count))).collect()
    }
}

/// Where a count lies between one message and the most, by its logarithm.
fn share(count: u64, most: u64) -> f64 {
    match most {
        0..=1 => 0.0,
        _ => (count.max(1) as f64).ln() / (most as f64).ln(),
    }
}

fn named_counts(most: u64) -> Vec<(f64, u64)> {
    const CLEAR: f64 = 0.22;
    let mut all = vec![(0.0, 1)];
    for count in (1..20)
        .map(|power| 10u64.pow(power))
        .filter(|it| *it < most)
    {
        let at = share(count, most);
        let before = all.last().map_or(0.0, |it| it.0);
        if at - before >= CLEAR && 1.0 - at >= CLEAR {
            all.push((at, count));
        }
    }
    if most > 1 {
        all.push((1.0, most));
    }
    all
}

/// The fewest seconds that have to share a column so that trials of so many seconds fit into the room; no column
/// has seconds of two trials. With more trials than columns each of them has one.
fn together(lengths: &[usize], room: usize) -> usize {
    let columns = |together: usize| {
        lengths
            .iter()
            .map(|it| it.div_ceil(together))
            .sum::<usize>()
    };
    let longest = lengths.iter().copied().max().unwrap_or(1).max(1);
    let least = lengths.iter().sum::<usize>().div_ceil(room).max(1);
    (least..longest)
        .find(|together| columns(*together) <= room)
        .unwrap_or(longest)
}

/// Seconds as columns, so many together.
fn columns(seconds: &[Moment], together: usize, allowed: f64) -> Vec<Column> {
    let mut from = 0.0;
    let column = |seconds: &[Moment]| {
        let mut cells = Cells::default();
        for second in seconds {
            cells.merge(&second.cells);
        }
        let to = seconds.iter().map(|it| it.at).fold(from, f64::max);
        Column {
            from: std::mem::replace(&mut from, to),
            to,
            disturbed: seconds.iter().any(|it| it.taken > allowed || it.strained),
            cells,
        }
    };
    seconds.chunks(together).map(column).collect()
}

/// From the lowest to the highest cell, and around them what makes the axis long enough to be read.
fn rows(cells: impl Iterator<Item = u8>) -> Option<[u8; 2]> {
    let ends = |ends: [u8; 2], cell: u8| [ends[0].min(cell), ends[1].max(cell)];
    let [low, high] = cells
        .map(|cell| [cell; 2])
        .reduce(|all, it| ends(all, it[0]))?;
    let missing = LEAST_ROWS.saturating_sub((high - low).saturating_add(1));
    let low = low.saturating_sub(missing / 2);
    Some([low, high.max(low.saturating_add(LEAST_ROWS - 1))])
}

/// How many messages there are, where most of them are, and how far they reach.
fn told(panel: &Panel) -> String {
    let mut all = Cells::default();
    for column in panel.trials.iter().flat_map(|it| &it.columns) {
        all.merge(&column.cells);
    }
    let span = |from: u8, to: u8| {
        let ends = [bounds(from)[0], bounds(to)[1]];
        let [low, high] = ends.map(numbers::time);
        format!("{low} to {high}")
    };
    let fullest = all.iter().max_by_key(|it| it.1);
    let (first, last) = (all.iter().next(), all.iter().last());
    match (fullest, first, last) {
        (Some((fullest, _)), Some((first, _)), Some((last, _))) => format!(
            "{} of {}, most often {}",
            numbers::counted(all.count(), "message"),
            span(first, last),
            span(fullest, fullest)
        ),
        _ => numbers::NONE.to_owned(),
    }
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
