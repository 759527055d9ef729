//! What a trial on Kafka needs beside the messages: topics and their removal, to know that the cluster
//! keeps what was asked, and to see how much waits.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::Offset;

use super::DriverError;
use super::kafka_client::{Heard, address, ask, client, config, connect, failed, meaning};
use super::kafka_consumer::group_name;
use super::kafka_publisher::{Topic, requests};
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern, Payload};

/// How long the cluster may take over one thing.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The same where the trial is over, of a cluster that answers.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);
/// How long a question takes at most while something is waited for.
const STEP: Duration = Duration::from_millis(500);
/// What a batch of one message has besides the message, at most.
const OVERHEAD: u64 = 128;

/// What `prepare` made or found.
pub struct Prepared {
    /// By destination.
    pub topics: Vec<Topic>,
    /// The largest batch, and so the largest message, that the topics take.
    pub largest: u64,
    /// What the server is set to.
    pub facts: Vec<(String, String)>,
}

/// A topic that takes one message of each publisher before the load begins; none beside existing topics.
pub fn first_words(task: &Task) -> Option<String> {
    let name = || format!("mqbench-{}-{}-first", task.run_id, task.trial);
    task.destination.is_none().then(name)
}

fn options(within: Duration) -> AdminOptions {
    let within = Some(within);
    AdminOptions::new()
        .request_timeout(within)
        .operation_timeout(within)
}

/// Makes the topics and groups of the trial, after a look at what the cluster is set to. Blocks.
pub fn prepare(task: &Task) -> Result<Prepared, DriverError> {
    let (admin, metadata) = connect(task)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(DriverError::while_doing("start a runtime"))?;
    let names = task.destination_names();
    let partitions = task.count("partitions").unwrap_or(0) as u32;
    let made = runtime.block_on(async {
        if task.destination.is_none() {
            make_topics(task, &admin, &names, partitions).await?;
        }
        let topics = await_topics(task, &admin, &names)?;
        let (largest, facts) = check(task, &admin, &metadata, &names[0]).await?;
        if task.destination.is_some() && task.workload.pattern != Pattern::Backlog {
            begin_at_the_end(task, &topics)?;
        }
        Ok(Prepared {
            topics,
            largest,
            facts,
        })
    });
    if made.is_err() {
        // What was made so far would stay; the error is what the user must hear, and soon. Groups are made
        // here of existing topics only: to ask a new cluster for one makes it set up what keeps them.
        let groups = match task.destination {
            Some(_) => groups(task),
            None => Vec::new(),
        };
        let _ = remove(task, &admin, groups, ANSWER_WITHIN);
    }
    made
}

/// Consumers of a group that share a destination.
fn sharing(task: &Task) -> u32 {
    let readers = task.readers().iter().map(Vec::len).max().unwrap_or(0);
    readers.max(1) as u32
}

async fn make_topics(
    task: &Task,
    admin: &AdminClient<Heard>,
    names: &[String],
    partitions: u32,
) -> Result<(), DriverError> {
    let partitions = match partitions {
        0 => sharing(task),
        given => given,
    };
    // What the cluster does by itself.
    let replicas = task.count("replicas").map_or(-1, |count| count as i32);
    let first = first_words(task);
    let topics = names.iter().map(|name| (name, partitions as i32));
    let topics: Vec<NewTopic<'_>> = topics
        .chain(first.iter().map(|name| (name, 1)))
        .map(|(name, count)| NewTopic::new(name, count, TopicReplication::Fixed(replicas)))
        .collect();
    let wrong = failed(task, "make the topics");
    let results = admin.create_topics(&topics, &options(ANSWER_WITHIN)).await;
    for result in results.map_err(&wrong)? {
        if let Err((name, code)) = result {
            return Err(DriverError {
                doing: format!("make the topic {name} at {}", address(task)),
                cause: meaning(code),
            });
        }
    }
    Ok(())
}

/// Waits until every partition has a leader, and says how many there are.
fn await_topics(
    task: &Task,
    admin: &AdminClient<Heard>,
    names: &[String],
) -> Result<Vec<Topic>, DriverError> {
    let limit = Instant::now() + ANSWER_WITHIN;
    let shared = sharing(task);
    loop {
        let metadata = admin.inner().fetch_metadata(None, STEP);
        let found: Option<Vec<Topic>> = metadata.ok().and_then(|metadata| {
            let of = |name: &String| {
                let mut topics = metadata.topics().iter();
                let topic = topics.find(|topic| topic.name() == name)?;
                let led = topic.partitions().iter().all(|p| p.leader() >= 0);
                let partitions = topic.partitions().len() as u32;
                (led && partitions > 0).then(|| Topic {
                    name: name.clone(),
                    partitions,
                    spread: partitions <= shared,
                })
            };
            names.iter().map(of).collect()
        });
        match found {
            Some(topics) => return Ok(topics),
            None if Instant::now() > limit => {
                return Err(DriverError {
                    doing: format!("find the topics at {}", address(task)),
                    cause: format!("{} is not there, or has no leader", names.join(", ")),
                });
            }
            // The answer comes from a node that hears of new topics a moment later.
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Compares what a topic is set to with the offer of the task.
async fn check(
    task: &Task,
    admin: &AdminClient<Heard>,
    metadata: &Metadata,
    topic: &str,
) -> Result<(u64, Vec<(String, String)>), DriverError> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let described = admin
        .describe_configs(&asked, &options(ANSWER_WITHIN))
        .await;
    let described = described.map_err(failed(task, "ask for the settings"))?;
    let settings = described.into_iter().next().and_then(Result::ok);
    let setting = |key: &str| {
        let entry = settings.as_ref()?.get(key)?;
        entry.value.clone()
    };
    let flush = setting("flush.messages");
    if task.durability == Durability::Fsync
        && let Some(found) = flush.as_deref().filter(|found| *found != "1")
    {
        return Err(DriverError {
            doing: format!("keep messages as asked at {}", address(task)),
            cause: format!(
                "the server has `log.flush.interval.messages={found}` (`flush.messages` of the \
                 topic), this durability needs 1"
            ),
        });
    }
    let limit = setting("max.message.bytes").and_then(|bytes| bytes.parse::<u64>().ok());
    let largest = task.workload.message.largest();
    let shrinks = task.text("compression") != Some("none")
        && task.workload.message.payload != Payload::Random;
    if let Some(limit) = limit.filter(|limit| largest + OVERHEAD > *limit && !shrinks) {
        return Err(DriverError {
            doing: format!("send messages of {largest} bytes to {}", address(task)),
            cause: format!(
                "they are too large: a batch may have {limit} bytes (`message.max.bytes` of the \
                 server), {OVERHEAD} of which are not the message"
            ),
        });
    }
    let unverified = |value: Option<String>| value.unwrap_or_else(|| "unverified".to_owned());
    let mut facts = vec![
        // Its protocol tells what requests it understands and not what it is.
        ("version".to_owned(), "unverified".to_owned()),
        ("brokers".to_owned(), metadata.brokers().len().to_string()),
        ("flush.messages".to_owned(), unverified(flush)),
        (
            "max.message.bytes".to_owned(),
            unverified(limit.map(|limit| limit.to_string())),
        ),
        (
            "min.insync.replicas".to_owned(),
            unverified(setting("min.insync.replicas")),
        ),
    ];
    let requests = requests(task).to_string();
    facts.push(("requests in flight".to_owned(), requests));
    let largest = limit.unwrap_or(largest.max(1_000_000) + OVERHEAD);
    Ok((largest.min(100 << 20), facts))
}

/// Lets the groups begin behind what stands in existing topics.
fn begin_at_the_end(task: &Task, topics: &[Topic]) -> Result<(), DriverError> {
    let wrong = failed(task, "find the end of the topics");
    for group in groups(task) {
        let consumer = member(task, &group)?;
        let mut ends = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..topic.partitions as i32 {
                let marks = consumer.fetch_watermarks(&topic.name, partition, ANSWER_WITHIN);
                let (_, high) = marks.map_err(&wrong)?;
                let added = ends.add_partition_offset(&topic.name, partition, Offset::Offset(high));
                added.map_err(&wrong)?;
            }
        }
        consumer.commit(&ends, CommitMode::Sync).map_err(&wrong)?;
    }
    Ok(())
}

fn groups(task: &Task) -> Vec<String> {
    match task.workload.consumers {
        0 => Vec::new(),
        _ => (0..task.workload.groups)
            .map(|group| group_name(task, group))
            .collect(),
    }
}

/// A client that may speak for a group without being one of its members.
fn member(task: &Task, group: &str) -> Result<BaseConsumer<Heard>, DriverError> {
    let mut settings = config(task)?;
    settings
        .set("group.id", group)
        .set("enable.auto.commit", "false");
    client(task, &settings, Heard::default())
}

/// Asks how much waits. Each group has a client for it that is kept: to make one takes longer than to ask.
#[derive(Default)]
pub struct Lag(Mutex<Vec<BaseConsumer<Heard>>>);

impl Lag {
    /// Messages that have not been committed by the group that waits for most. Blocks.
    pub fn ask(&self, task: &Task, topics: &[Topic]) -> Result<u64, DriverError> {
        let wrong = failed(task, "ask how much waits");
        let mut members = lock(&self.0);
        if members.is_empty() {
            let mut names = groups(task);
            // Where nobody consumes, everything waits.
            if names.is_empty() {
                names.push(group_name(task, 0));
            }
            let asking = names.iter().map(|name| member(task, name));
            *members = asking.collect::<Result<_, _>>()?;
        }
        let waiting = members.iter().map(|member| waiting(member, topics));
        let most: Result<Vec<u64>, KafkaError> = waiting.collect();
        Ok(most.map_err(wrong)?.into_iter().max().unwrap_or(0))
    }
}

/// What lies behind the place to which a group has committed.
fn waiting(member: &BaseConsumer<Heard>, topics: &[Topic]) -> Result<u64, KafkaError> {
    let mut places = TopicPartitionList::new();
    for topic in topics {
        places.add_partition_range(&topic.name, 0, topic.partitions as i32 - 1);
    }
    // All at once, whatever their number.
    let at = |place: Offset| {
        let mut asked = places.clone();
        asked.set_all_offsets(place)?;
        member.offsets_for_times(asked, ANSWER_WITHIN)
    };
    let ends = at(Offset::End)?.to_topic_map();
    let committed = member.committed_offsets(places.clone(), ANSWER_WITHIN)?;
    let committed = committed.to_topic_map();
    let is_known = |offset: &Offset| matches!(offset, Offset::Offset(_));
    let begins = match committed.values().all(is_known) {
        true => HashMap::new(),
        // Who has committed nothing yet begins where the topic does.
        false => at(Offset::Beginning)?.to_topic_map(),
    };
    let number = |offset: Option<&Offset>| match offset {
        Some(Offset::Offset(number)) => *number,
        _ => 0,
    };
    let waits = ends.iter().map(|(place, end)| {
        let from = committed.get(place).filter(|offset| is_known(offset));
        let from = number(from.or_else(|| begins.get(place)));
        u64::try_from(number(Some(end)) - from).unwrap_or(0)
    });
    Ok(waits.sum())
}

/// Whether the cluster can tell how much waits: where nothing is committed it cannot.
pub fn tells_lag(task: &Task) -> bool {
    task.delivery != Delivery::AtMostOnce
}

/// Removes what a trial made, over a connection of its own. Blocks.
pub fn clean_up(task: &Task) -> Result<(), DriverError> {
    let admin: AdminClient<Heard> = client(task, &config(task)?, Heard::default())?;
    remove(task, &admin, groups(task), REMOVED_WITHIN)
}

fn remove(
    task: &Task,
    admin: &AdminClient<Heard>,
    groups: Vec<String>,
    within: Duration,
) -> Result<(), DriverError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(DriverError::while_doing("start a runtime"))?;
    let wrong = failed(task, "remove what the trial made");
    // Nobody waits for one that is dead or hangs.
    ask(task, admin)?;
    let mut names = task.destination_names();
    names.extend(first_words(task));
    let topics: Vec<&str> = match task.destination {
        Some(_) => Vec::new(),
        None => names.iter().map(String::as_str).collect(),
    };
    runtime.block_on(async {
        let (topics, groups) = tokio::join!(
            remove_topics(admin, &topics, within),
            remove_groups(admin, groups, within)
        );
        topics.and(groups).map_err(wrong)
    })
}

async fn remove_topics(
    admin: &AdminClient<Heard>,
    names: &[&str],
    within: Duration,
) -> Result<(), KafkaError> {
    if names.is_empty() {
        return Ok(());
    }
    let limit = Instant::now() + within;
    for result in admin.delete_topics(names, &options(within)).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    // It is done when those who ask hear no more of them; who removes files of many may answer late.
    loop {
        let seen = admin.inner().fetch_metadata(None, STEP);
        let named = |metadata: &Metadata| {
            let mut topics = metadata.topics().iter();
            topics.any(|topic| names.contains(&topic.name()))
        };
        match seen {
            Ok(metadata) if !named(&metadata) => return Ok(()),
            Err(error) if Instant::now() > limit => return Err(error),
            Ok(_) if Instant::now() > limit => return Ok(()),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn remove_groups(
    admin: &AdminClient<Heard>,
    names: Vec<String>,
    within: Duration,
) -> Result<(), KafkaError> {
    let mut left = names;
    let limit = Instant::now() + within;
    while !left.is_empty() {
        let names: Vec<&str> = left.iter().map(String::as_str).collect();
        let mut failure = None;
        let mut again = Vec::new();
        for result in admin.delete_groups(&names, &options(within)).await? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                // Who may not remove it now may not in a moment.
                Err((_, code @ RDKafkaErrorCode::GroupAuthorizationFailed)) => {
                    return Err(KafkaError::AdminOp(code));
                }
                Err((name, code)) => {
                    failure = Some(KafkaError::AdminOp(code));
                    again.push(name);
                }
            }
        }
        left = again;
        // A member that leaves is still there for a moment.
        match failure {
            Some(failure) if Instant::now() > limit => return Err(failure),
            Some(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            None => {}
        }
    }
    Ok(())
}
