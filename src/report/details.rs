//! What reports need from the files of the trials: histograms and series.

use std::path::Path;

use super::hlog::Merged;
use super::series::Series;
use crate::measure::cells::Cells;
use crate::measure::record::{Record, Second};
use crate::results::open::read_record;
use crate::results::{Attempt, OpenError, Results};
use crate::stats::group::Group;

/// Series and histograms, read from the trials one after the other, each once.
#[derive(Debug, Default)]
pub struct Details {
    /// Of all trials that count.
    pub series: Series,
    /// Of the trials that are summed up: the *ok* ones, or all if none is.
    pub histograms: Merged,
    /// The measured part of all trials that count, in the order in which they were made.
    pub measured: Vec<Measured>,
}

/// The measured part of a trial, second by second.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The trial's number in the plan.
    pub trial: u32,
    /// What was seen in each second, without the warm-up.
    pub seconds: Vec<Moment>,
}

/// What a second looked like.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// End of the second, in seconds after the start of the measured part.
    pub at: f64,
    /// p50, p99 and maximum in nanoseconds, of end to end (transit in a closed loop), of publish (service)
    /// where there are no consumers; `None` where there was no sample.
    pub latency: Option<[u64; 3]>,
    /// How its samples lie.
    pub cells: Cells,
    /// Share of all CPU time that others took: the hypervisor, and processes outside the run.
    pub taken: f64,
    /// Name of the processes outside the run that took most of it, where there are such.
    pub taker: Option<String>,
    /// Whether the machine was hot or short of memory.
    pub strained: bool,
}

impl Details {
    /// Reads the trials of the run in `folder`.
    pub fn read(folder: &Path, results: &Results) -> Result<Details, OpenError> {
        let mut details = Details::default();
        // Of a search those at the lower ends: trials at other rates have other latencies.
        let part = results.at_lower_ends();
        let groups = Group::all(&part);
        let used: Vec<(u32, u32)> = groups
            .iter()
            .flat_map(|group| group.used())
            .map(|attempt| (attempt.trial, attempt.attempt))
            .collect();
        for attempt in results.standing() {
            let record = read_record(folder, attempt.trial, attempt.attempt)?;
            let is_used = used.contains(&(attempt.trial, attempt.attempt));
            details.add(results, attempt, &record, is_used);
        }
        Ok(details)
    }

    /// Adds what one trial saw; `is_used` where its histograms are summed up.
    pub(super) fn add(
        &mut self,
        results: &Results,
        attempt: &Attempt,
        record: &Record,
        is_used: bool,
    ) {
        self.series.add(results, attempt, record);
        self.measured.push(Measured {
            trial: attempt.trial,
            seconds: measured(results, attempt, &record.series).collect(),
        });
        if is_used {
            self.histograms.add(attempt, record);
        }
    }
}

/// The seconds of the measured part. The last one of the warm-up ends at its start, but for the time that
/// it takes to notice; what lies behind the end is the drain.
fn measured(
    results: &Results,
    attempt: &Attempt,
    series: &[Second],
) -> impl Iterator<Item = Moment> {
    const SLACK: f64 = 0.1;
    let end = attempt.seconds + SLACK;
    let publish_only = results.plan.workload.consumers == 0;
    let within = move |second: &&Second| second.at > SLACK && second.at <= end;
    series.iter().filter(within).map(move |second| Moment {
        at: second.at,
        latency: match publish_only {
            true => second.publish,
            false => second.latency,
        },
        cells: second.cells.clone(),
        taken: second.steal + second.foreign,
        taker: second.takers.first().map(|it| it.name.clone()),
        strained: second.strain.is_felt(),
    })
}
