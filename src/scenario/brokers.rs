//! The entries of `brokers`: what is common to all drivers, and the rest for the plan to judge.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::decode::{Fault, FaultKind, decode};
use super::document::BrokerDocument;
use super::secret::Secret;
use super::source::Place;
use super::tree::{Entry, Node, Value};
use super::units::Rate;
use super::workload::{Delivery, Durability, Workload};

/// One broker of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerEntry {
    /// As the results name it.
    pub label: String,
    /// The driver's name.
    pub driver: String,
    /// Where the driver is named.
    pub driver_at: Place,
    /// A broker that runs already, without user and password.
    pub url: Option<String>,
    /// User at the broker.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A token instead of both.
    pub token: Option<Secret>,
    /// Encryption.
    pub tls: Option<Tls>,
    /// An existing destination.
    pub destination: Option<String>,
    /// The most that may be sent to it.
    pub max_rate: Option<Rate>,
    /// The private instance, where the scenario says something of it.
    pub managed: Option<Managed>,
    /// The server's program.
    pub binary: Option<String>,
    /// What is asked of it instead of the workload's.
    pub delivery: Option<Delivery>,
    /// What is asked of it instead of the workload's.
    pub durability: Option<Durability>,
    /// Everything else: options of the driver, not judged yet.
    pub options: Vec<BrokerOption>,
    /// Where the entry's name stands.
    pub at: Place,
}

/// Encryption of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// File with the authority that signed the broker's certificate.
    pub ca: Option<String>,
    /// File with the client's certificate.
    pub cert: Option<String>,
    /// File with the client's key.
    pub key: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

impl Tls {
    /// Paths start from the scenario's folder.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let files = [&mut self.ca, &mut self.cert, &mut self.key];
        for file in files.into_iter().flatten() {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
    }
}

/// A private instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Managed {
    /// Members of the cluster.
    pub nodes: u32,
    /// Settings of the server in its own words.
    pub settings: BTreeMap<String, String>,
}

/// An option of a driver, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerOption {
    /// Its name.
    pub name: String,
    /// Its value, with places.
    pub value: Node,
    /// Where its name stands.
    pub at: Place,
}

/// The keys that every entry takes, whatever its driver.
pub const COMMON_KEYS: &[&str] = &[
    "driver",
    "url",
    "user",
    "password",
    "token",
    "tls",
    "destination",
    "max_rate",
    "managed",
    "binary",
    "delivery",
    "durability",
];

/// What stands under a key of `brokers`, or a name in its list.
pub fn read_all(brokers: &Node) -> Result<Vec<BrokerEntry>, Vec<Fault>> {
    let entries: Vec<Entry> = match &brokers.value {
        Value::Map(entries) => entries.clone(),
        Value::List(items) => {
            let entries: Result<Vec<Entry>, Fault> = items.iter().map(listed).collect();
            entries.map_err(|fault| vec![fault])?
        }
        _ => {
            return Err(vec![Fault {
                at: None,
                kind: FaultKind::Unexpected {
                    found: match brokers.text() {
                        Some(text) => format!("`{text}`"),
                        None => brokers.kind().to_owned(),
                    },
                    expected: "a list such as `[nats, redis-streams]`, or a map".into(),
                },
            }]);
        }
    };
    let mut read = Vec::new();
    let mut faults = Vec::new();
    for entry in &entries {
        match read_entry(entry) {
            Ok(broker) => read.push(broker),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(faults)
    }
}

impl BrokerEntry {
    /// What this broker is asked for: its own wish, or the workload's.
    pub fn asked(&self, workload: &Workload) -> (Delivery, Durability) {
        (
            self.delivery.unwrap_or(workload.delivery),
            self.durability.unwrap_or(workload.durability),
        )
    }

    /// An entry that says nothing but its name, which is its driver's too.
    pub fn named(name: &str, at: Place) -> Self {
        BrokerEntry {
            label: name.to_owned(),
            driver: name.to_owned(),
            driver_at: at,
            url: None,
            user: None,
            password: None,
            token: None,
            tls: None,
            destination: None,
            max_rate: None,
            managed: None,
            binary: None,
            delivery: None,
            durability: None,
            options: Vec::new(),
            at,
        }
    }
}

/// A URL without its user and password, and those two: `kafka://user:password@host`.
pub fn split_userinfo(url: &str) -> (String, Option<&str>, Option<&str>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None, None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return (url.to_owned(), None, None);
    };
    let bare = format!("{scheme}://{}", &rest[at + 1..]);
    match rest[..at].split_once(':') {
        Some((user, password)) => (bare, Some(user), Some(password)),
        None => (bare, Some(&rest[..at]), None),
    }
}

/// Whether something behind the host of a URL looks like a login: a password with a `/` that is written as
/// it is ends the host before the `@`.
pub fn hides_login(url: &str) -> bool {
    split_userinfo(url).0.contains('@')
}

/// A part of a URL with its escapes (`%40`) taken out.
fn decoded(part: &str) -> String {
    let hex = |digits: &[u8]| {
        let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
        u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (bytes, mut out, mut at) = (part.as_bytes(), Vec::with_capacity(part.len()), 0);
    while at < bytes.len() {
        let escaped = match bytes[at] {
            b'%' => bytes.get(at + 1..at + 3).and_then(hex),
            _ => None,
        };
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| part.to_owned())
}

/// An item of a list: a name, or a map of one entry.
pub(super) fn listed(item: &Node) -> Result<Entry, Fault> {
    match (item.text(), item.entries()) {
        (Some(name), _) => Ok(Entry {
            key: name.to_owned(),
            key_at: item.at,
            node: Node::new(Value::Null, item.at),
        }),
        (None, [entry]) => Ok(entry.clone()),
        _ => Err(Fault {
            at: Some(item.at),
            kind: FaultKind::Unexpected {
                found: item.kind().to_owned(),
                expected: "the name of a broker, or `name: {…}`".into(),
            },
        }),
    }
}

fn read_entry(entry: &Entry) -> Result<BrokerEntry, Fault> {
    let at = entry.key_at;
    let (common, options): (Vec<Entry>, Vec<Entry>) = match &entry.node.value {
        Value::Null => (Vec::new(), Vec::new()),
        Value::Map(entries) => entries
            .iter()
            .cloned()
            .partition(|entry| COMMON_KEYS.contains(&entry.key.as_str())),
        _ => {
            return Err(Fault {
                at: Some(entry.node.at),
                kind: FaultKind::Unexpected {
                    found: entry.node.kind().to_owned(),
                    expected: format!("settings of `{0}`, as in `{0}: {{…}}`", entry.key),
                },
            });
        }
    };
    let common = Node::new(Value::Map(common), at);
    let document: BrokerDocument = decode(&common)?;
    let mut broker = BrokerEntry {
        driver: document.driver.unwrap_or_else(|| entry.key.clone()),
        driver_at: common.get("driver").map_or(at, |driver| driver.node.at),
        user: document.user,
        password: document.password.map(Secret::new),
        token: document.token.map(Secret::new),
        tls: document.tls.map(|tls| Tls {
            ca: tls.ca,
            cert: tls.cert,
            key: tls.key,
            insecure: tls.insecure.unwrap_or(false),
        }),
        destination: document.destination,
        max_rate: document.max_rate,
        managed: document.managed.map(|managed| Managed {
            nodes: managed.nodes.unwrap_or(1),
            settings: managed.settings,
        }),
        binary: document.binary,
        delivery: document.delivery,
        durability: document.durability,
        options: options
            .into_iter()
            .map(|entry| BrokerOption {
                name: entry.key,
                at: entry.key_at,
                value: entry.node,
            })
            .collect(),
        ..BrokerEntry::named(&entry.key, at)
    };
    // A URL from the environment may hold user and password; it is printed and stored without them.
    if let Some(url) = &document.url {
        let (bare, user, password) = split_userinfo(url);
        broker.user = broker.user.or_else(|| user.map(decoded));
        let password = password.map(|password| Secret::new(decoded(password)));
        broker.password = broker.password.or(password);
        broker.url = Some(bare);
    }
    Ok(broker)
}
