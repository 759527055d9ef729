//! Which programs of a baseline are measured again, beside those of the run: figures of another day differ for many
//! reasons, figures of one block for one.

use std::path::Path;

use crate::plan::beside::Beside;
use crate::plan::{Connection, Plan};
use crate::results::Results;
use crate::servers::{self, Places, find};
use crate::terminal::diagnostic::printable;

/// What the program is that a server would be run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: String,
    /// Its version, as it says.
    pub version: String,
}

/// Looks for a server's program, where the second says or else where it is usually found; `None` where it would run in a
/// container, of which nothing is asked. An error says why there is none.
pub type Ask<'a> = &'a dyn Fn(&str, Option<&str>) -> Result<Option<Program>, String>;

/// What becomes of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Its baseline's program is measured beside it.
    Beside(Beside),
    /// It is not; the broker's place, and why.
    Not(usize, String),
}

/// Decides for each broker that both have and that a server is started for.
pub fn choose(plan: &Plan, baseline: &Results, ask: Ask) -> Vec<Choice> {
    let brokers = plan.brokers.iter().enumerate();
    let choice = |(place, broker): (usize, &crate::plan::PlannedBroker)| {
        let mut before = baseline.plan.brokers.iter();
        let before = before.position(|it| it.label == broker.label)?;
        let (server, binary) = match &broker.connection {
            Connection::Managed { server, binary, .. } => (server, binary.as_deref()),
            Connection::External { .. } => {
                let why = "it runs already, with the program that it has";
                return Some(Choice::Not(place, why.to_owned()));
            }
            Connection::InProcess => return None,
        };
        let chosen = beside(baseline, before, server, binary, ask);
        Some(match chosen {
            Ok((program, version)) => Choice::Beside(Beside {
                broker: place,
                program,
                version,
            }),
            Err(why) => Choice::Not(place, why),
        })
    };
    brokers.filter_map(choice).collect()
}

/// Program and version of a baseline's broker, where one of them differs from those of the run and both are still there; or
/// why they are not measured. Builds of one version differ by their place alone.
fn beside(
    baseline: &Results,
    before: usize,
    server: &str,
    binary: Option<&str>,
    ask: Ask,
) -> Result<(String, String), String> {
    let then = baseline.provenance.broker(before);
    let then = then.ok_or("the baseline does not say what it was measured with")?;
    let same = match &baseline.plan.brokers[before].connection {
        Connection::Managed { server: then, .. } => then == server,
        _ => false,
    };
    if !same {
        return Err("the baseline was measured with a server of another kind".to_owned());
    }
    if then.server_container.is_some() {
        return Err("the baseline's ran in a container".to_owned());
    }
    let (Some(program), Some(version)) = (&then.server_program, &then.server_version) else {
        return Err("the baseline does not say what it was measured with".to_owned());
    };
    let now = ask(server, binary)?;
    let now = now.ok_or("it runs in a container")?;
    if (&now.path, &now.version) == (program, version) {
        return Err(format!("both are {version} of {program}"));
    }
    match ask(server, Some(program)) {
        Ok(Some(found)) if found.version == *version => Ok((program.clone(), version.clone())),
        Ok(Some(found)) => Err(format!(
            "{program} is {} now, and was {version}",
            found.version
        )),
        Ok(None) | Err(_) => Err(format!("{program}, which was {version}, is gone")),
    }
}

/// Asks the programs of this machine.
pub fn ask(server: &str, binary: Option<&str>) -> Result<Option<Program>, String> {
    let server = servers::named(server).map_err(|error| error.to_string())?;
    let about = server.about();
    let places = Places::of(about);
    let named = binary.map(Path::new);
    if find::wants_container(about, named, &places) {
        return Ok(None);
    }
    let found = match find::find(about, named, &places) {
        Ok(found) => found,
        // Where there is no program, an image may do.
        Err(servers::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let version = server.version(&found).map_err(|error| {
        format!(
            "{} does not tell its version: {error}",
            found.program.display()
        )
    })?;
    Ok(Some(Program {
        path: found.program.display().to_string(),
        version,
    }))
}

/// One line for all: what is measured again, and why others are not; `None` where there is nothing to say.
pub fn told(plan: &Plan, choices: &[Choice]) -> Option<String> {
    let label = |place: usize| plan.brokers.get(place).map_or("?", |it| &it.label);
    let (mut again, mut not) = (Vec::new(), Vec::new());
    for choice in choices {
        match choice {
            Choice::Beside(it) => {
                let (label, version) = (label(it.broker), &it.version);
                again.push(format!("{label} with {} ({version})", it.program));
            }
            Choice::Not(place, why) => not.push(format!("{} ({why})", label(*place))),
        }
    }
    let parts = [
        ("of the baseline, measured again in the same blocks", again),
        ("not measured again", not),
    ];
    let parts = parts.into_iter().filter(|(_, brokers)| !brokers.is_empty());
    let said = parts.map(|(what, brokers)| format!("{what}: {}", brokers.join(", ")));
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| printable(&said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::provenance::ContainerProvenance;
    use crate::results::sample;

    /// A plan of these brokers, whose servers are started, and a baseline of the same, measured with `/old`, 2.10.
    fn runs(labels: &[&str]) -> (Plan, Results) {
        let mut plan = sample::plan(labels, 2);
        for broker in &mut plan.brokers {
            broker.connection = Connection::Managed {
                server: "nats".to_owned(),
                config: Default::default(),
                binary: None,
            };
        }
        let mut baseline = sample::begun(plan.clone());
        for broker in &mut baseline.provenance.brokers {
            broker.server_program = Some("/old".to_owned());
        }
        (plan, baseline)
    }

    type Asked = Result<Option<Program>, String>;

    fn program(path: &str, version: &str) -> Asked {
        Ok(Some(Program {
            path: path.to_owned(),
            version: version.to_owned(),
        }))
    }

    /// The usual program is 2.15; `/old` is still what it was.
    fn usual(_: &str, binary: Option<&str>) -> Asked {
        match binary {
            Some("/old") => program("/old", "2.10"),
            _ => program("/new", "2.15"),
        }
    }

    fn why(plan: &Plan, baseline: &Results, ask: Ask) -> String {
        match &choose(plan, baseline, ask)[..] {
            [Choice::Not(0, why)] => why.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_that_is_there_and_differs_is_measured_again() {
        let (plan, baseline) = runs(&["nats"]);
        let choices = choose(&plan, &baseline, &usual);
        let expected = Beside {
            broker: 0,
            program: "/old".to_owned(),
            version: "2.10".to_owned(),
        };
        assert_eq!(choices, [Choice::Beside(expected)]);
        let told = told(&plan, &choices).unwrap();
        assert!(
            told.ends_with("same blocks: nats with /old (2.10)"),
            "{told}"
        );
    }

    #[test]
    fn two_builds_of_one_version_are_two_programs() {
        let (plan, baseline) = runs(&["nats"]);
        let builds = |_: &str, binary: Option<&str>| program(binary.unwrap_or("/new"), "2.10");
        let choices = choose(&plan, &baseline, &builds);
        assert!(
            matches!(&choices[..], [Choice::Beside(it)] if it.program == "/old"),
            "{choices:?}"
        );
    }

    #[test]
    fn what_is_not_measured_again_says_why() {
        let (plan, baseline) = runs(&["nats"]);
        let same = |_: &str, _: Option<&str>| program("/old", "2.10");
        assert_eq!(why(&plan, &baseline, &same), "both are 2.10 of /old");
        let gone = |_: &str, binary: Option<&str>| match binary {
            Some(_) => Err("no such file".to_owned()),
            None => program("/new", "2.15"),
        };
        assert_eq!(
            why(&plan, &baseline, &gone),
            "/old, which was 2.10, is gone"
        );
        let replaced = |_: &str, binary: Option<&str>| match binary {
            Some(old) => program(old, "2.11"),
            None => program("/new", "2.15"),
        };
        assert_eq!(
            why(&plan, &baseline, &replaced),
            "/old is 2.11 now, and was 2.10"
        );
        let contained = |_: &str, _: Option<&str>| Ok(None);
        assert_eq!(why(&plan, &baseline, &contained), "it runs in a container");

        let mut other = baseline.clone();
        other.provenance.brokers[0].server_container = Some(ContainerProvenance::default());
        assert!(why(&plan, &other, &usual).contains("container"));
        let mut silent = baseline.clone();
        silent.provenance.brokers[0].server_program = None;
        assert!(why(&plan, &silent, &usual).contains("does not say"));
        let mut external = plan.clone();
        external.brokers[0].connection = Connection::External {
            url: "nats://broker".to_owned(),
        };
        assert!(why(&external, &baseline, &usual).contains("runs already"));
    }

    #[test]
    fn what_only_one_of_them_has_or_has_no_server_is_not_spoken_of() {
        let (mut plan, baseline) = runs(&["nats", "kafka"]);
        plan.brokers[0].label = "new".to_owned();
        plan.brokers[1].connection = Connection::InProcess;
        let choices = choose(&plan, &baseline, &usual);
        assert_eq!((&choices[..], told(&plan, &choices)), (&[][..], None));
    }
}
