//! CPU time that a message costs the broker and the client.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::estimate::{Estimate, say_whiskers};
use super::{Head, Run, bars};
use crate::stats::figure::Figure;
use crate::terminal::numbers;

/// Two bars for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// What stands around it.
    pub head: Head,
    /// Nanoseconds of CPU time.
    pub axis: Axis,
    /// The one that costs its broker least first; those whose broker's cost is not known behind, those that are not
    /// valid last.
    pub brokers: Vec<Costs>,
}

/// CPU time for each message sent (received, where nothing was), in nanoseconds of one core.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// Of the server; `None` where it does not run on this machine or is none.
    pub server: Option<Estimate>,
    /// Of the client: publishing, consuming and the rest of its process.
    pub client: Option<Estimate>,
}

impl Costs {
    /// Both that are known.
    pub fn known(&self) -> impl Iterator<Item = &Estimate> + Clone {
        self.server.iter().chain(&self.client)
    }
}

/// Of a run; `None` where no CPU time was read.
pub(super) fn chart(run: &Run) -> Option<Cost> {
    let estimate = |broker: usize, figure: Figure| {
        let values = bars::values(run, broker, |attempt| {
            let micros = figure.value(attempt).filter(|it| it.is_finite())?;
            Some(micros * 1000.0)
        });
        Estimate::of(&values, Unit::Nanoseconds)
    };
    let mut brokers: Vec<Costs> = (0..run.brokers.len())
        .map(|broker| Costs {
            broker,
            server: estimate(broker, Figure::BrokerCpu),
            client: estimate(broker, Figure::ClientCpu),
        })
        .filter(|costs| costs.known().next().is_some())
        .collect();
    if brokers.is_empty() {
        return None;
    }
    let rank = |costs: &Costs| {
        let known = costs.server.as_ref();
        let value = known.map_or(f64::INFINITY, |it| it.median);
        (!run.brokers[costs.broker].is_ok(), value)
    };
    brokers.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let mut notes = vec![
        "bars: median over trials, of the broker and of the client (publisher, consumer and mqbench itself); points: trials"
            .to_owned(),
    ];
    notes.extend(say_whiskers(brokers.iter().flat_map(Costs::known)));
    if brokers.iter().any(|costs| costs.server.is_none()) {
        notes.push(
            "without a bar for the broker: it is none, or runs on another machine".to_owned(),
        );
    }
    notes.extend(run.marked(0..run.brokers.len()));
    let mut head = run.head("cost-per-message", "CPU time per message", notes);
    head.describe(brokers.iter().map(|costs| {
        let text = |of: &Option<Estimate>| {
            let text = of.as_ref().map(|it| it.text.clone());
            text.unwrap_or(numbers::NONE.to_owned())
        };
        let (server, client) = (text(&costs.server), text(&costs.client));
        let who = run.brokers[costs.broker].spoken();
        format!("{who}: broker {server}, client {client}")
    }));
    Some(Cost {
        head,
        axis: Axis::linear("CPU time of one core", Unit::Nanoseconds),
        brokers,
    })
}
