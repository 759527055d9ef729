//! `mqbench history`: all runs of a folder over time.

use crate::report::history::render;
use crate::report::text::View;
use crate::results::{Archive, Stored};
use crate::scenario::suggest::did_you_mean;
use crate::stats::exit::Exit;
use crate::stats::history::{Options, histories};
use crate::terminal::diagnostic::printable;

use super::args::History;
use super::output::Output;

/// Prints how figures went from run to run.
pub fn history(command: &History, output: &Output) -> Exit {
    let mut archive = match Archive::read(&command.folder) {
        Ok(archive) => archive,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let (searches, runs) = archive
        .runs
        .into_iter()
        .partition(|it| it.results.plan.search.is_some());
    let searches: Vec<Stored> = searches;
    archive.runs = runs;
    let told = searches.iter().map(|it| {
        let folder = it.folder.display();
        format!("`{folder}` is a search for the capacity, whose trials are at rates of their own")
    });
    archive.passed_over.extend(told);
    for reason in &archive.passed_over {
        output.remark(format!("⚠ passed over: {}", printable(reason)));
    }
    let folder = command.folder.display();
    if archive.runs.is_empty() {
        return output.fail(
            Exit::Usage,
            format!(
                "there are no results under `{folder}`; make some with  mqbench run latency --out {folder}"
            ),
        );
    }
    let labels = || {
        let brokers = archive
            .runs
            .iter()
            .flat_map(|run| &run.results.plan.brokers);
        brokers.map(|broker| broker.label.as_str())
    };
    if let Some(unknown) = command
        .broker
        .iter()
        .find(|it| !labels().any(|label| label == **it))
    {
        let mut known: Vec<&str> = labels().collect();
        known.sort_unstable();
        known.dedup();
        let hint = did_you_mean(unknown, known.iter().copied())
            .unwrap_or_else(|| format!("there are {}", known.join(", ")));
        let why = format!("no run under `{folder}` has a broker `{unknown}`; {hint}");
        return output.fail(Exit::Usage, printable(&why));
    }
    let options = Options {
        figures: command.metric.clone(),
        brokers: command.broker.clone(),
        margin: command.margin,
    };
    let view = View {
        width: output.width,
        color: output.color_out,
        ..View::default()
    };
    let histories = histories(&archive.runs, &options);
    output.print(&render(&histories, command.format.into(), &view))
}
