//! Reads a scenario, from its reference on the command line to its meaning.

use std::path::Path;

use crate::terminal::diagnostic::Diagnostic;

use super::brokers::{self, BrokerEntry};
use super::decode::{Fault, decode};
use super::document::{Document, LoadDocument};
use super::model::Scenario;
use super::overrides::{Overrides, apply, as_map};
use super::placement::Placement;
use super::quick::shorten;
use super::resolve::{Resolved, resolve};
use super::secret::{Environment, Unset, expand};
use super::source::{Braces, Place, Source};
use super::threshold::Threshold;
use super::tree::{self, Node, Value};
use super::unsupported::unsupported;
use super::validate::validate;
use super::{builtin, search, words};

/// Reads a file or a built-in scenario, with the process's own environment.
pub fn load(reference: &str, overrides: &Overrides) -> Result<Scenario, Vec<Diagnostic>> {
    let (name, text) = builtin::find(reference).map_err(|error| vec![error])?;
    parse(&name, &text, overrides, &|variable| {
        std::env::var(variable).ok()
    })
}

/// Reads the text of a scenario. `name` is what errors call it; relative paths start from its folder.
pub fn parse(
    name: &str,
    text: &str,
    overrides: &Overrides,
    environment: Environment,
) -> Result<Scenario, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = Source::new(name, text);
    let mut root = tree::read(text, 0, &Braces::for_text(text))
        .map_err(|error| {
            let refused = source.error(error.at, format!("not YAML: {}", error.message));
            vec![refused.help(match error.message.starts_with("duplicate") {
                true => "keep one; each of several entries of one driver needs a name of its own: `{fast: {driver: …}}`",
                false => "look for a missing bracket, quote or space above this place",
            })]
        })?;
    if !matches!(root.value, Value::Map(_)) {
        let found = match root.value {
            Value::Null => "the scenario is empty".to_owned(),
            _ => format!("a scenario is a map, not {}", root.kind()),
        };
        let at = Place::START;
        return Err(vec![source.error(at, found).help(
            "`mqbench init` writes one to begin with; the shortest is `{brokers: [nats], workload: {load: max}}`",
        )]);
    }
    apply(&mut root, overrides, &mut source)?;
    if let Value::Map(entries) = &mut root.value
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "brokers")
    {
        as_map(&mut entry.node);
    }
    put_in(&mut root, &mut source, environment)?;
    Reading {
        name,
        root,
        source,
        overrides,
    }
    .finish()
}

/// Puts in what the environment has, after a look for secrets that should come from there.
pub(super) fn put_in(
    root: &mut Node,
    source: &mut Source,
    environment: Environment,
) -> Result<(), Vec<Diagnostic>> {
    let mut errors = refuse_written_secrets(root, source);
    let mut unset = Vec::new();
    expand(root, environment, &mut unset);
    errors.extend(unset.iter().map(|unset| not_set(unset, source)));
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

fn not_set(unset: &Unset, source: &Source) -> Diagnostic {
    let variable = &unset.variable;
    source
        .error(
            unset.at,
            format!("the environment variable `{variable}` is not set"),
        )
        .help(format!(
            "set it: `export {variable}=…`; or write `$${{{variable}}}` if the text itself is meant"
        ))
}

/// Passwords and tokens come from the environment: the scenario's text is stored with the results.
fn refuse_written_secrets(root: &Node, source: &mut Source) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let brokers = root.get("brokers").map(|brokers| brokers.node.entries());
    for setting in brokers.into_iter().flatten().flat_map(|b| b.node.entries()) {
        let Some(text) = setting.node.text() else {
            continue;
        };
        if setting.key == "url" && brokers::hides_login(text) {
            // What is wrong with it is said when it is understood; it may not be shown then.
            source.mask(setting.node.at);
        }
        let secret = match setting.key.as_str() {
            "password" | "token" => Some(text),
            "url" => brokers::split_userinfo(text).2,
            _ => None,
        };
        let Some(secret) = secret else { continue };
        let variable = secret
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(|name| !name.contains(['$', '{', '}']));
        if !variable {
            source.mask(setting.node.at);
            found.push((setting.key.clone(), setting.node.at));
        }
    }
    found
        .into_iter()
        .map(|(key, at)| {
            let what = if key == "url" {
                "the password in a URL".to_owned()
            } else {
                format!("a {key}")
            };
            source
                .error(at, format!("{what} must come from the environment"))
                .label("the scenario's text is stored with every result")
                .help(match key.as_str() {
                    "url" => "write `user: …` and `password: ${MQBENCH_PASSWORD}` beside the `url`"
                        .to_owned(),
                    key => format!(
                        "write `{key}: ${{MQBENCH_{0}}}` and `export MQBENCH_{0}=…`",
                        key.to_uppercase()
                    ),
                })
        })
        .collect()
}

struct Reading<'a> {
    name: &'a str,
    root: Node,
    source: Source,
    overrides: &'a Overrides,
}

impl Reading<'_> {
    fn finish(self) -> Result<Scenario, Vec<Diagnostic>> {
        let (document, mut entries) = self.document()?;
        let refused = unsupported(&document);
        if !refused.is_empty() {
            let refuse = |it: super::unsupported::Unsupported| {
                self.source
                    .error(
                        self.root.place(&it.path),
                        format!("`{}` is not supported yet", it.setting),
                    )
                    .help(it.instead)
            };
            return Err(refused.into_iter().map(refuse).collect());
        }
        let folder = Path::new(self.name)
            .parent()
            .filter(|f| *f != Path::new(""));
        if let Some(folder) = folder {
            let encrypted = entries.iter_mut().filter_map(|entry| entry.tls.as_mut());
            encrypted.for_each(|tls| tls.resolve_paths(folder));
        }
        let objective = self.objective(&document)?;
        let resolved = resolve(&document, folder, objective).map_err(|unresolved| {
            let error = |it: super::resolve::Unresolved| {
                self.source
                    .error(self.root.place(it.path), it.message)
                    .help(it.help)
            };
            unresolved.into_iter().map(error).collect::<Vec<_>>()
        })?;
        let thresholds = self.thresholds(&document)?;
        let mut scenario = self.scenario(document, entries, resolved, thresholds);
        let errors = validate(&scenario);
        if !errors.is_empty() {
            return Err(errors);
        }
        select(&mut scenario, &self.overrides.brokers);
        if self.overrides.quick {
            shorten(&mut scenario, self.overrides);
        }
        Ok(scenario)
    }

    /// The grammar's types, or every fault that can be told apart: what is wrong under one key is set
    /// aside, and the rest is read on.
    fn document(&self) -> Result<(Document, Vec<BrokerEntry>), Vec<Diagnostic>> {
        let mut faults: Vec<Fault> = Vec::new();
        let entries = match self.root.get("brokers").map(|b| brokers::read_all(&b.node)) {
            Some(Ok(entries)) => entries,
            Some(Err(found)) => {
                let at = self.root.place("brokers");
                faults.extend(found.into_iter().map(|fault| Fault {
                    at: fault.at.or(Some(at)),
                    ..fault
                }));
                Vec::new()
            }
            None => Vec::new(),
        };
        let mut root = self.root.clone();
        let document = loop {
            let fault = match decode::<Document>(&root) {
                Ok(document) => break Some(document),
                Err(fault) => fault,
            };
            let path = fault.at.and_then(|at| words::path_of(&root, at));
            faults.push(fault);
            if !path.is_some_and(|path| set_aside(&mut root, &path)) {
                break None;
            }
        };
        match document {
            Some(document) if faults.is_empty() => Ok((document, entries)),
            _ => {
                let diagnostic = |fault: &Fault| words::diagnostic(fault, &self.root, &self.source);
                let mut errors: Vec<Diagnostic> = faults.iter().map(diagnostic).collect();
                // What is missing only because it was set aside is no error of its own.
                let aside =
                    |error: &Diagnostic| error.message.ends_with("is missing") && errors.len() > 1;
                let kept = errors.iter().map(|error| !aside(error)).collect::<Vec<_>>();
                let mut kept = kept.into_iter();
                errors.retain(|_| kept.next().unwrap_or(true));
                errors.sort_by_key(|error| {
                    let place = error.excerpt.as_ref();
                    place.map(|it| (it.line.is_none(), it.line, it.column))
                });
                Err(errors)
            }
        }
    }

    fn thresholds(&self, document: &Document) -> Result<Vec<Threshold>, Vec<Diagnostic>> {
        let mut read = Vec::new();
        let mut errors = Vec::new();
        for (number, written) in document.thresholds.iter().flatten().enumerate() {
            let path = match &written.broker {
                Some(broker) => format!("thresholds.{number}.{broker}"),
                None => format!("thresholds.{number}"),
            };
            match self.condition(&path, &written.text) {
                Ok(threshold) if written.broker.is_some() => read.push(Threshold {
                    broker: written.broker.clone(),
                    ..threshold
                }),
                Ok(threshold) => read.push(threshold),
                Err(error) => errors.push(*error),
            }
        }
        if errors.is_empty() {
            Ok(read)
        } else {
            Err(errors)
        }
    }

    /// What a search looks for, if there is one.
    fn objective(&self, document: &Document) -> Result<Option<Threshold>, Vec<Diagnostic>> {
        let Some(LoadDocument::Map(map)) = &document.workload.load else {
            return Ok(None);
        };
        let Some(text) = &map.search else {
            return Ok(None);
        };
        let path = "workload.load.search";
        let condition = self.condition(path, text).map_err(|error| vec![*error])?;
        match search::unfit(&condition) {
            None => Ok(Some(condition)),
            Some((message, help)) => {
                let error = self.source.error(self.root.place(path), message);
                Err(vec![error.help(help)])
            }
        }
    }

    /// Reads the condition that stands under a path.
    fn condition(&self, path: &str, text: &str) -> Result<Threshold, Box<Diagnostic>> {
        let error = match text.parse::<Threshold>() {
            Ok(threshold) => return Ok(threshold),
            Err(error) => error,
        };
        let mut at = self.root.place(path);
        let (start, length) = error.span;
        // Quotes come before the text and are part of the place.
        let exact = (at.width as usize) == text.chars().count();
        if exact && length > 0 {
            at.column = at.column.saturating_add(u32::try_from(start).unwrap_or(0));
            at.width = u32::try_from(length).unwrap_or(1);
        }
        let node = self.root.at_place(self.root.place(path));
        let message = match node {
            Some(node) if node.from_environment => {
                "what the environment gives is no condition".to_owned()
            }
            _ => error.message,
        };
        let diagnostic = self.source.error(at, message);
        Err(Box::new(match error.label {
            Some(label) => diagnostic.label(label),
            None => diagnostic,
        }))
    }

    fn scenario(
        &self,
        document: Document,
        brokers: Vec<BrokerEntry>,
        resolved: Resolved,
        thresholds: Vec<Threshold>,
    ) -> Scenario {
        let stem = Path::new(self.name.trim_end_matches(" (built in)"))
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        Scenario {
            name: document.name.or(stem).unwrap_or_else(|| "scenario".into()),
            description: document.description.unwrap_or_default(),
            brokers,
            workload: resolved.workload,
            sweep: resolved.sweep,
            search: resolved.search,
            phases: resolved.phases,
            trials: resolved.trials,
            thresholds,
            seed: document.seed,
            disturbed: resolved.disturbed,
            placement: Placement::of(document.cores, document.limits),
            rank_unequal: document.rank_unequal.unwrap_or(false),
            // What was typed is meant.
            skip_missing: document.skip_missing.unwrap_or(false)
                && self.overrides.brokers.is_empty(),
            defaults: resolved.defaults,
            quick: Vec::new(),
            source: self.source.clone(),
            tree: self.root.clone(),
        }
    }
}

/// Removes what stands under a path, or the whole key at the top of it; whether there was any.
fn set_aside(root: &mut Node, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Value::Map(entries) = &mut root.value else {
        return false;
    };
    let Some(index) = entries.iter().position(|entry| entry.key == first) else {
        return false;
    };
    if rest.is_empty() || !set_aside(&mut entries[index].node, rest) {
        entries.remove(index);
    }
    true
}

/// Keeps the entries named by `--broker`, in that order; a name that no entry has adds an entry that
/// is nothing but the driver of that name. Thresholds on brokers that do not run go with them.
fn select(scenario: &mut Scenario, wanted: &[String]) {
    let mut selected: Vec<BrokerEntry> = Vec::new();
    let names = wanted.iter().flat_map(|names| names.split(','));
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        if selected.iter().any(|broker| broker.label == name) {
            continue;
        }
        let entry = scenario.brokers.iter().find(|broker| broker.label == name);
        selected.push(entry.cloned().unwrap_or_else(|| {
            let number = scenario.source.add_flag("--broker", name);
            let at = Place {
                source: number,
                width: u32::try_from(name.chars().count()).unwrap_or(1),
                ..Place::START
            };
            BrokerEntry::named(name, at)
        }));
    }
    if selected.is_empty() {
        return;
    }
    scenario.brokers = selected;
    let brokers = &scenario.brokers;
    scenario.thresholds.retain(|threshold| {
        let broker = threshold.broker.as_ref();
        broker.is_none_or(|label| brokers.iter().any(|broker| broker.label == *label))
    });
}
