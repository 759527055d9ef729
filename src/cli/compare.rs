//! `mqbench compare` and `mqbench gate`: brokers of one run, or two runs, side by side.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::plan::Plan;
use crate::report::different::differs;
use crate::report::text::View;
use crate::report::versus::Versus;
use crate::report::{Format, html, junit};
use crate::results::store::replace;
use crate::results::{Results, Stored};
use crate::scenario::suggest::did_you_mean;
use crate::stats::change::Change;
use crate::stats::compare::{Options, Overall, best, brokers, runs};
use crate::stats::differences::About;
use crate::stats::exit::Exit;
use crate::stats::group::telling;

use super::args::{Allowed, Compare, Comparing, Gate, Gating};
use super::output::Output;

/// Prints a comparison.
pub fn compare(command: &Compare, output: &Output) -> Exit {
    let options = options(&command.comparing);
    let first = match Stored::open(&command.result) {
        Ok(stored) => stored,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let Some(second) = &command.other else {
        if let Err(error) = refuse_search(&first.results.plan) {
            return output.fail(Exit::Usage, error);
        }
        let points = first.results.points();
        let results = telling(&points).unwrap_or(&first.results);
        let reference = match reference(results, command.reference.as_deref(), &options) {
            Ok(reference) => reference,
            Err(error) => return output.fail(Exit::Usage, error),
        };
        let pairs = brokers(results, reference, &options);
        let versus = Versus::brokers(results, pairs);
        return show(command, &versus, output);
    };
    let second = match Stored::open(second) {
        Ok(stored) => stored,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    if command.reference.is_some() {
        let why = "--reference is for the brokers of one run: of two, the first is the reference";
        return output.fail(Exit::Usage, why);
    }
    match versus(&first, &second, &options) {
        Ok(versus) => show(command, &versus, output),
        Err(error) => output.fail(Exit::Usage, error),
    }
}

/// Prints a comparison, and writes it as a page where one is wanted.
fn show(command: &Compare, versus: &Versus, output: &Output) -> Exit {
    if let Some(path) = &command.export_html
        && let Err(error) = write(path, &html::versus(versus))
    {
        return output.fail(Exit::Usage, cannot_write(path, &error));
    }
    output.print(&versus.render(command.comparing.format.into(), &view(output)))
}

/// Judges a candidate by a baseline.
pub fn gate(command: &Gate, output: &Output) -> Exit {
    let (baseline, candidate) = match (
        Stored::open(&command.baseline),
        Stored::open(&command.candidate),
    ) {
        (Ok(baseline), Ok(candidate)) => (baseline, candidate),
        (Err(error), _) | (_, Err(error)) => return output.fail(Exit::Usage, error),
    };
    let options = options(&command.comparing);
    let format = command.comparing.format.into();
    let printed = print_gate(
        &baseline,
        &candidate,
        &options,
        &command.gating,
        Some(format),
        output,
    );
    let (versus, exit) = match printed {
        Ok(judged) => judged,
        Err(error) => return output.fail(Exit::Usage, error),
    };
    let markdown = versus.render(Format::Markdown, &view(output));
    let files = [
        (&command.export_markdown, write as fn(&Path, &str) -> _),
        (&command.gating.step_summary, append),
    ];
    for (path, write) in files {
        if let Some(path) = path
            && let Err(error) = write(path, &markdown)
        {
            return output.fail(Exit::Usage, cannot_write(path, &error));
        }
    }
    exit
}

/// What a gate says of a candidate, printed (without a format as a remark) and written for test runners; and
/// how it ends.
///
/// # Errors
/// Where the two have nothing in common, or differ in what is not allowed.
pub fn print_gate<'a>(
    baseline: &'a Stored,
    candidate: &'a Stored,
    options: &Options,
    gating: &Gating,
    format: Option<Format>,
    output: &Output,
) -> Result<(Versus<'a>, Exit), String> {
    let versus = versus(baseline, candidate, options)?;
    let print = |format: Option<Format>| match format {
        Some(format) => output.print(&versus.render(format, &view(output))),
        None => {
            output.remark(versus.render(Format::Text, &View::default()));
            Exit::Done
        }
    };
    for (about, allowed) in [
        (About::Scenario, Allowed::Scenario),
        (About::Machine, Allowed::Machine),
    ] {
        if differs(&versus.differences, about) && !gating.allow.contains(&allowed) {
            print(format.map(|_| Format::Text));
            let name = about.name();
            return Err(format!(
                "the baseline is of another {name}, so that figures say nothing about the brokers; measure it \
                 again, or allow it with --allow {name}"
            ));
        }
    }
    let printed = print(format);
    if let Some(path) = &gating.export_junit {
        let text = junit::render(&versus, &candidate.results.manifest.scenario, gating.strict);
        write(path, &text).map_err(|error| cannot_write(path, &error))?;
    }
    let exit = match judge(&versus, gating.strict) {
        (Exit::Done, _) => printed,
        (exit, why) => output.fail(exit, why),
    };
    Ok((versus, exit))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text.as_bytes())
}

/// Appends, as the file wants it that GitHub shows as the summary of a step.
pub fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// That a file could not be written, and why.
pub fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write `{}`: {error}", path.display())
}

/// How the gate ends, and why. What is not valid is said before what was missed: it neither passes nor
/// fails.
fn judge(versus: &Versus, strict: bool) -> (Exit, String) {
    let labels = |overall: Overall| -> Vec<&str> {
        let pairs = versus.pairs.iter();
        let those = pairs.filter(|pair| pair.overall() == overall);
        those.map(|pair| &*pair.label).collect()
    };
    let invalid = labels(Overall::Invalid);
    if !invalid.is_empty() {
        let why = format!("not to be compared: {}", invalid.join(", "));
        return (Exit::Invalid, why);
    }
    let regressed = labels(Overall::Judged(Change::Regressed));
    if !regressed.is_empty() {
        return (Exit::Missed, format!("regressed: {}", regressed.join(", ")));
    }
    let inconclusive = labels(Overall::Judged(Change::Inconclusive));
    if strict && !inconclusive.is_empty() {
        let why = format!("inconclusive, and --strict: {}", inconclusive.join(", "));
        return (Exit::Missed, why);
    }
    (Exit::Done, String::new())
}

fn versus<'a>(
    baseline: &'a Stored,
    candidate: &'a Stored,
    options: &Options,
) -> Result<Versus<'a>, String> {
    for stored in [baseline, candidate] {
        refuse_search(&stored.results.plan)?;
    }
    let pairs = runs(&baseline.results, &candidate.results, options);
    if pairs.is_empty() {
        let labels = |results: &Results| {
            let labels = results.plan.brokers.iter().map(|it| it.label.clone());
            labels.collect::<Vec<_>>().join(", ")
        };
        return Err(format!(
            "the two runs have no broker in common{}: {} and {}",
            match candidate.results.plan.sweep.is_empty() && baseline.results.plan.sweep.is_empty()
            {
                true => "",
                false => " at a rate that it held",
            },
            labels(&baseline.results),
            labels(&candidate.results)
        ));
    }
    Ok(Versus::runs(baseline, candidate, pairs))
}

/// A search has each broker at a rate of its own, so that its figures say nothing beside each other.
pub fn refuse_search(plan: &Plan) -> Result<(), String> {
    match plan.search {
        None => Ok(()),
        Some(_) => Err(format!(
            "`{}` is a search for the capacity, whose trials are at rates of their own: they are not compared; compare the \
             brackets that its report prints, or runs at one rate: `--set workload.load={{rate: …}}`",
            plan.scenario
        )),
    }
}

fn reference(results: &Results, asked: Option<&str>, options: &Options) -> Result<usize, String> {
    let brokers = &results.plan.brokers;
    if brokers.len() < 2 {
        return Err("the run has only one broker: give a second run to compare it with".to_owned());
    }
    let Some(asked) = asked else {
        // Where nobody has valid figures all lines say so, whoever is the reference.
        return Ok(best(results, options).unwrap_or(0));
    };
    let found = brokers.iter().position(|it| it.label == asked);
    found.ok_or_else(|| {
        let labels: Vec<&str> = brokers.iter().map(|it| it.label.as_str()).collect();
        let hint = did_you_mean(asked, labels.iter().copied()).unwrap_or_default();
        format!("the run has no broker `{asked}`; {hint}")
    })
}

fn options(comparing: &Comparing) -> Options {
    Options {
        figures: comparing.metric.clone(),
        margin: comparing.margin,
        sort: comparing.sort,
    }
}

fn view(output: &Output) -> View<'static> {
    View {
        width: output.width,
        color: output.color_out,
        ..View::default()
    }
}
