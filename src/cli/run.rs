//! `mqbench run`: the plan, carried out; the comparison, printed.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::drivers;
use crate::measure::host::Host;
use crate::plan::{Connection, Plan};
use crate::processes::exporter::Exporter;
use crate::processes::fleet::Fleet;
use crate::processes::supervisor::{self, Event};
use crate::report::live::{Keys, Live};
use crate::report::metrics::{self, Metrics};
use crate::report::text::View;
use crate::report::under_way::Ended;
use crate::report::{self, Format, files};
use crate::results::provenance::{BrokerProvenance, ContainerProvenance};
use crate::results::store::{can_fill, can_replace, replace};
use crate::results::{Calibration, Manifest, Provenance, Results, Store, StoreError, Stored};
use crate::servers::group::random_id;
use crate::stats::compare::Options;
use crate::stats::exit::Exit;
use crate::stats::thresholds;
use crate::terminal::diagnostic::printable;
use crate::terminal::progress::Mode;

use super::again::Refused;
use super::args::Run;
use super::interleave::{self, Choice};
use super::output::Output;
use super::{again, check, compare};

/// Runs a scenario.
pub fn run(command: &Run, args: &[OsString], output: &Output) -> Exit {
    let wanted = match wanted(command) {
        Ok(wanted) => wanted,
        Err(Refused::Scenario(diagnostics)) => return output.refuse(&diagnostics),
        Err(Refused::Result(why)) => return output.fail(Exit::Usage, why),
    };
    match carry_out(command, args, wanted, output) {
        Ok(exit) => exit,
        Err((exit, message)) => output.fail(exit, message),
    }
}

/// What is to be run.
struct Wanted {
    plan: Plan,
    /// The scenario's text.
    text: String,
    /// The run whose plan it is, where one is repeated.
    earlier: Option<Stored>,
}

fn wanted(command: &Run) -> Result<Wanted, Refused> {
    if let Some(from) = &command.from {
        let measures_beside = command.baseline.is_some() && !command.no_interleave;
        let (earlier, plan) = again::plan(from, &command.changes, measures_beside)?;
        return Ok(Wanted {
            plan,
            text: earlier.results.scenario_text.clone(),
            earlier: Some(earlier),
        });
    }
    let reference = command.scenario.as_deref().unwrap_or_default();
    let (scenario, plan) = check::plan(reference, &command.changes).map_err(Refused::Scenario)?;
    Ok(Wanted {
        plan,
        text: scenario.source.text().to_owned(),
        earlier: None,
    })
}

fn carry_out(
    command: &Run,
    args: &[OsString],
    wanted: Wanted,
    output: &Output,
) -> Result<Exit, (Exit, String)> {
    let Wanted {
        mut plan,
        text,
        earlier,
    } = wanted;
    let failed = |error: std::io::Error| (Exit::Failed, format!("cannot begin: {error}"));
    let id = random_id().map_err(failed)?[..8].to_owned();
    let command_line = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let mut manifest = Manifest::begin(id, plan.scenario.clone(), command_line);
    manifest.repeats = earlier.as_ref().map(|it| it.results.manifest.id.clone());
    // Before anything starts: a run whose results cannot be kept is not worth its time.
    for path in exports(command).into_iter().flatten() {
        can_replace(path).map_err(|error| (Exit::Usage, error.to_string()))?;
    }
    for (folder, _) in command.pictures.wanted() {
        can_fill(folder).map_err(|error| (Exit::Usage, error.to_string()))?;
    }
    let baseline = match &command.baseline {
        Some(path) => Some(Stored::open(path).map_err(|error| (Exit::Usage, error.to_string()))?),
        None => None,
    };
    if let Some(baseline) = &baseline {
        // Before anything is measured that could not be judged.
        for plan in [&plan, &baseline.results.plan] {
            compare::refuse_search(plan).map_err(|error| (Exit::Usage, error))?;
        }
    }
    if let Some(baseline) = baseline.as_ref().filter(|_| !command.no_interleave) {
        measure_beside(&mut plan, &baseline.results, output);
    }
    let mut metrics = match &command.metrics {
        Some(address) => Some(Exported::listen(address, &plan, &manifest, output)?),
        None => None,
    };
    let store =
        Store::create(&command.out, &manifest).map_err(|error| (Exit::Usage, error.to_string()))?;
    supervisor::listen_for_interrupts().map_err(failed)?;
    let reaper = supervisor::reaper().map_err(failed)?;

    let mut live = live(command, &plan, output);
    let mut fleet = Fleet::start(
        &plan,
        Arc::clone(&reaper) as _,
        &mut |words| live.say(words),
        &supervisor::is_interrupted,
    );
    for broker in 0..plan.brokers.len() {
        if let Some(reason) = fleet.missing(broker) {
            live.say(&format!("{}: {reason}", plan.brokers[broker].label));
        }
    }
    let host = Host::read();
    let calibration = Calibration::of_user(&host).unwrap_or_else(|error| {
        live.say(&format!("⚠ {}", printable(&error.to_string())));
        None
    });
    let provenance = Provenance {
        calibration,
        ..Provenance::of(host, &text, provenance(&plan, &fleet))
    };
    let mut results = Results::begin(manifest, plan.clone(), text, provenance);
    for line in earlier.iter().flat_map(|it| again::told(it, &results)) {
        live.say(&line);
    }
    let outcome = supervisor::run(
        &plan,
        &mut fleet,
        &reaper,
        &store,
        &mut results,
        &mut |event| {
            if let Some(metrics) = &mut metrics {
                metrics.hear(&event);
            }
            show(&mut live, event);
        },
    );
    live.finish();
    drop(fleet);
    results.manifest.end(supervisor::is_interrupted());
    results.thresholds = thresholds::judge(&results);
    let kept = outcome.and_then(|()| store.keep(&results));
    let mut exit = Exit::of_run(&results);
    if let Err(error) = kept {
        exit = exit.min(output.fail(Exit::Failed, error));
    }
    exit = exit.min(report(command, &store, &results, output));
    if let Some(path) = &command.gating.step_summary {
        let markdown = report::render(Format::Markdown, &results, &View::default());
        let written = compare::append(path, &markdown);
        written.map_err(|error| (Exit::Failed, compare::cannot_write(path, &error)))?;
    }
    if let Some(baseline) = baseline {
        let candidate = Stored {
            folder: store.folder().to_owned(),
            results,
        };
        exit = exit.min(gate(command, &baseline, &candidate, output)?);
    }
    Ok(exit)
}

/// Has programs of the baseline measured beside those of the run, where they are still there, and says which.
fn measure_beside(plan: &mut Plan, baseline: &Results, output: &Output) {
    let choices = interleave::choose(plan, baseline, &interleave::ask);
    if let Some(told) = interleave::told(plan, &choices) {
        output.remark(told);
    }
    let programs = choices.into_iter().filter_map(|choice| match choice {
        Choice::Beside(beside) => Some(beside),
        Choice::Not(..) => None,
    });
    plan.measure_beside(&programs.collect::<Vec<_>>());
}

/// Judges the run by an earlier one.
fn gate(
    command: &Run,
    baseline: &Stored,
    candidate: &Stored,
    output: &Output,
) -> Result<Exit, (Exit, String)> {
    let options = Options::default();
    // A program gets one document on standard output.
    let format = match command.format.into() {
        Format::Json | Format::Csv => None,
        readable => Some(readable),
    };
    if format.is_some() {
        output.print("\n");
    }
    let judged = compare::print_gate(
        baseline,
        candidate,
        &options,
        &command.gating,
        format,
        output,
    );
    let (versus, exit) = judged.map_err(|error| (Exit::Usage, error))?;
    if let Some(path) = &command.gating.step_summary {
        let markdown = versus.render(Format::Markdown, &View::default());
        let written = compare::append(path, &markdown);
        written.map_err(|error| (Exit::Failed, compare::cannot_write(path, &error)))?;
    }
    Ok(exit)
}

/// What the figures of each broker come from.
pub fn provenance(plan: &Plan, fleet: &Fleet) -> Vec<BrokerProvenance> {
    let one = |(number, broker): (usize, &crate::plan::PlannedBroker)| {
        let client = drivers::find(&broker.driver).map_or("", |driver| driver.descriptor().client);
        let mut provenance = BrokerProvenance {
            client: client.to_owned(),
            ..Default::default()
        };
        match (&broker.connection, fleet.facts(number)) {
            (_, Some(facts)) => {
                provenance.server_version = Some(facts.version);
                provenance.server_source = Some(match broker.baseline_of {
                    Some(_) => format!(
                        "{} (as the baseline)",
                        facts.program.as_deref().unwrap_or("?")
                    ),
                    None => facts.source,
                });
                provenance.server_program = facts.program;
                provenance.server_container = facts.container.map(|it| ContainerProvenance {
                    engine: it.engine.name(),
                    image: it.image,
                    identity: it.identity,
                });
                provenance.server_settings = facts.config.into_iter().collect();
                provenance.server_bounds = facts.held;
            }
            (Connection::External { url }, None) => provenance.server_source = Some(url.clone()),
            _ => {}
        }
        provenance
    };
    plan.brokers.iter().enumerate().map(one).collect()
}

/// Metrics, and who serves them.
struct Exported {
    metrics: Metrics,
    exporter: Exporter,
}

impl Exported {
    /// Says where it listens.
    fn listen(
        address: &str,
        plan: &Plan,
        manifest: &Manifest,
        output: &Output,
    ) -> Result<Exported, (Exit, String)> {
        let exporter = Exporter::listen(address, metrics::CONTENT_TYPE).map_err(|error| {
            let why = format!(
                "cannot serve metrics at `{address}`: {error}; an address of this machine and a free port are \
                 wanted: --metrics 127.0.0.1:9464, or port 0 for any"
            );
            (Exit::Usage, why)
        })?;
        output.remark(format!("metrics: http://{}/metrics", exporter.address()));
        let metrics = Metrics::new(plan, manifest);
        exporter.show(metrics.render());
        Ok(Exported { metrics, exporter })
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Begin(trial, _, tried) => self.metrics.begin(trial, *tried),
            Event::Progress(progress) => self.metrics.progress(progress),
            Event::End(record, attempt, again) => self.metrics.end(record, attempt, *again),
            Event::Suspended(_) | Event::Say(_) => return,
        }
        self.exporter.show(self.metrics.render());
    }
}

/// Progress as it was asked for, and as the terminal allows.
fn live(command: &Run, plan: &Plan, output: &Output) -> Live {
    let mode = output.progress();
    let why = match (command.live, mode) {
        (true, Mode::Drawn) => {
            let keys = Keys {
                quit: supervisor::interrupt,
                is_quitting: supervisor::is_interrupted,
            };
            match Live::full(plan, output.color_err, keys) {
                Ok(live) => return live,
                Err(error) => error.to_string(),
            }
        }
        (true, Mode::Lines) => "standard error is no terminal that can be drawn on".to_owned(),
        _ => return Live::new(plan, mode),
    };
    output.remark(format!("no --live: {why}; progress is shown as without it"));
    Live::new(plan, mode)
}

/// Shows what the supervisor tells.
pub fn show(live: &mut Live, event: Event) {
    match event {
        Event::Suspended(servers) => live.suspended(servers),
        Event::Begin(trial, attempt, tried) => live.begin(trial, attempt, tried),
        Event::Progress(progress) => live.progress(progress),
        Event::End(_, attempt, again) => live.end(&Ended::of(attempt, again)),
        Event::Say(words) => live.say(&words),
    }
}

/// Writes the files and prints the comparison. An interrupted run has both as well, of what there is; and
/// where the disk is full, what is printed may be all that the user gets.
fn report(command: &Run, store: &Store, results: &Results, output: &Output) -> Exit {
    let folder = store.folder();
    let mut written = files::write(folder, results, folder);
    let drawn = written.as_mut().map_or(Ok(()), |made| {
        made.draw(folder)?;
        let mut wanted = command.pictures.wanted();
        wanted.try_for_each(|(folder, format)| made.export(folder, format))
    });
    let shown = folder.display().to_string();
    let view = View {
        width: output.width,
        color: output.color_out,
        folder: Some(&shown),
        files: written.as_ref().map_or(&[], |made| &made.names),
    };
    let exported = export(command, folder, results, &view);
    let mut exit = output.print(&report::render(command.format.into(), results, &view));
    if let Err(error) = &written {
        exit = exit.min(output.fail(Exit::Failed, error));
    }
    if let Err(error) = drawn {
        exit = exit.min(output.fail(Exit::Failed, error));
    }
    if let Err(error) = exported {
        exit = exit.min(output.fail(Exit::Failed, error));
    }
    exit
}

/// Where files are wanted besides those in the run's folder: JSON, CSV, Markdown, the page, histograms.
fn exports(command: &Run) -> [Option<&Path>; 5] {
    [
        command.export_json.as_deref(),
        command.export_csv.as_deref(),
        command.export_markdown.as_deref(),
        command.export_html.as_deref(),
        command.export_hdr.as_deref(),
    ]
}

fn export(command: &Run, folder: &Path, results: &Results, view: &View) -> Result<(), StoreError> {
    let write = |path: &Path, content: &[u8]| {
        replace(path, content).map_err(|source| StoreError::NotWritable {
            path: path.to_owned(),
            source,
        })
    };
    let [json, csv, markdown, html, hdr] = exports(command);
    let formats = [
        (json, Format::Json),
        (csv, Format::Csv),
        (markdown, Format::Markdown),
    ];
    for (path, format) in formats {
        if let Some(path) = path {
            write(path, report::render(format, results, view).as_bytes())?;
        }
    }
    for (path, name) in [(html, "report.html"), (hdr, "latency.hlog")] {
        if let Some(path) = path {
            let made = folder.join(name);
            let content = std::fs::read(&made).map_err(|source| StoreError::NotWritable {
                path: made.clone(),
                source,
            })?;
            write(path, &content)?;
        }
    }
    Ok(())
}
