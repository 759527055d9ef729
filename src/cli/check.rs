//! `mqbench check`: the plan, and nothing else.

use std::path::Path;

use crate::drivers;
use crate::plan::{Plan, draw_seed, leave_out, print, resolve};
use crate::scenario::{self, Overrides, Scenario};
use crate::servers::find::find;
use crate::servers::{self, Places};
use crate::stats::exit::Exit;
use crate::terminal::diagnostic::Diagnostic;

use super::args::{Changes, Check, PlanFormat};
use super::output::Output;

/// Columns where the output is no terminal.
const COLUMNS: usize = 100;

/// Reads and resolves what the command line names.
pub fn plan(reference: &str, changes: &Changes) -> Result<(Scenario, Plan), Vec<Diagnostic>> {
    let overrides = Overrides {
        set: changes.set.clone(),
        brokers: changes.broker.clone(),
        trials: changes.trials,
        quick: changes.quick,
    };
    let mut scenario = scenario::load(reference, &overrides)?;
    let drivers: Vec<_> = drivers::descriptors().collect();
    let left_out = leave_out(&mut scenario, &drivers, &missing).map_err(|error| vec![error])?;
    let plan = resolve(&scenario, &drivers, draw_seed())?;
    Ok((scenario, Plan { left_out, ..plan }))
}

/// Why a server cannot be started on this machine, if it is not there.
pub fn missing(server: &str, program: Option<&str>) -> Option<String> {
    let about = servers::named(server).ok()?.about();
    match find(about, program.map(Path::new), &Places::of(about)) {
        Err(servers::Error::NotFound { about, .. }) => Some(format!(
            "no {} was found; `scripts/get {}` gets one",
            about.title, about.name
        )),
        _ => None,
    }
}

/// Prints the plan.
pub fn check(command: &Check, output: &Output) -> Exit {
    match plan(&command.scenario, &command.changes) {
        Err(diagnostics) => output.refuse(&diagnostics),
        Ok((_, plan)) => match command.format {
            PlanFormat::Text => output.print(&print::print(
                &plan,
                output.width.unwrap_or(COLUMNS),
                output.color_out,
            )),
            PlanFormat::Json => match serde_json::to_string_pretty(&plan) {
                Ok(text) => output.print(&format!("{text}\n")),
                Err(error) => output.fail(Exit::Failed, error),
            },
        },
    }
}
