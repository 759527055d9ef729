//! How the Kafka driver consumes: members of a consumer group, each with a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::kafka_batch::Batches;
use super::kafka_client::{Heard, Vigil, address, client, config, failed, words};
use super::{BlockingConsumer, DriverError};
use crate::engine::inbox::Inbox;
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Pattern};

/// How long a call waits for messages before the loop looks whether the trial is over.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a member may take to leave its group; one whose broker hangs would take for ever.
const LEAVES_WITHIN: Duration = Duration::from_millis(1_000);

/// The name of a group on the cluster.
pub fn group_name(task: &Task, group: u32) -> String {
    format!("mqbench-{}-{}-group-{group}", task.run_id, task.trial)
}

/// Who of a group has which partitions. Members come one after the other, and each changes what the
/// others have; what is sent before all have theirs could be read by one and then again by another.
pub struct Board {
    /// Of all destinations.
    partitions: usize,
    /// By consumer, how many it was given; `None` before it was given any, or none.
    given: Mutex<Vec<Option<usize>>>,
    complete: AtomicBool,
}

impl Board {
    /// For a group of so many consumers of so many partitions.
    pub fn new(consumers: u32, partitions: usize) -> Board {
        Board {
            partitions,
            given: Mutex::new(vec![None; consumers as usize]),
            complete: AtomicBool::new(false),
        }
    }

    fn set(&self, consumer: u32, partitions: Option<usize>) {
        let mut given = lock(&self.given);
        given[consumer as usize] = partitions;
        let all: Option<usize> = given.iter().copied().sum();
        if all == Some(self.partitions) {
            self.complete.store(true, Ordering::Release);
        }
    }

    /// Whether there was an instant at which all had joined and everything was given to somebody.
    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
}

/// What the library calls back.
struct Member {
    heard: Heard,
    board: Arc<Board>,
    number: u32,
    /// Partitions that are given later are read from where they end then, not from where others were.
    forgets: bool,
    /// What was given and is not read yet.
    given: Mutex<Option<TopicPartitionList>>,
    /// Counts how often partitions were given or taken.
    epoch: AtomicU64,
    /// A commit is on its way.
    committing: AtomicBool,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.heard.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Member>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        // What the library refuses here it says again when it is polled.
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            if !self.board.is_complete() {
                // Until all have theirs it takes nothing and stays in the group. To take them and pause them would
                // do as well, had the library not its ways to leave a partition paused for ever that is resumed
                // right after (https://github.com/confluentinc/librdkafka/issues/5591).
                let _ = consumer.assign(&TopicPartitionList::new());
            } else if self.forgets {
                let _ = partitions.set_all_offsets(Offset::End);
            }
            *lock(&self.given) = Some(partitions.clone());
            self.board.set(self.number, Some(partitions.count()));
        } else {
            *lock(&self.given) = None;
            if !self.forgets {
                // All that was handed out is handed in: others go on behind it.
                let _ = consumer.commit_consumer_state(CommitMode::Async);
            }
            let _ = consumer.unassign();
            self.board.set(self.number, None);
        }
    }

    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        // One that failed is made up for by the next.
        self.committing.store(false, Ordering::Relaxed);
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(PATIENCE)
    }
}

/// One of the consumers.
pub struct KafkaConsumer {
    /// What is run.
    pub task: Arc<Task>,
    /// Of which group.
    pub group: u32,
    /// Its number in the group.
    pub number: u32,
    /// Of the group.
    pub board: Arc<Board>,
}

impl KafkaConsumer {
    fn join(&self, heard: &Heard) -> Result<BaseConsumer<Member>, DriverError> {
        let task = &self.task;
        let fetch_wait = task
            .time("fetch_wait")
            .unwrap_or(Duration::from_millis(500));
        let largest = task.workload.message.largest() + 1_024;
        let mut settings = config(task)?;
        let isolation = match task.delivery {
            Delivery::ExactlyOnce => "read_committed",
            _ => "read_uncommitted",
        };
        // Of a group without a position in a topic of ours, everything is new.
        let fresh = task.destination.is_none() || task.workload.pattern == Pattern::Backlog;
        let reset = if fresh { "earliest" } else { "latest" };
        settings
            .set("group.id", group_name(task, self.group))
            .set("isolation.level", isolation)
            .set("auto.offset.reset", reset)
            .set("enable.auto.commit", "false")
            // What is polled is handed in before the next is polled, so a commit never runs ahead.
            .set("enable.auto.offset.store", "true")
            .set("partition.assignment.strategy", "range")
            // A member learns from it that another has come.
            .set("heartbeat.interval.ms", "200")
            .set("fetch.wait.max.ms", fetch_wait.as_millis().to_string())
            .set("fetch.message.max.bytes", largest.max(1 << 20).to_string())
            // After its queue was full the library would wait a second before it fetches again.
            .set("fetch.queue.backoff.ms", "1");
        let consumer: BaseConsumer<Member> = client(
            task,
            &settings,
            Member {
                heard: heard.clone(),
                board: Arc::clone(&self.board),
                number: self.number,
                forgets: task.delivery == Delivery::AtMostOnce,
                given: Mutex::new(None),
                epoch: AtomicU64::new(0),
                committing: AtomicBool::new(false),
            },
        )?;
        let names = task.destination_names_of(self.number);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let subscribed = consumer.subscribe(&names);
        subscribed.map_err(failed(task, "subscribe"))?;
        Ok(consumer)
    }

    fn receive(
        &self,
        consumer: &BaseConsumer<Member>,
        mut inbox: Inbox,
        heard: &Heard,
    ) -> Result<(), DriverError> {
        let task = &self.task;
        let mut vigil = Vigil::new(heard.clone());
        let member = consumer.context();
        let mut owed = Owed::by(task, inbox.stamp());
        let mut batches = Batches::of(consumer);
        let (mut epoch, mut ready) = (0, false);
        while !inbox.is_over() {
            let patience = if ready { Duration::ZERO } else { PATIENCE };
            match consumer.poll(patience) {
                // None comes here of a partition that is led to the batches.
                Some(Ok(message)) => {
                    let stamp = inbox.stamp();
                    inbox.received_at(stamp, message.payload().unwrap_or_default(), false);
                    owed.add(stamp);
                }
                Some(Err(error)) => self.take_in(&error, heard)?,
                None => {}
            }
            let current = member.epoch.load(Ordering::Relaxed);
            let is_new = current != epoch;
            if is_new {
                epoch = current;
                inbox.new_epoch();
            }
            // Later nothing is given without a new epoch.
            if (is_new || !ready)
                && self.board.is_complete()
                && let Some(given) = lock(&member.given).take()
            {
                batches.lead(&given);
                let taken = consumer.assign(&given);
                taken.map_err(failed(task, "begin to receive"))?;
                if !ready {
                    inbox.ready();
                    ready = true;
                }
            }
            if ready {
                for patience in [owed.patience(), Duration::ZERO] {
                    let count = batches.take(patience);
                    let stamp = inbox.stamp();
                    let mut wrong = None;
                    batches.hand_out(count, |taken| match taken {
                        Ok(payload) => {
                            inbox.received_at(stamp, payload, false);
                            owed.add(stamp);
                        }
                        Err(error) => wrong = Some(error),
                    });
                    if let Some(error) = wrong {
                        self.take_in(&error, heard)?;
                    }
                    if count == 0 {
                        break;
                    }
                }
            }
            // One at a time: a commit covers all before it.
            if owed.is_due(inbox.stamp()) && !member.committing.swap(true, Ordering::Relaxed) {
                match consumer.commit_consumer_state(CommitMode::Async) {
                    Ok(()) => owed.count = 0,
                    Err(_) => member.committing.store(false, Ordering::Relaxed),
                }
            }
            vigil.look(task, "receive from", |patience| {
                consumer.client().fetch_metadata(None, patience).is_ok()
            })?;
        }
        Ok(())
    }

    /// Errors that pass by themselves are for the vigil; others are said.
    fn take_in(&self, error: &KafkaError, heard: &Heard) -> Result<(), DriverError> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        heard.note(code);
        let lasting = matches!(
            code,
            Some(
                Code::Authentication
                    | Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
            )
        );
        if lasting || matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(DriverError {
                doing: format!("receive from {}", address(&self.task)),
                cause: words(error),
            });
        }
        Ok(())
    }
}

/// What was received and not committed.
struct Owed {
    commits: bool,
    every: u64,
    within: Duration,
    count: u64,
    /// Since when.
    since: u64,
}

impl Owed {
    fn by(task: &Task, now: u64) -> Owed {
        Owed {
            commits: task.delivery != Delivery::AtMostOnce,
            every: u64::from(task.workload.ack.every.max(1)),
            within: task.workload.ack.within,
            count: 0,
            since: now,
        }
    }

    #[inline]
    fn add(&mut self, stamp: u64) {
        if self.count == 0 {
            self.since = stamp;
        }
        self.count += u64::from(self.commits);
    }

    fn is_due(&self, now: u64) -> bool {
        let late = u128::from(now.saturating_sub(self.since)) >= self.within.as_nanos();
        self.count > 0 && (self.count >= self.every || late)
    }

    /// How long the next message may be waited for.
    fn patience(&self) -> Duration {
        match self.count {
            0 => PATIENCE,
            _ => self.within.min(PATIENCE),
        }
    }
}

impl BlockingConsumer for KafkaConsumer {
    fn run(&mut self, inbox: Inbox) -> Result<(), DriverError> {
        let heard = Heard::default();
        let consumer = self.join(&heard)?;
        let received = self.receive(&consumer, inbox, &heard);
        // It says farewell to its group, and waits for the answer: where the broker hangs, for ever.
        let (tell, gone) = channel();
        let leaving = thread::Builder::new().name("leave".to_owned());
        let left = leaving.spawn(move || {
            drop(consumer);
            let _ = tell.send(());
        });
        if left.is_ok() {
            let _ = gone.recv_timeout(LEAVES_WITHIN);
        }
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_complete_when_everything_is_given_to_somebody_and_all_have_joined() {
        let board = Board::new(3, 4);
        board.set(0, Some(4));
        assert!(!board.is_complete(), "others are to come");
        board.set(0, None);
        board.set(1, Some(2));
        board.set(2, Some(0));
        assert!(!board.is_complete());
        board.set(0, Some(2));
        assert!(board.is_complete());
        // It stays so: a member that is lost later changes nothing about the beginning.
        board.set(0, None);
        assert!(board.is_complete());
    }
}
