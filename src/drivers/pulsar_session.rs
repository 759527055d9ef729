//! One trial on Pulsar: its topics and subscriptions, made and removed through the REST API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, join_all, try_join_all};
use serde_json::Value;

use super::losses::Losses;
use super::pulsar_address::Address;
use super::pulsar_consumer::PulsarConsumer;
use super::pulsar_frames::Greeting;
use super::pulsar_publisher::PulsarPublisher;
use super::pulsar_socket::{Answer, Login, greet, plain, request};
use super::target::Endpoint;
use super::{Consumer, DriverError, Publisher, Session};
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

const UNVERIFIED: &str = "unverified";
/// What is known of encryption beyond that there is some: it costs more than in other clients.
const RELAYED: (&str, &str) = (
    "encryption",
    "by mqbench, between the client library and the server",
);

/// A task, and what it means for Pulsar.
pub struct Trial {
    pub task: Task,
    pub address: Address,
    /// The broker that answered.
    pub broker: Endpoint,
    pub login: Login,
    pub persistent: bool,
    /// How many subscriptions the library has made again after it lost their connection.
    pub again: AtomicU64,
    /// Connections that the library gave up, and others that were made in their place.
    pub losses: Losses,
}

/// Asks the broker what it is, checks what was asked, and makes the topics.
pub async fn prepare(task: &Task) -> Result<Box<dyn Session>, DriverError> {
    let (trial, greeting) = connect(task).await?;
    let mut facts = vec![("version".to_owned(), version(&greeting.version))];
    if let Some(largest) = greeting.largest {
        facts.push(("maxMessageSize".to_owned(), largest.to_string()));
    }
    if trial.address.tls.is_some() {
        let (key, value) = RELAYED;
        facts.push((key.to_owned(), value.to_owned()));
    }
    check(&trial, &greeting)?;
    let trial = Arc::new(trial);
    let admin = Admin(Arc::clone(&trial));
    facts.extend(admin.facts().await?);
    let session = PulsarSession { trial, facts };
    if let Err(error) = admin.make().await {
        // What was made so far would stay; the error is what the user must hear.
        let _ = admin.remove().await;
        return Err(error);
    }
    Ok(Box::new(session))
}

/// Finds the first broker that answers.
async fn connect(task: &Task) -> Result<(Trial, Greeting), DriverError> {
    let address = Address::of(task)?;
    let doing = format!("connect to {}", address.shown);
    let wrong = |cause: &str| DriverError {
        doing: doing.clone(),
        cause: cause.to_owned(),
    };
    let login = match (&task.token, &task.user, &address.login) {
        (Some(token), _, _) => Login::Token(token.clone()),
        (None, Some(user), _) => Login::Basic {
            user: user.clone(),
            password: task.password.clone().unwrap_or_default(),
        },
        (None, None, Some((user, password))) => Login::Basic {
            user: user.clone(),
            password: password.clone(),
        },
        // A server that does not ask who comes does not look at it.
        (None, None, None) => match &address.tls {
            Some(tls) if tls.cert.is_some() => Login::Certificate,
            _ => Login::Nobody,
        },
    };
    let mut cause = String::new();
    for broker in address.brokers.clone() {
        match greet(&broker, &login, address.tls.as_ref()).await {
            Ok(greeting) => {
                let persistent = is_persistent(task);
                let trial = Trial {
                    task: task.clone(),
                    address,
                    broker,
                    login,
                    persistent,
                    again: AtomicU64::new(0),
                    losses: Losses::default(),
                };
                return Ok((trial, greeting));
            }
            Err(why) => cause = why,
        }
    }
    Err(wrong(&cause))
}

/// As it was asked for; otherwise what gives no more than the guarantee, but nothing else than bookies
/// keeps a backlog.
fn is_persistent(task: &Task) -> bool {
    match task.text("topic") {
        Some(topic) => topic == "persistent",
        None => {
            let least = (task.delivery, task.durability);
            least != (Delivery::AtMostOnce, Durability::Memory)
                || task.workload.pattern == Pattern::Backlog
        }
    }
}

/// The number in what a broker says of its version.
fn version(said: &str) -> String {
    let number = said.find(|c: char| c.is_ascii_digit());
    number.map_or(said, |at| &said[at..]).to_owned()
}

/// Refuses what cannot work, before anything is made.
fn check(trial: &Trial, greeting: &Greeting) -> Result<(), DriverError> {
    let Trial { task, address, .. } = trial;
    let refuse = |doing: String, cause: String| Err(DriverError { doing, cause });
    let largest = task.workload.message.largest();
    match greeting.largest {
        Some(limit) if largest > limit => {
            return refuse(
                format!("send messages of {largest} bytes to {}", address.shown),
                format!("the server takes at most {limit} (its maxMessageSize)"),
            );
        }
        _ => {}
    }
    let kept = task.delivery > Delivery::AtMostOnce || task.durability > Durability::Memory;
    if !trial.persistent && (kept || task.workload.pattern == Pattern::Backlog) {
        return refuse(
            "use non-persistent topics".to_owned(),
            "they give at-most-once in memory and keep no backlog: leave out `topic`, or ask for less"
                .to_owned(),
        );
    }
    let needs_alone = matches!(task.text("subscription"), Some("exclusive"));
    if needs_alone && task.workload.consumers > task.workload.destinations {
        return refuse(
            "subscribe several consumers of a group to one topic".to_owned(),
            "an exclusive subscription takes one: use `subscription: shared`, or more destinations"
                .to_owned(),
        );
    }
    if task.text("subscription") == Some("key-shared") {
        if task.workload.message.keys == 0 {
            return refuse(
                "share subscriptions by key".to_owned(),
                "the messages have none: set `workload.message.keys`".to_owned(),
            );
        }
        if task.flag("batching") {
            return refuse(
                "share subscriptions by key".to_owned(),
                "the client library puts several keys into a batch: use `batching: false`"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

impl Trial {
    pub fn namespace(&self) -> &str {
        self.task.text("namespace").unwrap_or("public/default")
    }

    fn domain(&self) -> &'static str {
        if self.persistent {
            "persistent"
        } else {
            "non-persistent"
        }
    }

    /// The whole name of a topic.
    pub fn topic(&self, destination: &str) -> String {
        format!("{}://{}/{destination}", self.domain(), self.namespace())
    }

    pub fn partitions(&self) -> u64 {
        self.task.count("partitions").unwrap_or(0)
    }

    /// Of this trial alone, as an existing topic may have others.
    pub fn subscription(&self, group: u32) -> String {
        let Task { run_id, trial, .. } = &self.task;
        format!("mqbench-{run_id}-{trial}-group-{group}")
    }

    fn subscriptions(&self) -> Vec<String> {
        let workload = &self.task.workload;
        let groups = if workload.consumers == 0 {
            0
        } else {
            workload.groups
        };
        (0..groups).map(|group| self.subscription(group)).collect()
    }
}

/// The REST API, for one trial.
struct Admin(Arc<Trial>);

impl Admin {
    /// One request; an answer that is not among those expected is an error with the server's reason.
    async fn ask(
        &self,
        doing: &str,
        method: &'static str,
        path: String,
        body: String,
        expected: &[u16],
    ) -> Result<Answer, DriverError> {
        let Trial { address, login, .. } = self.0.as_ref();
        let (at, tls) = (&address.admin.at, address.admin.tls.as_ref());
        let answer = request(at, login, tls, method, &path, &body).await;
        let at = address.admin.url();
        let wrong = |cause: String| DriverError {
            doing: format!("{doing} through the REST API of {}", address.shown),
            cause,
        };
        let answer = answer
            .map_err(|cause| wrong(format!("{at}: {cause} (`admin_url` says where it answers)")))?;
        if expected.contains(&answer.status) {
            return Ok(answer);
        }
        let said: Option<Value> = serde_json::from_str(&answer.body).ok();
        let reason = said.as_ref().and_then(|said| said["reason"].as_str());
        let reason = match (reason, answer.status) {
            (Some(reason), _) => plain(reason),
            (None, 401 | 403) => "it refuses the login".to_owned(),
            (None, status) => format!("status {status}"),
        };
        Err(wrong(format!("{at} answered: {reason}")))
    }

    fn path(&self, destination: &str) -> String {
        format!("{}/{}/{destination}", self.0.domain(), self.0.namespace())
    }

    /// Settings in force, as far as the broker tells them. Those of bookies it does not know.
    async fn facts(&self) -> Result<Vec<(String, String)>, DriverError> {
        let path = "brokers/configuration/runtime".to_owned();
        // Where only administrators may ask, the topics can be ours all the same.
        let answer = self
            .ask(
                "ask for settings",
                "GET",
                path,
                String::new(),
                &[200, 401, 403],
            )
            .await?;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let told = |key: &str| {
            let value = said[key].as_str().unwrap_or(UNVERIFIED);
            (key.to_owned(), value.to_owned())
        };
        let mut facts = vec![
            told("managedLedgerDefaultAckQuorum"),
            told("brokerDeduplicationEnabled"),
        ];
        if self.0.persistent {
            facts.push(("journalSyncData".to_owned(), UNVERIFIED.to_owned()));
        }
        Ok(facts)
    }

    /// Makes topics and subscriptions, so that nothing is sent before somebody is to get it.
    async fn make(&self) -> Result<(), DriverError> {
        let names = self.0.task.destination_names();
        let each = names.iter().map(|destination| self.make_one(destination));
        try_join_all(each).await.map(drop)
    }

    async fn make_one(&self, destination: &str) -> Result<(), DriverError> {
        let trial = &self.0;
        let foreign = trial.task.destination.is_some();
        let path = self.path(destination);
        if !foreign {
            let doing = format!("make the topic {destination}");
            let (path, body) = match trial.partitions() {
                0 => (path.clone(), String::new()),
                partitions => (format!("{path}/partitions"), partitions.to_string()),
            };
            self.ask(&doing, "PUT", path, body, &[204]).await?;
        }
        // Without bookies there is nobody to remember subscriptions.
        if !trial.persistent {
            return Ok(());
        }
        // In an existing topic other messages may stand; only a backlog is read from the beginning.
        let from_the_end = foreign && trial.task.workload.pattern != Pattern::Backlog;
        let from = if from_the_end { i64::MAX } else { -1 };
        let body = format!("{{\"ledgerId\":{from},\"entryId\":{from},\"partitionIndex\":-1}}");
        for subscription in trial.subscriptions() {
            let path = format!("{path}/subscription/{subscription}");
            let doing = format!("make a subscription of {destination}");
            self.ask(&doing, "PUT", path, body.clone(), &[204]).await?;
        }
        Ok(())
    }

    /// Removes what was made; what is not there any more is no error.
    async fn remove(&self) -> Result<(), DriverError> {
        let names = self.0.task.destination_names();
        let each = names.iter().map(|destination| self.remove_one(destination));
        join_all(each).await.into_iter().collect()
    }

    async fn remove_one(&self, destination: &str) -> Result<(), DriverError> {
        let trial = &self.0;
        let path = self.path(destination);
        let mut paths = Vec::new();
        if trial.task.destination.is_none() {
            let partitions = if trial.partitions() > 0 {
                "/partitions"
            } else {
                ""
            };
            paths.push(format!("{path}{partitions}?force=true"));
        } else if trial.persistent {
            let ours = trial.subscriptions().into_iter();
            paths.extend(ours.map(|name| format!("{path}/subscription/{name}?force=true")));
        }
        for path in paths {
            let doing = format!("remove what the trial made of {destination}");
            self.ask(&doing, "DELETE", path, String::new(), &[204, 404])
                .await?;
        }
        Ok(())
    }

    /// Entries that wait, by the group that waits for most, summed over topics.
    async fn backlog(&self) -> Result<u64, DriverError> {
        let stats = if self.0.partitions() > 0 {
            "partitioned-stats?perPartition=false"
        } else {
            "stats"
        };
        let mut waiting = 0;
        for destination in self.0.task.destination_names() {
            let path = format!("{}/{stats}", self.path(&destination));
            let answer = self
                .ask("ask how much waits", "GET", path, String::new(), &[200])
                .await?;
            let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let groups = said["subscriptions"].as_object();
            let counts = groups.into_iter().flatten();
            let most = counts
                .filter_map(|(_, group)| group["msgBacklog"].as_u64())
                .max();
            waiting += most.unwrap_or(0);
        }
        Ok(waiting)
    }
}

struct PulsarSession {
    trial: Arc<Trial>,
    facts: Vec<(String, String)>,
}

impl Session for PulsarSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        let again = self.trial.again.load(Ordering::Relaxed);
        let meanwhile = match self.trial.persistent {
            true => "",
            false => ", and the broker dropped what came to its non-persistent topic meanwhile",
        };
        let again = match again {
            0 => None,
            1 => Some(format!(
                "a subscription was lost with its connection and made again{meanwhile}"
            )),
            _ => Some(format!(
                "{again} subscriptions were lost with their connection and made again{meanwhile}"
            )),
        };
        let mut notes = self.trial.losses.notes(self.trial.task.delivery);
        notes.extend(again);
        notes
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        let trial = Arc::clone(&self.trial);
        Publisher::Async(Box::new(PulsarPublisher::new(trial, publisher)))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        let trial = Arc::clone(&self.trial);
        Consumer::Async(Box::new(PulsarConsumer::new(trial, group, consumer)))
    }

    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        // The broker counts entries: with batching they are not messages. Without consumers it counts
        // for nobody.
        let counted = self.trial.persistent
            && !self.trial.task.flag("batching")
            && self.trial.task.workload.consumers > 0;
        counted.then(|| -> BoxFuture<'_, _> {
            let admin = Admin(Arc::clone(&self.trial));
            Box::pin(async move { admin.backlog().await })
        })
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        let admin = Admin(Arc::clone(&self.trial));
        Box::pin(async move { admin.remove().await })
    }
}
