//! What the command line changes in a scenario before it is read.

use crate::terminal::diagnostic::Diagnostic;

use super::brokers::listed;
use super::source::{Braces, Place, Source};
use super::tree::{self, Entry, Node, Value};

/// What was asked for on the command line, besides the scenario itself.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--set key=value`, in order.
    pub set: Vec<String>,
    /// `--broker`: the only entries to run, or drivers to add.
    pub brokers: Vec<String>,
    /// `--trials`.
    pub trials: Option<u32>,
    /// `--quick`.
    pub quick: bool,
}

impl Overrides {
    /// Whether the command line gives this key a value, or something that it is in: `phases` with `phases.drain`.
    pub fn sets(&self, key: &str) -> bool {
        let holds = |named: &str| {
            let rest = key.strip_prefix(named.trim());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut set = self.set.iter().filter_map(|text| text.split_once('='));
        key == "trials" && self.trials.is_some() || set.any(|(named, _)| holds(named))
    }
}

/// Applies `--set` and `--trials` to the tree.
pub fn apply(
    root: &mut Node,
    overrides: &Overrides,
    source: &mut Source,
) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for text in &overrides.set {
        if let Err(error) = set(root, text, source) {
            errors.push(error);
        }
    }
    if let Some(trials) = overrides.trials {
        let number = source.add_flag("--trials", &trials.to_string());
        let at = Place {
            source: number,
            ..Place::START
        };
        let node = Node::new(Value::Whole(trials.into()), at);
        put(root, &[("trials".to_owned(), at)], node).map_err(|_| Vec::new())?;
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn set(root: &mut Node, text: &str, source: &mut Source) -> Result<(), Diagnostic> {
    let number = source.add_flag("--set", text);
    let place = |start: usize, length: usize| Place {
        source: number,
        line: 1,
        column: u32::try_from(start + 1).unwrap_or(u32::MAX),
        width: u32::try_from(length.max(1)).unwrap_or(u32::MAX),
    };
    let Some((path, value)) = text.split_once('=') else {
        return Err(source
            .error(
                place(0, text.chars().count()),
                "--set takes a key and a value",
            )
            .label("no `=` here")
            .help("for example `--set workload.load.rate=10k/s`"));
    };
    let mut segments = Vec::new();
    let mut column = 0;
    for segment in path.split('.') {
        let length = segment.chars().count();
        if segment.trim().is_empty() {
            return Err(source
                .error(place(column, length), "--set has an empty key")
                .help("for example `--set workload.load.rate=10k/s`"));
        }
        segments.push((segment.trim().to_owned(), place(column, length)));
        column += length + 1;
    }
    let braces = Braces::for_text(value);
    let mut node = tree::read(value, number, &braces).map_err(|error| {
        let mut at = error.at;
        shift(&mut at, column);
        source.error(at, format!("--set: {}", error.message))
    })?;
    move_right(&mut node, column);
    if node.value == Value::Null {
        node.at = place(column, value.chars().count());
    }
    put(root, &segments, node)
        .map_err(|(at, message)| source.error(at, format!("--set: {message}")))
}

/// Values were read apart from the key before them.
fn shift(at: &mut Place, columns: usize) {
    if at.line == 1 {
        at.column = at
            .column
            .saturating_add(u32::try_from(columns).unwrap_or(u32::MAX));
    }
}

fn move_right(node: &mut Node, columns: usize) {
    shift(&mut node.at, columns);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| move_right(item, columns)),
        Value::Map(entries) => {
            for entry in entries {
                shift(&mut entry.key_at, columns);
                move_right(&mut entry.node, columns);
            }
        }
        _ => {}
    }
}

/// Puts a value under a path; maps that are missing on the way are made, and a scalar on the way
/// (`load: max`) gives way to a map.
fn put(root: &mut Node, path: &[(String, Place)], value: Node) -> Result<(), (Place, String)> {
    let Some(((key, at), rest)) = path.split_first() else {
        *root = value;
        return Ok(());
    };
    if let Value::List(items) = &mut root.value {
        let length = items.len();
        let Some(item) = key.parse::<usize>().ok().and_then(|i| items.get_mut(i)) else {
            return Err((
                *at,
                format!("`{key}` is no item of a list of {length}, which are numbered from 0"),
            ));
        };
        return put(item, rest, value);
    }
    if !matches!(root.value, Value::Map(_)) {
        *root = Node::new(Value::Map(Vec::new()), *at);
    }
    let Value::Map(entries) = &mut root.value else {
        return Ok(());
    };
    match entries.iter_mut().find(|entry| entry.key == *key) {
        Some(entry) => {
            if rest.is_empty() {
                entry.key_at = *at;
            }
            if key == "brokers" && !rest.is_empty() {
                as_map(&mut entry.node);
            }
            put(&mut entry.node, rest, value)
        }
        None => {
            let mut node = Node::new(Value::Null, *at);
            put(&mut node, rest, value)?;
            entries.push(Entry {
                key: key.clone(),
                key_at: *at,
                node,
            });
            Ok(())
        }
    }
}

/// Turns a list of brokers into the map that says the same; leaves one that is wrong for the reader
/// of brokers to refuse.
pub fn as_map(brokers: &mut Node) {
    if let Value::List(items) = &brokers.value {
        let entries: Result<Vec<Entry>, _> = items.iter().map(listed).collect();
        if let Ok(entries) = entries {
            brokers.value = Value::Map(entries);
        }
    }
}
