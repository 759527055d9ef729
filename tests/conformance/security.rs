//! Logins and encryption: what is right works, what is wrong is said in time and in the user's words, and
//! secrets are nowhere.
//!
//! A driver takes part with what its descriptor declares, against a server of its own whose settings make
//! it ask for that.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mqbench::drivers::descriptor::Descriptor;
use mqbench::engine::task::Task;
use mqbench::scenario::Tls;
use mqbench::scenario::workload::Measure;
use mqbench::servers::{Config, named};

use crate::brokers::{Broker, own};
use crate::certificates::Certificates;
use crate::combinations::{Combination, each, of_each_driver};
use crate::disruption::wrong_in_any_case;
use crate::harness::worker::run;
use crate::program::{Ended, Place};
use crate::servers::{Forbidding, Known};

/// By then what is wrong has been said; the drivers have five seconds, the machine has other work.
const SAID: Duration = Duration::from_secs(10);

const USER: &str = "bench";
const PASSWORD: &str = "pass-4711-word";
/// Any text will do for most servers; to one that knows tokens by their signature it is the user's.
const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiZW5jaCJ9.xm49Rx-JGMOirD81U2wuwtHbXGGZd1Ej7mzxTyPcW54";
const WRONG: &str = "wrong-4713-word";
const SECRETS: &[&str] = &[PASSWORD, TOKEN, WRONG];

/// What a failure must say one of, and what would say that something else is wrong.
struct Words {
    one_of: &'static [&'static str],
    none_of: &'static [&'static str],
}

const LOGIN: Words = Words {
    one_of: &["password", "login", "authenti", "authoriz", "credentials"],
    none_of: &["certificate"],
};
const PERMISSION: Words = Words {
    one_of: &[
        "may not",
        "permission",
        "not allowed",
        "authoriz",
        "denied",
        "access",
        "may this user",
    ],
    none_of: &["certificate", "no answer", "timed out", "in time"],
};
const AUTHORITY: Words = Words {
    one_of: &["authority"],
    none_of: &["expired", "password"],
};
const EXPIRED: Words = Words {
    one_of: &["expired"],
    none_of: &["authority", "password"],
};
const NAME: Words = Words {
    one_of: &["name"],
    none_of: &["authority", "expired", "password"],
};
const CLIENT: Words = Words {
    one_of: &["client certificate"],
    none_of: &["expired", "password"],
};
const ENCRYPTION: Words = Words {
    one_of: &["tls", "encrypt"],
    none_of: &["expired", "authority", "password"],
};
/// Where a client that does not encrypt meets a server that does, neither understands the other; or the
/// server says what it wants, and the client does not know its authority.
const ANY: Words = Words {
    one_of: &[""],
    none_of: &["expired"],
};

/// Which of the settings for logins and encryption a driver and its server have.
struct Means {
    login: bool,
    token: bool,
    tls: bool,
    /// By what else the server knows the login and the token.
    access: &'static [(&'static str, &'static str)],
    /// How the login is left with nothing that it may do.
    forbidding: Option<&'static Forbidding>,
}

impl Means {
    fn of(driver: &Descriptor) -> Means {
        let settings = driver.server.map_or(&[][..], |server| {
            let about = named(server).expect("a known server").about();
            about.settings
        });
        let has = |key: &str| settings.iter().any(|setting| setting.key == key);
        let declares = |key: &str| driver.security.contains(&key);
        Means {
            login: declares("password") && has("user") && has("password"),
            token: declares("token") && has("token"),
            access: driver.server.map_or(&[], |server| Known::of(server).access),
            forbidding: driver.server.map(|server| &Known::of(server).forbidding),
            tls: declares("tls") && ["tls_cert", "tls_key", "tls_ca"].into_iter().all(has),
        }
    }

    /// What makes a server ask for user and password, if it can.
    fn of_login(&self) -> Config {
        match self.login {
            true => self.asking_for(&[("user", USER), ("password", PASSWORD)]),
            false => Config::new(),
        }
    }

    /// What makes a server ask for a token.
    fn of_token(&self) -> Config {
        self.asking_for(&[("token", TOKEN)])
    }

    fn asking_for(&self, login: &[(&str, &str)]) -> Config {
        let settings = login.iter().chain(self.access);
        let owned = settings.map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    }
}

/// A server with these settings, and the smallest trial on it that logs in rightly.
struct Asking<'c> {
    combination: &'c Combination,
    means: Means,
    broker: Broker,
    found: Vec<String>,
}

impl Asking<'_> {
    /// `None` where this machine has no such server.
    fn start<'c>(combination: &'c Combination, settings: Config) -> Option<Asking<'c>> {
        let broker = own(combination.driver, combination.offer, &settings)?;
        Some(Asking {
            combination,
            means: Means::of(combination.driver),
            broker,
            found: Vec::new(),
        })
    }

    fn task(&self, tls: Option<Tls>) -> Task {
        let mut task = self.combination.task(&self.broker);
        task.phases.measure = Measure::Count(200);
        if self.means.login {
            task.user = Some(USER.to_owned());
            task.password = Some(PASSWORD.to_owned());
        }
        task.tls = tls;
        task
    }

    /// A scenario of one short trial on this server, with these settings to reach it.
    fn scenario(&self, access: &str) -> String {
        let (driver, offer) = (self.combination.driver, self.combination.offer);
        format!(
            "brokers: {{it: {{driver: {}, url: '{}', {access}}}}}\n\
             workload: {{delivery: {}, durability: {}, load: {{rate: 500/s}}}}\n\
             phases: {{warmup: 10ms, measure: 200, drain: 10s}}\ntrials: 1\n",
            driver.name,
            self.broker.url().expect("a server"),
            offer.delivery.name(),
            offer.durability.name(),
        )
    }

    /// A trial that must be complete.
    fn accepted(&mut self, what: &str, task: &Task) {
        let seen = run(task.clone());
        let problems = seen.problems(task).into_iter();
        self.found
            .extend(problems.map(|problem| format!("{what}: {problem}")));
    }

    /// A trial that must end soon, and say why.
    fn refused(&mut self, what: &str, task: &Task, words: &Words) {
        let seen = run(task.clone());
        let mut say = |problem: String| self.found.push(format!("{what}: {problem}"));
        let wrong = wrong_in_any_case(&seen).into_iter();
        wrong.chain(seen.late(SAID)).for_each(&mut say);
        let record = format!("{:?}", seen.record);
        for secret in SECRETS.iter().filter(|secret| record.contains(**secret)) {
            say(format!("the record tells a secret, {secret}"));
        }
        // Where a server refuses message by message, none may have been taken.
        let each = seen.record.reasons.keys().next().cloned();
        let each = each.filter(|_| seen.record.audit.acked == 0);
        let Some(failure) = seen.record.failure.or(each) else {
            say("it did not fail".to_owned());
            return;
        };
        let lower = failure.to_lowercase();
        let has = |word: &&&str| lower.contains(**word);
        if !words.one_of.iter().any(|word| has(&word)) {
            say(format!("none of {:?} in: {failure}", words.one_of));
        }
        if let Some(word) = words.none_of.iter().find(has) {
            say(format!("`{word}` in: {failure}"));
        }
    }
}

fn with(parts: &[Config]) -> Config {
    parts
        .iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Runs a check over the drivers that have these means, on a server with these settings.
fn each_with(
    wanted: fn(&Means) -> bool,
    settings: impl Fn(&Means) -> Config + Sync,
    check: impl Fn(&mut Asking) + Sync,
) {
    let taking_part = of_each_driver().filter(|c| wanted(&Means::of(c.driver)));
    each(taking_part, |combination| {
        let settings = settings(&Means::of(combination.driver));
        let Some(mut asking) = Asking::start(combination, settings) else {
            return Vec::new();
        };
        check(&mut asking);
        asking.found
    });
}

#[test]
fn what_is_declared_can_be_tried() {
    each(of_each_driver(), |combination| {
        let means = Means::of(combination.driver);
        match combination.driver.security.contains(&"tls") && !means.tls {
            true => {
                vec!["its server has no tls_cert, tls_key and tls_ca to try `tls` on".to_owned()]
            }
            false => Vec::new(),
        }
    });
}

#[test]
fn a_right_password_opens_and_a_wrong_one_is_said() {
    each_with(
        |means| means.login,
        Means::of_login,
        |asking| {
            let right = asking.task(None);
            asking.accepted("the right password", &right);
            let mut task = asking.task(None);
            task.password = Some(WRONG.to_owned());
            asking.refused("a wrong password", &task, &LOGIN);
            let mut task = asking.task(None);
            (task.user, task.password) = (None, None);
            asking.refused("no login", &task, &LOGIN);
        },
    );
}

#[test]
fn who_may_come_in_and_may_not_publish_is_told_so() {
    let forbidding = |means: &Means| match means.forbidding {
        Some(Forbidding::Settings(settings)) => {
            let login = [("user", USER), ("password", PASSWORD)];
            means.asking_for(&[&login, *settings].concat())
        }
        _ => means.of_login(),
    };
    each_with(
        |means| means.login && !matches!(means.forbidding, None | Some(Forbidding::Never)),
        forbidding,
        |asking| {
            if let Some(Forbidding::Later(forbid)) = asking.means.forbidding {
                let instance = asking.broker.instance().expect("a server");
                if let Err(error) = forbid(instance, USER, PASSWORD) {
                    return asking
                        .found
                        .push(format!("it cannot be forbidden: {error}"));
                }
            }
            let task = asking.task(None);
            asking.refused("a user without permission", &task, &PERMISSION);
        },
    );
}

#[test]
fn a_right_token_opens_and_a_wrong_one_is_said() {
    each_with(
        |means| means.token,
        Means::of_token,
        |asking| {
            let with = |asking: &Asking, token: Option<&str>| {
                let mut task = asking.task(None);
                (task.user, task.password) = (None, None);
                task.token = token.map(str::to_owned);
                task
            };
            let right = with(asking, Some(TOKEN));
            asking.accepted("the right token", &right);
            for (what, token) in [("a wrong token", Some(WRONG)), ("no token", None)] {
                let task = with(asking, token);
                asking.refused(what, &task, &LOGIN);
            }
        },
    );
}

#[test]
fn a_server_is_believed_whose_authority_is_known() {
    let files = Certificates::new();
    let settings = |means: &Means| with(&[means.of_login(), files.shown_by_server("server")]);
    each_with(
        |means| means.tls,
        settings,
        |asking| {
            let right = asking.task(Some(files.trusting("ca")));
            asking.accepted("the right authority", &right);
            let insecure = Tls {
                insecure: true,
                ..Tls::default()
            };
            let task = asking.task(Some(insecure));
            asking.accepted("any authority", &task);
            for (what, tls) in [
                ("a foreign authority", files.trusting("foreign")),
                ("authorities of the system", Tls::default()),
            ] {
                let task = asking.task(Some(tls));
                asking.refused(what, &task, &AUTHORITY);
            }
            if asking.means.login {
                let mut task = right.clone();
                task.password = Some(WRONG.to_owned());
                asking.refused("a wrong password, encrypted", &task, &LOGIN);
            }
            let task = asking.task(None);
            asking.refused("no encryption", &task, &ANY);
        },
    );
}

#[test]
fn a_server_whose_certificate_has_expired_or_is_of_another_host_is_not_believed() {
    let files = Certificates::new();
    for (shown, words) in [("expired", &EXPIRED), ("elsewhere", &NAME)] {
        each_with(
            |means| means.tls,
            |_| files.shown_by_server(shown),
            |asking| {
                asking.means.login = false;
                let task = asking.task(Some(files.trusting("ca")));
                asking.refused(shown, &task, words);
                let insecure = Tls {
                    insecure: true,
                    ..Tls::default()
                };
                let task = asking.task(Some(insecure));
                asking.accepted("any certificate", &task);
            },
        );
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_it_or_says_so() {
    let files = Certificates::new();
    let settings = |_: &Means| with(&[files.shown_by_server("server"), files.asked_of_clients()]);
    each_with(
        |means| means.tls,
        settings,
        |asking| {
            asking.means.login = false;
            let task = asking.task(Some(files.showing("client")));
            asking.accepted("the right certificate", &task);
            let task = asking.task(Some(files.trusting("ca")));
            asking.refused("no certificate", &task, &CLIENT);
            let task = asking.task(Some(files.showing("stranger")));
            asking.refused("a certificate of a foreign authority", &task, &CLIENT);
        },
    );
}

#[test]
fn a_server_that_does_not_encrypt_is_told_from_one_that_cannot_be_believed() {
    let files = Certificates::new();
    each_with(
        |means| means.tls,
        |_| Config::new(),
        |asking| {
            asking.means.login = false;
            let task = asking.task(Some(files.trusting("ca")));
            asking.refused("a server in the clear", &task, &ENCRYPTION);
        },
    );
}

#[test]
fn a_scenario_names_files_that_lie_beside_it() {
    let files = Certificates::new();
    let settings = |_: &Means| with(&[files.shown_by_server("server"), files.asked_of_clients()]);
    each_with(
        |means| means.tls,
        settings,
        |asking| {
            let place = Place::new();
            fs::create_dir(place.path("of")).expect("a folder");
            files.copy_to(&place.path("of"));
            let ca = place.path("of/ca.pem");
            for (tls, system, code) in [
                ("ca: ca.pem, cert: client.pem, key: client.key", None, 0),
                ("cert: client.pem, key: client.key", Some(ca.as_path()), 0),
                ("ca: ca.pem", None, 3),
                ("ca: nothing.pem", None, 2),
            ] {
                let scenario = asking.scenario(&format!("tls: {{{tls}}}"));
                place.write("of/s.yaml", &scenario);
                let mut command = place.command(&["run", "of/s.yaml"]);
                command.env_remove("SSL_CERT_DIR");
                match system {
                    // By this the authorities of the system are named.
                    Some(file) => command.env("SSL_CERT_FILE", file),
                    None => command.env_remove("SSL_CERT_FILE"),
                };
                let ended = crate::program::ended(command);
                if ended.code != Some(code) || (code == 0 && !ended.out.contains("encrypted")) {
                    let Ended { code, out, err } = ended;
                    asking
                        .found
                        .push(format!("{tls} ended with {code:?}: {out}{err}"));
                }
            }
        },
    );
}

#[test]
fn secrets_are_in_nothing_that_a_run_says_or_keeps() {
    const VARIABLE: &str = "BROKER_SECRET";
    let login = |means: &Means| match means.login {
        true => means.of_login(),
        false => means.of_token(),
    };
    each_with(
        |means| means.login || means.token,
        login,
        |asking| {
            let (access, right) = match asking.means.login {
                true => (
                    format!("user: {USER}, password: '${{{VARIABLE}}}'"),
                    PASSWORD,
                ),
                false => (format!("token: '${{{VARIABLE}}}'"), TOKEN),
            };
            let scenario = asking.scenario(&access);
            for (secret, code) in [(right, 0), (WRONG, 3)] {
                let place = Place::new();
                place.write("s.yaml", &scenario);
                for arguments in [&["check", "s.yaml"][..], &["run", "s.yaml"]] {
                    let mut command = place.command(arguments);
                    command.env(VARIABLE, secret);
                    let ended = crate::program::ended(command);
                    let code = if arguments[0] == "check" { 0 } else { code };
                    let (out, err) = (&ended.out, &ended.err);
                    if ended.code != Some(code) {
                        let found =
                            format!("{arguments:?} ended with {:?}: {out}{err}", ended.code);
                        asking.found.push(found);
                    }
                    if out.contains(secret) || err.contains(secret) {
                        asking
                            .found
                            .push(format!("{arguments:?} says a secret: {out}{err}"));
                    }
                }
                let told = files_with(&place.path(""), secret);
                asking
                    .found
                    .extend(told.iter().map(|file| format!("a secret is in {file}")));
                if !place.path("results/latest/results.json").is_file() {
                    asking.found.push("no results to look into".to_owned());
                }
            }
        },
    );
}

/// Files below a folder that contain a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_with(&path, text));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_text_in_a_file_of_a_folder_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("a")).expect("a folder");
    fs::write(folder.path().join("a/b"), b"\xff123\x00").expect("written");
    assert_eq!(files_with(folder.path(), "123").len(), 1);
    assert_eq!(files_with(folder.path(), "1234").len(), 0);
}
