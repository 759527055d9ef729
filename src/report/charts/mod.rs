//! The charts of a run: first as plain values, then drawn.
//!
//! [`Charts::of`] turns results into one value for each chart, with nothing of pixels in it: what is drawn as PNG
//! and SVG and what the page draws is the same. Figures are those of the tables ([`super::rows`]), by the same
//! medians over the same trials. A chart without data is absent.

pub mod axis;
pub mod bars;
pub mod brokers;
mod capacity;
pub mod cost;
pub mod curve;
pub mod draw;
pub mod durability;
pub mod estimate;
pub mod heat;
pub mod load;
pub mod over_time;
pub mod palette;
pub mod percentiles;
pub mod ramp;
#[cfg(test)]
mod sight;
pub mod throughput;

use serde::Serialize;

use super::details::Details;
use super::headline::headline;
use super::rows::by_broker;
use super::sweep::Sweep;
use crate::measure::latency::Kind;
use crate::results::Results;
use crate::stats::group::telling;
use crate::stats::shape::Shape;

pub use brokers::{Broker, Validity};

/// What every chart has around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Head {
    /// The chart's name in file names and links: `throughput`.
    pub id: &'static str,
    /// What is shown.
    pub title: String,
    /// What was asked: the line over the table.
    pub subtitle: String,
    /// How it is to be read, what its whiskers are, which brokers are marked and why: a line each.
    pub notes: Vec<String>,
    /// The chart in words with its values, for who does not see it.
    pub alt: String,
}

/// All charts of a run that there is data for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Charts {
    /// In the order of the plan; charts refer to them by their place here.
    pub brokers: Vec<Broker>,
    /// A latency at each rate of a sweep; all other charts are about one of them.
    pub load: Option<load::Load>,
    /// Messages per second; of a search, those that each broker takes, and then there is no other chart.
    pub throughput: Option<throughput::Throughput>,
    /// The whole distribution of a latency.
    pub curve: Option<curve::Curve>,
    /// Its percentiles side by side.
    pub percentiles: Option<percentiles::Percentiles>,
    /// It second by second.
    pub over_time: Option<over_time::OverTime>,
    /// How it is spread, second by second.
    pub heat: Option<heat::Heat>,
    /// CPU time for a message.
    pub cost: Option<cost::Cost>,
    /// What more durability costs the same system.
    pub durability: Option<durability::Durability>,
}

impl Charts {
    /// Of a run. Of a sweep, those of [`telling`] with the latency at all rates.
    pub fn of(results: &Results, details: &Details) -> Charts {
        let points = results.points();
        let mut charts = match telling(&points) {
            Some(part) => Charts::at(part, details),
            None => Charts::at(results, details),
        };
        let sweep = Sweep::of(&points);
        charts.load = sweep.and_then(|sweep| load::chart(results, &sweep, &charts.brokers));
        charts
    }

    fn at(results: &Results, details: &Details) -> Charts {
        let rows = by_broker(results);
        let run = Run {
            results,
            shape: Shape::of(&results.plan.workload),
            brokers: brokers::all(results, &rows),
            subtitle: headline(results),
        };
        // A search has each broker at a rate of its own: beside each other, other figures would mislead.
        if results.plan.search.is_some() {
            return Charts {
                throughput: capacity::chart(&run),
                brokers: run.brokers,
                ..Charts::default()
            };
        }
        Charts {
            load: None,
            throughput: throughput::chart(&run),
            curve: curve::chart(&run, &details.histograms),
            percentiles: percentiles::chart(&run),
            over_time: over_time::chart(&run, &details.measured),
            heat: heat::chart(&run, &details.measured),
            cost: cost::chart(&run),
            durability: durability::chart(&run),
            brokers: run.brokers,
        }
    }
}

/// What all charts are made from.
struct Run<'a> {
    results: &'a Results,
    shape: Shape,
    brokers: Vec<Broker>,
    subtitle: String,
}

impl Run<'_> {
    /// The latency that the workload is about; `None` where a backlog is drained.
    fn latency(&self) -> Option<Kind> {
        match self.shape {
            Shape::Latency(kind) | Shape::Throughput(kind) => Some(kind),
            Shape::Drain => None,
        }
    }

    fn head(&self, id: &'static str, title: impl Into<String>, notes: Vec<String>) -> Head {
        let title = title.into();
        Head {
            id,
            subtitle: self.subtitle.clone(),
            notes,
            alt: String::new(),
            title,
        }
    }

    /// The brokers among these that are marked, and why: a line each.
    fn marked(&self, places: impl Iterator<Item = usize>) -> Vec<String> {
        let brokers = places.filter_map(|place| self.brokers.get(place));
        brokers.filter_map(Broker::remark).collect()
    }
}

impl Head {
    /// Puts the chart into words: what it shows, its values broker by broker, its notes.
    fn describe(&mut self, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        let mut parts = vec![format!("{}. {}", self.title, self.subtitle)];
        parts.push(values.join("; "));
        parts.extend(self.notes.iter().cloned());
        parts.retain(|part| !part.is_empty());
        self.alt = format!("{}.", parts.join(". "));
    }
}

/// A latency in words.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::EndToEnd => "end-to-end latency",
        Kind::Publish => "publish latency",
        Kind::Transit => "transit time",
        Kind::Service => "service time",
        Kind::Lateness => "lateness of the generator",
        Kind::SendWait => "wait for sending",
        Kind::RoundTrip => "round trip",
    }
}

/// From where to where it is measured.
fn meaning(run: &Run, kind: Kind) -> String {
    let closed = matches!(run.shape, Shape::Throughput(_));
    let from = match (kind, closed) {
        (Kind::Transit | Kind::Service, _) | (Kind::RoundTrip, true) => "from sending",
        _ => "from the intended send time",
    };
    let to = match kind {
        Kind::Publish | Kind::Service => "to the broker's acknowledgement",
        Kind::RoundTrip => "to the reply",
        _ => "to receipt",
    };
    match closed {
        true => format!("{from} {to}: a service time at this window, not what a user waits"),
        false => format!("{from} {to}"),
    }
}

/// The first letter large.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
