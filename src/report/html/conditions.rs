//! Under which conditions the run was made: enough of them to repeat it.

use maud::{Markup, html};

use crate::drivers::descriptor::Side;
use crate::plan::{Connection, PlannedBroker, print};
use crate::report::unfit::unfit;
use crate::report::{calibrated, columns, machine};
use crate::results::Results;
use crate::results::provenance::BrokerProvenance;
use crate::scenario::units::duration;
use crate::scenario::workload::Measure;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, bytes};

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};

/// Columns of the plan where it is shown as text.
const PLAN_COLUMNS: usize = 100;

/// Versions, settings, machine, scenario and command.
pub(super) fn section(results: &Results) -> Markup {
    let brokers = results.plan.brokers.iter().enumerate();
    html! {
        section #conditions aria-labelledby="conditions-title" {
            h2 #conditions-title { "How it was made" }
            (versions(results).markup())
            h3 { "Again" }
            (copied("command", "Command", &command(&results.manifest.command)))
            (copied("scenario", "Scenario", results.scenario_text.trim_end()))
            h3 { "Settings" }
            @for (place, broker) in brokers {
                details.print {
                    summary { (names::broker(results, place)) span.dim { " · " (guarantee(broker)) } }
                    (settings(results, place, broker))
                }
            }
            h3 { "Machine and run" }
            details.print {
                summary { (printable(&results.provenance.host.cpu)) ", " (numbers::counted(results.provenance.host.cores.into(), "core")) }
                (list(&host(results)))
                (list(&machine::facts(results)))
            }
            details.print {
                summary { "Run " (printable(&results.manifest.id)) ", mqbench " (printable(&results.manifest.tool_version)) }
                (list(&run(results)))
            }
            details {
                summary { "The whole plan, as " code { "mqbench check" } " prints it" }
                pre tabindex="0" { (multiline(&print::print(&results.plan, PLAN_COLUMNS, false))) }
            }
        }
    }
}

fn versions(results: &Results) -> Sheet {
    let brokers = results.plan.brokers.iter().enumerate();
    let lines = brokers.map(|(place, broker)| {
        let provenance = results.provenance.broker(place);
        let known = |text: Option<&str>| match text {
            Some(text) if !text.is_empty() => printable(text),
            _ => numbers::NONE.to_owned(),
        };
        let version = provenance.and_then(|it| it.server_version.as_deref());
        let source = provenance.and_then(|it| it.server_source.as_deref());
        Line {
            cells: vec![
                Cell::of(names::broker(results, place)),
                Cell::text(printable(&broker.title)),
                Cell::text(known(version)),
                Cell::text(known(provenance.map(|it| it.client.as_str()))),
                Cell::text(guarantee_asked(broker)),
                Cell::text(guarantee(broker)),
                Cell::text(known(source)).class("prose"),
            ],
            ..Line::default()
        }
    });
    Sheet {
        caption: "Versions and guarantees".to_owned(),
        lines: lines.collect(),
        columns: [
            "broker",
            "system",
            "server",
            "client",
            "asked",
            "gives",
            "server from",
        ]
        .map(Column::words)
        .into(),
    }
}

/// `at-least-once, disk`.
fn guarantee(broker: &PlannedBroker) -> String {
    let offer = &broker.offer;
    format!(
        "{}, {}",
        columns::delivery(offer.delivery),
        columns::durability(offer.durability)
    )
}

fn guarantee_asked(broker: &PlannedBroker) -> String {
    let asked = broker.asked;
    format!(
        "{}, {}",
        columns::delivery(asked.delivery),
        columns::durability(asked.durability)
    )
}

/// Names and values.
type Facts = Vec<(String, String)>;

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn list(facts: &Facts) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (printable(name)) } dd { (printable(value)) } }
            }
        }
    }
}

/// Where a setting is in force.
fn side(side: Side) -> &'static str {
    match side {
        Side::Publisher => "publisher",
        Side::Consumer => "consumer",
        Side::Server => "server",
    }
}

/// Everything that a broker, its publishers and its consumers were set to.
fn settings(results: &Results, place: usize, broker: &PlannedBroker) -> Markup {
    let mut facts = vec![
        fact("pattern", &broker.how),
        fact("where", connection(broker)),
    ];
    if let Some(destination) = &broker.destination {
        facts.push(fact("destination", destination));
    }
    if broker.tls.is_some() {
        facts.push(fact("connections", "encrypted"));
    }
    if let Some(rate) = broker.max_rate {
        facts.push(fact("max_rate", rate.to_string()));
    }
    if let Some(transaction) = broker.transaction {
        let within = duration::text(transaction.within);
        let messages = numbers::counted(transaction.messages.into(), "message");
        facts.push(fact(
            "transaction",
            format!("{messages}, or those of {within}"),
        ));
    }
    let nothing = BrokerProvenance::default();
    let provenance = results.provenance.broker(place).unwrap_or(&nothing);
    for bound in &provenance.server_bounds {
        let by = match &bound.by {
            Some(by) => format!("held by {by}"),
            None => "not enforced".to_owned(),
        };
        let why = match bound.why.as_str() {
            "" => String::new(),
            why => format!(" ({why})"),
        };
        facts.push(fact(&bound.what, format!("{by}{why}")));
    }
    if let Some(container) = &provenance.server_container {
        let engine = &container.engine;
        facts.push(fact(
            "container",
            format!("{} in {engine}", container.image),
        ));
        facts.push(fact("image", &container.identity));
    }
    let offered = broker.offer.settings.iter();
    let offered = offered.map(|it| (side(it.side), it.key.clone(), it.value.clone()));
    let options = broker
        .options
        .iter()
        .map(|(key, value)| ("option", key.clone(), as_written(value)));
    let server = provenance.server_settings.iter();
    let server = server.map(|(key, value)| ("server, in force", key.clone(), value.clone()));
    let told = results.standing_of(place).next();
    let told = told.map_or(&[][..], |attempt| &attempt.server_facts[..]);
    let told = told
        .iter()
        .map(|(key, value)| ("server's own word", key.clone(), value.clone()));
    let lines = offered.chain(options).chain(server).chain(told);
    let lines: Vec<Line> = lines
        .map(|(of, key, value)| Line {
            cells: vec![
                Cell::text(of),
                Cell::of(html! { code { (printable(&key)) } }),
                Cell::of(html! { code { (printable(&value)) } }).class("prose"),
            ],
            ..Line::default()
        })
        .collect();
    let sheet = Sheet {
        caption: format!("Settings of {}", printable(&broker.label)),
        columns: ["of", "setting", "value"].map(Column::words).into(),
        lines,
    };
    html! {
        (list(&facts))
        @if !sheet.lines.is_empty() { (sheet.markup()) }
    }
}

fn connection(broker: &PlannedBroker) -> String {
    match &broker.connection {
        Connection::Managed { server, .. } => match broker.connection.nodes() {
            1 => format!("a private {server}"),
            nodes => format!("a private {server} of {nodes} nodes"),
        },
        Connection::External { url } => url.clone(),
        Connection::InProcess => "in this program, no server".to_owned(),
    }
}

/// As a scenario writes it.
fn as_written(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn host(results: &Results) -> Facts {
    let host = &results.provenance.host;
    let [one, five, fifteen] = host.load_average;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    let mut facts = vec![
        fact("processor", &host.cpu),
        fact("cores", host.cores.to_string()),
        fact("memory", bytes(host.memory_bytes as f64)),
        fact("kernel", &host.kernel),
        fact("governor", known(&host.governor)),
        fact("clock", known(&host.clock_source)),
        fact(
            "virtual machine",
            if host.virtual_machine { "yes" } else { "no" },
        ),
        fact(
            "load at the start",
            format!("{one:.2}, {five:.2}, {fifteen:.2}"),
        ),
        fact("machine", &host.id),
    ];
    let lines = calibrated::lines(results);
    match lines.is_empty() {
        true => facts.push(fact(
            "calibrated",
            "no: `mqbench calibrate` says what this machine can tell apart",
        )),
        false => facts.extend(lines.into_iter().map(|it| fact("calibration", it))),
    }
    if let Some(found) = &results.provenance.calibration {
        facts.extend(unfit(found).into_iter().map(|it| fact("unfit", it.what)));
    }
    facts
}

fn run(results: &Results) -> Facts {
    let (manifest, plan) = (&results.manifest, &results.plan);
    let phases = plan.phases;
    let measure = match phases.measure {
        Measure::Time(time) => duration::text(time),
        Measure::Count(messages) => numbers::counted(messages, "message"),
    };
    let ended = match (&manifest.finished, manifest.interrupted) {
        (Some(at), false) => at.clone(),
        (Some(at), true) => format!("{at}, interrupted"),
        (None, _) => "not told: it was killed".to_owned(),
    };
    let mut facts = vec![
        fact("began", &manifest.started),
        fact("ended", ended),
        fact("mqbench", &manifest.tool_version),
    ];
    if let Some(id) = &manifest.repeats {
        facts.push(fact("repeats the plan of", id));
    }
    if let Some(commit) = &manifest.git_commit {
        facts.push(fact("built from", commit));
    }
    facts.extend([
        fact("warm-up", duration::text(phases.warmup)),
        fact("measured", measure),
        fact("drain", format!("up to {}", duration::text(phases.drain))),
        fact("trials", plan.trials.len().to_string()),
        fact("seed", plan.seed.to_string()),
        fact("scenario's hash", &results.provenance.scenario_hash),
        fact(
            "disturbed",
            format!(
                "a trial that loses more than {} of the CPU to others is repeated, up to {}",
                plan.disturbed.share,
                numbers::counted(plan.disturbed.repeats.into(), "time")
            ),
        ),
    ]);
    let cores = plan.placement.cores.parties();
    facts.extend(cores.map(|(party, cores)| fact(&format!("cores of {party}"), cores.to_string())));
    let limits = plan.placement.limits;
    let limits = [limits.cpu_text(), limits.memory_text()];
    let limits = limits.into_iter().flatten();
    facts.extend(limits.map(|it| fact("limit of each managed broker", it)));
    facts.extend(plan.quick.iter().map(|it| fact("changed by --quick", it)));
    facts
}

/// Text to be taken along.
fn copied(id: &str, title: &str, text: &str) -> Markup {
    html! {
        div.copied {
            div.copied-title { span { (title) } button type="button" hidden data-copy=(id) { "Copy" } }
            pre tabindex="0" { code id=(id) { (multiline(text)) } }
        }
    }
}

/// Lines as they are, each safe to show.
fn multiline(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// The command line as a shell takes it; the program by its name alone.
fn command(words: &[String]) -> String {
    let quoted = words.iter().enumerate().map(|(i, word)| {
        let word = match i {
            0 => word.rsplit('/').next().unwrap_or(word),
            _ => word,
        };
        quoted(word)
    });
    quoted.collect::<Vec<String>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_command_as_it_was() {
        let words = ["/opt/bin/mqbench", "run", "it's.yaml", "--set", "a=b c", ""];
        let words = words.map(str::to_owned);
        assert_eq!(
            command(&words),
            r"mqbench run 'it'\''s.yaml' --set 'a=b c' ''"
        );
    }
}
