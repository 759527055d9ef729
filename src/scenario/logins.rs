//! The logins of a scenario that is stored with a result: of all that the text asks for, the one part that the
//! result does not hold.

use crate::terminal::diagnostic::Diagnostic;

use super::brokers::{self, BrokerEntry};
use super::load::put_in;
use super::overrides::{Overrides, apply, as_map};
use super::secret::Environment;
use super::source::{Braces, Source};
use super::tree::{self, Value};
use super::words;

/// The entries with these labels, with what the environment gives now. `set` is what `--set` changed in the text.
/// An entry that the text does not have was added on the command line, and has no login.
///
/// # Errors
/// A variable that is not set, and whatever makes the text no scenario any more.
pub fn logins(
    name: &str,
    text: &str,
    set: &[String],
    labels: &[&str],
    environment: Environment,
) -> Result<Vec<BrokerEntry>, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = Source::new(name, text);
    let mut root = tree::read(text, 0, &Braces::for_text(text))
        .map_err(|error| vec![source.error(error.at, format!("not YAML: {}", error.message))])?;
    let overrides = Overrides {
        set: set.to_vec(),
        ..Overrides::default()
    };
    apply(&mut root, &overrides, &mut source)?;
    let Value::Map(settings) = &mut root.value else {
        return Ok(Vec::new());
    };
    // What else the text says was resolved when the plan was made.
    settings.retain(|setting| setting.key == "brokers");
    let Some(brokers) = settings.first_mut().map(|setting| &mut setting.node) else {
        return Ok(Vec::new());
    };
    as_map(brokers);
    if let Value::Map(entries) = &mut brokers.value {
        entries.retain(|entry| labels.contains(&entry.key.as_str()));
    }
    put_in(&mut root, &mut source, environment)?;
    let entries = root
        .get("brokers")
        .map(|brokers| brokers::read_all(&brokers.node));
    entries.unwrap_or(Ok(Vec::new())).map_err(|faults| {
        let faults = faults.iter();
        faults
            .map(|fault| words::diagnostic(fault, &root, &source))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
brokers:
  nats:
  mine: {driver: nats, url: \"nats://h:1\", user: me, password: ${NATS_PASSWORD}}
  whole: {driver: redis-streams, url: ${REDIS_URL}}
workload: {load: {rate: ${RATE}}, message: {payload: {file: gone.json}}}
";

    fn environment(name: &str) -> Option<String> {
        match name {
            "NATS_PASSWORD" => Some("hunter2".to_owned()),
            "REDIS_URL" => Some("redis://you:secret@h:2".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn logins_come_from_the_environment_and_nothing_else_of_the_text_matters() {
        let found = logins(
            "s.yaml",
            TEXT,
            &[],
            &["mine", "whole", "added"],
            &environment,
        )
        .unwrap();
        let [mine, whole] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(mine.user.as_deref(), Some("me"));
        assert_eq!(
            mine.password.as_ref().map(|it| it.reveal()),
            Some("hunter2")
        );
        assert_eq!(whole.url.as_deref(), Some("redis://h:2"));
        assert_eq!(
            whole.password.as_ref().map(|it| it.reveal()),
            Some("secret")
        );
    }

    #[test]
    fn a_variable_that_is_not_set_any_more_is_named() {
        let errors = logins("s.yaml", TEXT, &[], &["mine"], &|_| None).unwrap_err();
        assert_eq!(errors.len(), 1, "that of another entry is not missed");
        assert!(
            errors[0].message.contains("`NATS_PASSWORD` is not set"),
            "{errors:?}"
        );
        let set = ["brokers.mine.password=${OTHER}".to_owned()];
        let errors = logins("s.yaml", TEXT, &set, &["mine"], &environment).unwrap_err();
        assert!(errors[0].message.contains("`OTHER`"), "{errors:?}");
    }

    #[test]
    fn a_text_that_is_no_scenario_is_refused_or_has_no_logins() {
        assert!(logins("s", "brokers: {", &[], &["mine"], &environment).is_err());
        for text in ["", "[]", "name: x", "brokers: [nats]"] {
            assert_eq!(
                logins("s", text, &[], &["mine"], &environment),
                Ok(Vec::new()),
                "{text}"
            );
        }
    }
}
