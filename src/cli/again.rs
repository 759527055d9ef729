//! `mqbench run --from`: the very plan of a stored result, once more.

use std::path::Path;

use clap::Parser;

use crate::drivers;
use crate::plan::{Connection, Plan, Secrets};
use crate::report::different;
use crate::results::{Results, Stored};
use crate::scenario::logins::logins;
use crate::scenario::suggest::did_you_mean;
use crate::stats::differences::differences;
use crate::terminal::diagnostic::{Diagnostic, printable};

use super::args::{Changes, Cli, Command};

/// Why nothing is run.
pub enum Refused {
    /// Something is wrong with a scenario.
    Scenario(Vec<Diagnostic>),
    /// A result cannot be repeated, in a sentence.
    Result(String),
}

/// The result, and its plan: as it was, or the brokers and trials of it that are asked for. Programs that it
/// measured for the gate of a baseline are left out where others are to be measured so.
pub fn plan(
    from: &Path,
    changes: &Changes,
    measures_beside: bool,
) -> Result<(Stored, Plan), Refused> {
    let refuse = |why: String| Err(Refused::Result(printable(&why)));
    let asks_else = match (changes.quick, changes.set.is_empty()) {
        (true, _) => Some("--quick"),
        (_, false) => Some("--set"),
        _ => None,
    };
    if let Some(flag) = asks_else {
        return refuse(format!(
            "{flag} changes what is asked, and --from asks what was asked then: run the scenario itself with {flag}; \
             --broker and --trials take a part of a plan, or more of it"
        ));
    }
    let stored = Stored::open(from).map_err(|error| Refused::Result(error.to_string()))?;
    let mut plan = stored.results.plan.clone();
    let from = from.display();
    if let Some(why) = plan.obstacle() {
        return refuse(format!("`{from}` has no plan that can be repeated: {why}"));
    }
    let places = match places(&plan, &changes.broker, measures_beside) {
        Ok(places) => places,
        Err(why) => return refuse(format!("`{from}` {why}")),
    };
    if changes.trials == Some(0) {
        return refuse("--trials 0 measures nothing: give 1 or more".to_owned());
    }
    let trials = changes.trials.unwrap_or(plan.repetitions());
    plan.narrow(&places, trials);
    for broker in &plan.brokers {
        let (label, name) = (&broker.label, &broker.driver);
        let Some(driver) = drivers::find(name) else {
            return refuse(format!(
                "`{from}` was measured through the driver `{name}` ({label}), which this mqbench does not have; take it \
                 out with --broker"
            ));
        };
        if let Some(why) = driver.left_out() {
            return refuse(format!(
                "{label} cannot be run: {why}; take it out with --broker"
            ));
        }
    }
    log_in(&mut plan, &stored.results)?;
    Ok((stored, plan))
}

/// Places of the brokers that are asked for, in the order of asking; all of them where none is.
fn places(plan: &Plan, asked: &[String], measures_beside: bool) -> Result<Vec<usize>, String> {
    let labels = || plan.brokers.iter().map(|it| it.label.as_str());
    let is_own = |place: &usize| !measures_beside || plan.brokers[*place].baseline_of.is_none();
    let mut places = Vec::new();
    for name in asked.iter().map(|it| it.trim()).filter(|it| !it.is_empty()) {
        let Some(place) = labels().position(|label| label == name) else {
            let known: Vec<&str> = labels().collect();
            let hint = did_you_mean(name, labels());
            let hint = hint.unwrap_or_else(|| format!("it has {}", known.join(", ")));
            return Err(format!(
                "has no broker `{name}`, and --from adds none; {hint}"
            ));
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if places.is_empty() {
        places = (0..plan.brokers.len()).collect();
    }
    places.retain(is_own);
    match places.is_empty() {
        true => Err("has no broker left that is not its baseline's".to_owned()),
        false => Ok(places),
    }
}

/// Takes logins from the environment again: results do not hold them.
fn log_in(plan: &mut Plan, earlier: &Results) -> Result<(), Refused> {
    let external = |connection: &Connection| matches!(connection, Connection::External { .. });
    let external = plan.brokers.iter().filter(|it| external(&it.connection));
    let labels: Vec<&str> = external.map(|it| it.label.as_str()).collect();
    if labels.is_empty() {
        return Ok(());
    }
    // What `--set` had changed of a login is in the command alone.
    let set = match Cli::try_parse_from(&earlier.manifest.command).map(|cli| cli.command) {
        Ok(Some(Command::Run(run))) => run.changes.set,
        _ => Vec::new(),
    };
    let name = format!("{} (as stored)", earlier.manifest.scenario);
    let environment = |variable: &str| std::env::var(variable).ok();
    let entries = logins(&name, &earlier.scenario_text, &set, &labels, &environment);
    for entry in entries.map_err(Refused::Scenario)? {
        let Some(broker) = plan.brokers.iter_mut().find(|it| it.label == entry.label) else {
            continue;
        };
        let Connection::External { url } = &broker.connection else {
            continue;
        };
        // A login is for the broker that it belongs to.
        if let Some(now) = entry.url.filter(|now| now != url) {
            let label = &broker.label;
            return Err(Refused::Result(printable(&format!(
                "{label} was at `{url}`, and the environment says `{now}` now: a plan is repeated where it was; run \
                 the scenario itself for another place"
            ))));
        }
        broker.secrets = Secrets {
            user: entry.user,
            password: entry.password,
            token: entry.token,
        };
    }
    Ok(())
}

/// What is not the same as when the plan was carried out before, a line each: read before the figures are.
pub fn told(earlier: &Stored, now: &Results) -> Vec<String> {
    let manifest = &earlier.results.manifest;
    let (scenario, started) = (printable(&manifest.scenario), printable(&manifest.started));
    let different = different::lines(&differences(&earlier.results, now));
    let of = format!("repeats {scenario} of {started}");
    if different.is_empty() {
        return vec![format!(
            "{of}: machine, versions and settings are the same as then"
        )];
    }
    let lines = different.into_iter().map(|line| format!("  ≠ {line}"));
    std::iter::once(format!("{of}; since then, this has changed:"))
        .chain(lines)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn stored(results: Results) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, serde_json::to_vec(&results).unwrap()).unwrap();
        (folder, path)
    }

    fn changes(brokers: &[&str], trials: Option<u32>) -> Changes {
        Changes {
            broker: brokers.iter().map(|it| (*it).to_owned()).collect(),
            trials,
            quick: false,
            set: Vec::new(),
        }
    }

    fn why(refused: Result<(Stored, Plan), Refused>) -> String {
        match refused {
            Err(Refused::Result(why)) => why,
            Err(Refused::Scenario(errors)) => errors[0].message.clone(),
            Ok(_) => panic!("it is not refused"),
        }
    }

    fn run() -> Results {
        let mut plan = sample::plan(&["loopback", "other"], 3);
        plan.brokers[1].driver = "loopback".to_owned();
        sample::run(plan, &[1e5, 1e5], |_, _, _| {})
    }

    #[test]
    fn the_plan_is_the_very_same_or_the_part_that_is_asked_for() {
        let (_folder, path) = stored(run());
        let (_, same) = plan(&path, &changes(&[], None), true).ok().unwrap();
        assert_eq!(same, run().plan);
        let (_, part) = plan(&path, &changes(&["other"], Some(2)), false)
            .ok()
            .unwrap();
        assert_eq!((part.brokers.len(), part.trials.len()), (1, 2));
        assert_eq!(part.seed, same.seed);
    }

    #[test]
    fn what_changes_the_question_or_adds_to_it_is_refused() {
        let (_folder, path) = stored(run());
        let quick = Changes {
            quick: true,
            ..changes(&[], None)
        };
        assert!(why(plan(&path, &quick, false)).starts_with("--quick changes what is asked"));
        let set = Changes {
            set: vec!["trials=2".to_owned()],
            ..changes(&[], None)
        };
        assert!(why(plan(&path, &set, false)).starts_with("--set changes"));
        let unknown = why(plan(&path, &changes(&["othr"], None), false));
        assert!(unknown.contains("did you mean `other`?"), "{unknown}");
        let nothing = why(plan(&path, &changes(&[], Some(0)), false));
        assert!(nothing.contains("1 or more"), "{nothing}");
    }

    #[test]
    fn a_driver_that_is_not_there_any_more_is_named() {
        let mut gone = run();
        gone.plan.brokers[1].driver = "pigeon".to_owned();
        let (_folder, path) = stored(gone);
        let said = why(plan(&path, &changes(&[], None), false));
        assert!(said.contains("`pigeon` (other)"), "{said}");
        let (_, part) = plan(&path, &changes(&["loopback"], None), false)
            .ok()
            .unwrap();
        assert_eq!(part.brokers.len(), 1);
    }

    #[test]
    fn a_program_of_an_earlier_baseline_gives_way_to_that_of_another() {
        let mut beside = run();
        beside.plan.brokers[1].baseline_of = Some("loopback".to_owned());
        let (_folder, path) = stored(beside);
        let brokers = |measures| {
            let (_, plan) = plan(&path, &changes(&[], None), measures).ok().unwrap();
            plan.brokers.len()
        };
        assert_eq!((brokers(false), brokers(true)), (2, 1));
        assert!(why(plan(&path, &changes(&["other"], None), true)).contains("baseline"));
    }

    #[test]
    fn a_login_is_not_taken_elsewhere() {
        let mut results = run();
        results.plan.brokers[1].connection = Connection::External {
            url: "nats://there:1".to_owned(),
        };
        results.scenario_text =
            "brokers: {other: {driver: loopback, url: \"nats://elsewhere:1\", user: me}}"
                .to_owned();
        let (_folder, path) = stored(results.clone());
        let said = why(plan(&path, &changes(&[], None), false));
        assert!(
            said.contains("nats://there:1") && said.contains("nats://elsewhere:1"),
            "{said}"
        );
        results.scenario_text = results.scenario_text.replace("elsewhere", "there");
        let (_folder, path) = stored(results);
        let (_, plan) = plan(&path, &changes(&[], None), false).ok().unwrap();
        assert_eq!(plan.brokers[1].secrets.user.as_deref(), Some("me"));
    }

    #[test]
    fn differences_are_told_or_that_there_are_none() {
        let earlier = Stored {
            folder: "results/a".into(),
            results: run(),
        };
        let same = told(&earlier, &run());
        assert_eq!(same.len(), 1);
        assert!(same[0].ends_with("are the same as then"), "{same:?}");
        let mut updated = run();
        updated.provenance.host.kernel = "Linux 9.9".to_owned();
        let said = told(&earlier, &updated);
        assert!(said[0].contains("2026-11-20"), "{said:?}");
        assert_eq!(said[1], "  ≠ machine: kernel Linux 6.1 → Linux 9.9");
    }
}
