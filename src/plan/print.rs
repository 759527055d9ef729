//! A plan as `mqbench check` shows it: what every broker is asked, what each gives and by which very
//! settings, every trial in order, and every default that was filled in.

use crate::drivers::descriptor::{Order, Side};
use crate::scenario::search::MOST_PROBES;
use crate::scenario::units::{Rate, duration};
use crate::scenario::workload::{Arrival, Load, Measure, Payload, Phases};
use crate::scenario::{Objective, Placement, Tls};
use crate::servers::find::CONTAINER;
use crate::terminal::diagnostic::printable;
use crate::terminal::style::{self, pad, paint, width, wrap};

use super::model::{Connection, Plan, PlannedBroker, PlannedTrial};

/// Lines of text, colour where it is on.
struct Page {
    out: String,
    columns: usize,
    color: bool,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.out.push_str(&paint(text, style::STRONG, self.color));
        self.out.push('\n');
    }

    /// A name, and a value that is wrapped under itself.
    fn row(&mut self, indent: usize, name: &str, name_columns: usize, value: &str) {
        let left = indent + name_columns + 2;
        let room = self.columns.saturating_sub(left).max(20);
        // The parts of an enumeration stay whole where they fit.
        let parts: Vec<String> = value
            .split(" · ")
            .map(|part| match width(part) + 2 > room {
                true => part.to_owned(),
                false => part.replace(' ', "\u{a0}"),
            })
            .collect();
        let lines = match parts.len() {
            1 => wrap(value, room),
            _ => wrap(&parts.join("\u{a0}· "), room),
        };
        let name = paint(&pad(name, name_columns), style::DIM, self.color);
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 {
                format!("{}{name}  ", " ".repeat(indent))
            } else {
                " ".repeat(left)
            };
            self.out.push_str(&lead);
            self.out.push_str(&line.replace('\u{a0}', " "));
            self.out.push('\n');
        }
    }
}

/// The plan in lines of at most `columns`.
pub fn print(plan: &Plan, columns: usize, color: bool) -> String {
    let mut page = Page {
        out: String::new(),
        columns: columns.max(40),
        color,
    };
    page.out
        .push_str(&paint(&plan.scenario, style::STRONG, color));
    if !plan.description.is_empty() {
        let text = plan.description.replace(['\n', '\t'], " ");
        let text = format!(": {}", printable(&text));
        let lines = wrap(&text, page.columns.saturating_sub(width(&plan.scenario)));
        page.out.push_str(&lines.join("\n"));
    }
    page.out.push_str("\n\n");
    summary(&mut page, plan);
    brokers(&mut page, plan);
    trials(&mut page, plan);
    if !plan.thresholds.is_empty() {
        page.heading("thresholds");
        for threshold in &plan.thresholds {
            page.out.push_str(&format!("  {threshold}\n"));
        }
    }
    if !plan.quick.is_empty() {
        page.heading("changed by --quick");
        for change in &plan.quick {
            page.out.push_str(&format!("  {change}\n"));
        }
    }
    defaults(&mut page, plan);
    page.out
}

fn summary(page: &mut Page, plan: &Plan) {
    let (workload, phases) = (&plan.workload, &plan.phases);
    let names = 9;
    page.row(2, "workload", names, &workload_line(plan));
    let asked = match plan.is_unequal() {
        true => "a guarantee of each broker's own (rank_unequal)".to_owned(),
        false => format!(
            "{}, {}, or more",
            workload.delivery.name(),
            workload.durability.name()
        ),
    };
    page.row(2, "asked", names, &asked);
    let measure = match phases.measure {
        Measure::Time(time) => duration::text(time),
        Measure::Count(count) => format!("{count} messages"),
    };
    page.row(
        2,
        "phases",
        names,
        &format!(
            "warmup {} · measure {measure} · drain up to {}",
            duration::text(phases.warmup),
            duration::text(phases.drain)
        ),
    );
    if let Some(objective) = &plan.search {
        page.row(2, "search", names, &search_line(objective, plan));
    }
    page.row(2, "trials", names, &trials_line(plan));
    page.row(
        2,
        "disturbed",
        names,
        &format!(
            "a trial that loses more than {} of the CPU to others is repeated, up to {}",
            plan.disturbed.share,
            counted(plan.disturbed.repeats as usize, "time")
        ),
    );
    placement(page, &plan.placement, names);
    let takes = match plan.estimate() {
        Some((least, most)) => format!(
            "about {}, at most {}",
            rough(least.as_secs()),
            rough(most.as_secs())
        ),
        None => "as long as the messages take".to_owned(),
    };
    page.row(2, "takes", names, &takes);
}

/// Who runs on which cores, and what each managed broker may use.
fn placement(page: &mut Page, placement: &Placement, names: usize) {
    let parties = placement.cores.parties();
    let parties: Vec<String> = parties
        .map(|(party, cores)| format!("{party} on {cores}"))
        .collect();
    if !parties.is_empty() {
        page.row(2, "cores", names, &parties.join(" · "));
    }
    let limits = [placement.limits.cpu_text(), placement.limits.memory_text()];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if !limits.is_empty() {
        let limits = format!("{}, for each managed broker", limits.join(" and "));
        page.row(2, "limits", names, &limits);
    }
}

fn trials_line(plan: &Plan) -> String {
    let blocks = plan.trials.last().map_or(0, |trial| trial.block) as usize;
    let (most, blocks) = match plan.search {
        Some(_) => ("at most ", counted(blocks, "round")),
        None => ("", counted(blocks, "block")),
    };
    format!(
        "{most}{} = {}{} × {blocks}, shuffled from seed {}",
        plan.trials.len(),
        counted(plan.brokers.len(), "broker"),
        match plan.points() {
            1 => String::new(),
            points => format!(" × {points} rates"),
        },
        plan.seed
    )
}

/// How a search goes about it.
fn search_line(objective: &Objective, plan: &Plan) -> String {
    let measure = |phases: Phases| match phases.measure {
        Measure::Time(time) => duration::text(time),
        Measure::Count(count) => format!("{count} messages"),
    };
    let parts = [
        format!(
            "at most {MOST_PROBES} probes a broker, the first a closed loop (not where `max_rate` is set), the others of {} or as \
             long as the objective needs",
            measure(objective.closed(&plan.phases))
        ),
        format!(
            "then one of {} at each end of what they found; where one of these contradicts, the search goes on",
            measure(plan.phases)
        ),
        format!("nothing below {}", objective.lowest),
    ];
    parts.join(" · ")
}

fn workload_line(plan: &Plan) -> String {
    let workload = &plan.workload;
    let message = &workload.message;
    let size = match message.sizes.as_slice() {
        [one] => one.size.to_string(),
        several => {
            let sizes: Vec<String> = several
                .iter()
                .map(|entry| format!("{} × {}", entry.weight, entry.size))
                .collect();
            format!("{} (mean {:.0}B)", sizes.join(" + "), message.mean_size())
        }
    };
    let payload = match &message.payload {
        Payload::Random => "random".to_owned(),
        Payload::Zeros => "zeros".to_owned(),
        Payload::Json => "json".to_owned(),
        Payload::File(path) => format!("from {path}"),
    };
    let spaced = |arrival: &Arrival| match arrival {
        Arrival::Uniform => "evenly spaced".to_owned(),
        Arrival::Poisson => "poisson".to_owned(),
        Arrival::Burst(size) => format!("bursts of {size}"),
    };
    let load = match &workload.load {
        Load::Rate { rate, arrival } => {
            let rates: Vec<String> = match (&plan.search, plan.sweep.as_slice()) {
                (Some(objective), _) => {
                    vec![format!("the highest rate with {}", objective.condition)]
                }
                (None, []) => vec![rate.to_string()],
                (None, sweep) => sweep.iter().map(Rate::to_string).collect(),
            };
            format!("{}, open loop, {}", rates.join(" | "), spaced(arrival))
        }
        Load::Steps { steps, arrival } => {
            let steps: Vec<String> = steps
                .iter()
                .map(|step| format!("{} for {}", step.rate, duration::text(step.lasts)))
                .collect();
            format!("{}, open loop, {}", steps.join(" → "), spaced(arrival))
        }
        Load::Max => "as fast as it goes, closed loop".to_owned(),
    };
    let mut parts = vec![
        workload.pattern.name().to_owned(),
        format!("{size} {payload}"),
        load,
        format!("{} → {}", workload.publishers, workload.consumers),
    ];
    if workload.groups > 1 {
        parts.push(counted(workload.groups as usize, "group"));
    }
    if workload.destinations > 1 {
        parts.push(counted(workload.destinations as usize, "destination"));
    }
    if message.keys > 0 {
        parts.push(counted(message.keys as usize, "key"));
    }
    parts.push(format!("{} in flight", workload.in_flight));
    parts.join(" · ")
}

fn brokers(page: &mut Page, plan: &Plan) {
    page.heading("brokers");
    let longest = |of: fn(&PlannedBroker) -> String| {
        let widths = plan.brokers.iter().map(|broker| width(&of(broker)));
        widths.max().unwrap_or(0)
    };
    let names = longest(|broker| broker.label.clone());
    let gives = longest(given);
    for broker in &plan.brokers {
        let more = broker.offer.delivery > broker.asked.delivery
            || broker.offer.durability > broker.asked.durability;
        let given = pad(&given(broker), gives);
        let given = if more {
            paint(&given, style::WARN, page.color)
        } else {
            given
        };
        let line = format!(
            "  {}  {given}  {}",
            paint(&pad(&broker.label, names), style::STRONG, page.color),
            if more { "more than asked" } else { "" }
        );
        page.out.push_str(line.trim_end());
        page.out.push('\n');
        details(page, broker, names + 4, plan.workload.transaction.is_none());
    }
    if !plan.left_out.is_empty() {
        page.heading("left out");
        let names = plan.left_out.iter().map(|it| width(&it.label)).max();
        for it in &plan.left_out {
            page.row(2, &it.label, names.unwrap_or(0), &printable(&it.why));
        }
    }
}

/// `at-least-once, disk`.
fn given(broker: &PlannedBroker) -> String {
    format!(
        "{}, {}",
        broker.offer.delivery.name(),
        broker.offer.durability.name()
    )
}

/// `filled_in`: the scenario says nothing of transactions.
fn details(page: &mut Page, broker: &PlannedBroker, indent: usize, filled_in: bool) {
    let names = 9;
    let system = match broker.driver == broker.label {
        true => broker.title.clone(),
        false => format!("{} (driver {})", broker.title, broker.driver),
    };
    page.row(indent, "system", names, &system);
    let place = match &broker.connection {
        Connection::Managed {
            server,
            config,
            binary,
        } => {
            let settings: Vec<String> = config.iter().map(|(k, v)| format!("{k} {v}")).collect();
            let mut text = format!("a private {server}");
            if !settings.is_empty() {
                text.push_str(&format!(" with {}", settings.join(", ")));
            }
            match binary.as_deref() {
                Some(CONTAINER) => text.push_str(", in a container"),
                Some(binary) => text.push_str(&format!(", program {binary}")),
                None => {}
            }
            text
        }
        Connection::External { url } => match &broker.destination {
            Some(destination) => format!("{url}, existing destination {destination}"),
            None => url.clone(),
        },
        Connection::InProcess => "in this program, no server".to_owned(),
    };
    page.row(indent, "where", names, &place);
    if let Some(tls) = &broker.tls {
        page.row(indent, "encryption", names, &encryption(tls));
    }
    page.row(indent, "pattern", names, &broker.how);
    let acks = match broker.offer.acks {
        true => "acknowledged to publishers",
        false => "not acknowledged to publishers",
    };
    let order = match broker.offer.order {
        Order::None => "no order promised",
        Order::PerPublisher => "in order per publisher",
        Order::PerKey => "in order per key",
    };
    page.row(indent, "promises", names, &format!("{acks} · {order}"));
    for (side, name) in [
        (Side::Publisher, "publisher"),
        (Side::Consumer, "consumer"),
        (Side::Server, "server"),
    ] {
        let settings: Vec<String> = broker
            .offer
            .settings
            .iter()
            .filter(|setting| setting.side == side)
            .map(|setting| format!("{} = {}", setting.key, setting.value))
            .collect();
        page.row(indent, name, names, &settings.join(" · "));
    }
    let options: Vec<String> = broker
        .options
        .iter()
        .map(|(name, value)| format!("{name} = {}", as_written(value)))
        .collect();
    page.row(indent, "options", names, &options.join(" · "));
    if let Some(transaction) = broker.transaction {
        let limits = format!(
            "{}, or those of {}",
            counted(transaction.messages as usize, "message"),
            duration::text(transaction.within)
        );
        let by_itself = if filled_in { " (default)" } else { "" };
        page.row(indent, "as one", names, &format!("{limits}{by_itself}"));
    }
    if let Some(rate) = broker.max_rate {
        page.row(indent, "max_rate", names, &rate.to_string());
    }
    page.row(indent, "note", names, &broker.offer.note);
    if !broker.ranked {
        page.row(indent, "ranking", names, "none: it is no broker");
    }
}

fn encryption(tls: &Tls) -> String {
    let trusted = match &tls.ca {
        _ if tls.insecure => "any certificate is accepted".to_owned(),
        Some(file) => format!("trusts the authorities in {file}"),
        None => "trusts the authorities of the system".to_owned(),
    };
    match &tls.cert {
        Some(file) => format!("{trusted} · client certificate {file}"),
        None => trusted,
    }
}

fn trials(page: &mut Page, plan: &Plan) {
    page.heading(match plan.search {
        Some(_) => "trials, in this order; whoever is settled is left out of further rounds",
        None => "trials, in this order",
    });
    let name_of = |trial: &PlannedTrial| match plan.sweep.get(trial.point) {
        Some(rate) => format!("block {} at {rate}", trial.block),
        None if plan.search.is_some() => format!("round {}", trial.block),
        None => format!("block {}", trial.block),
    };
    let names = plan.trials.iter().map(|trial| width(&name_of(trial))).max();
    let names = names.unwrap_or(0);
    let digits = plan.trials.len().to_string().len();
    for block in plan
        .trials
        .chunk_by(|a, b| (a.block, a.point) == (b.block, b.point))
    {
        let Some(first) = block.first() else { continue };
        let trials: Vec<String> = block
            .iter()
            .map(|trial| {
                let broker = plan.brokers.get(trial.broker);
                let label = broker.map_or("?", |broker| broker.label.as_str());
                // A number and its broker are never parted by a line's end.
                format!("{:>digits$}\u{a0}{label}", trial.number).replace(' ', "\u{2007}")
            })
            .collect();
        let longest = trials.iter().map(|trial| width(trial)).max().unwrap_or(0);
        let room = page.columns.saturating_sub(names + 4);
        let in_line = ((room + 3) / (longest + 3)).max(1);
        for (number, line) in trials.chunks(in_line).enumerate() {
            let name = if number == 0 {
                name_of(first)
            } else {
                String::new()
            };
            let cells: Vec<String> = line.iter().map(|trial| pad(trial, longest)).collect();
            let line = cells.join("   ").replace(['\u{a0}', '\u{2007}'], " ");
            let name = paint(&pad(&name, names), style::DIM, page.color);
            page.out.push_str(format!("  {name}  {line}").trim_end());
            page.out.push('\n');
        }
    }
}

fn defaults(page: &mut Page, plan: &Plan) {
    if plan.defaults.is_empty() {
        return;
    }
    page.heading("defaults filled in");
    let paths = plan.defaults.iter().map(|default| width(&default.path));
    let paths = paths.max().unwrap_or(0);
    let cells: Vec<(String, usize)> = plan
        .defaults
        .iter()
        .map(|default| {
            let cell = format!(
                "{}  {}",
                paint(&pad(&default.path, paths), style::DIM, page.color),
                default.value
            );
            (cell, paths + 2 + width(&default.value))
        })
        .collect();
    let widest = cells.iter().map(|(_, columns)| *columns).max().unwrap_or(0);
    let across = (page.columns.saturating_sub(2) / (widest + 4)).max(1);
    let down = cells.len().div_ceil(across);
    for row in 0..down {
        let mut line = " ".to_owned();
        let mut gap = 1;
        for (cell, columns) in cells.iter().skip(row).step_by(down) {
            line.push_str(&" ".repeat(gap));
            line.push_str(cell);
            gap = widest - columns + 4;
        }
        page.out.push_str(line.trim_end());
        page.out.push('\n');
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// As a scenario writes it: `{at: 3s, for: 1s}`.
fn as_written(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => printable(text),
        serde_json::Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", as_written(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// `45s`, `4m 20s`, `2h 5m`.
fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}
