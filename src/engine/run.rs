//! A whole trial on the real clock: threads for the loops, and a controller that watches over them.
//!
//! Consumers first, then connections of publishers, then the load; each waits for all of the one
//! before. Whatever fails ends the trial with what was seen until then.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::contract::{
    AsyncConsumer, AsyncPublisher, BlockingConsumer, BlockingPublisher, Consumer, DriverError,
    Publisher, Session,
};
use super::controller::{Controller, Part, Step};
use super::inbox::Inbox;
use super::ledger::Ledger;
use super::outbox::{Outbox, ThreadRecords};
use super::pacing::{AsyncOutbox, BlockingOutbox, Timer};
use super::shared::lock;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::record::{Record, Second};
use crate::measure::resources::Watch;

/// Everybody must be connected and ready within this time.
const READY: Duration = Duration::from_secs(30);
/// Threads that do not end by themselves are left behind after this time: the process ends with them.
const END: Duration = Duration::from_secs(3);
/// Between the opening of the gate and the first message: time for every thread to pass it.
const LEAD: u64 = 20_000_000;
/// Threads of publishers and consumers that have one to themselves are limited by this.
pub const MOST_THREADS: u32 = 512;

/// What the runner tells while the trial runs.
#[derive(Clone, Debug)]
pub enum News<'a> {
    /// Waiting for connections and subscriptions.
    Starting,
    /// So many messages of the backlog were laid in during the last second.
    Filling(u64),
    /// A second ended.
    Second(Part, &'a Second),
    /// A part began.
    Part(Part),
}

/// What the threads tell the controller.
enum Message {
    /// A publisher is connected, or gave up.
    Connected(Result<(), DriverError>),
    /// A consumer's loop ended: of itself, which it should not, or with an error.
    Consumer(Result<(), DriverError>),
    /// A publisher's loop ended.
    Publisher(Result<(), DriverError>),
    /// The user wants the trial to end.
    Interrupt,
}

/// Lets everybody go at once.
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    tasks: watch::Sender<bool>,
}

impl Gate {
    fn new() -> Arc<Gate> {
        Arc::new(Gate {
            open: Mutex::new(false),
            changed: Condvar::new(),
            tasks: watch::channel(false).0,
        })
    }

    fn open(&self) {
        *lock(&self.open) = true;
        self.changed.notify_all();
        self.tasks.send_replace(true);
    }

    fn pass(&self) {
        let mut open = lock(&self.open);
        while !*open {
            open = self
                .changed
                .wait(open)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    async fn pass_task(&self) {
        let mut tasks = self.tasks.subscribe();
        // The sender lives as long as the gate, so the wait ends with the opening.
        let _ = tasks.wait_for(|open| *open).await;
    }
}

/// Ends a trial from outside.
#[derive(Clone)]
pub struct Interrupter(Sender<Message>);

impl Interrupter {
    /// Ends it: what was seen is kept.
    pub fn interrupt(&self) {
        // A trial that is over needs no end.
        let _ = self.0.send(Message::Interrupt);
    }
}

/// A trial that is about to run.
pub struct Run {
    ledger: Arc<Ledger>,
    session: Arc<dyn Session>,
    gate: Arc<Gate>,
    over: Arc<Gate>,
    tell: Sender<Message>,
    hear: Receiver<Message>,
    threads: Vec<JoinHandle<()>>,
}

impl Run {
    /// Prepares the threads' common ground; nothing runs yet.
    pub fn new(ledger: Arc<Ledger>, session: Arc<dyn Session>) -> Run {
        let (tell, hear) = mpsc::channel();
        Run {
            ledger,
            session,
            gate: Gate::new(),
            over: Gate::new(),
            tell,
            hear,
            threads: Vec::new(),
        }
    }

    /// To end the trial from outside.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.tell.clone())
    }

    /// Runs the trial to its end, whatever that is.
    pub fn run(mut self, mut watch: Watch, mut news: impl FnMut(News)) -> Record {
        news(News::Starting);
        let is_backlog = self.ledger.task.workload.publishers == 0;
        let started = if is_backlog {
            // The backlog is there before its consumers are.
            self.start_publishers().and_then(|()| {
                self.begin();
                self.await_publishers(&mut news)?;
                self.start_consumers()
            })
        } else {
            self.start_consumers()
                .and_then(|()| self.start_publishers())
        };
        let mut record = match started {
            Ok(()) => {
                if is_backlog {
                    self.ledger.timeline.begin(Monotonic.now());
                } else {
                    self.begin();
                }
                self.watch_over(&mut watch, &mut news)
            }
            Err(end) => self.never_began(end),
        };
        self.end();
        record.server_facts = self.session.server_facts();
        record.notes = self.session.notes();
        record
    }

    fn begin(&self) {
        self.ledger.timeline.begin(Monotonic.now() + LEAD);
        self.gate.open();
    }

    fn never_began(&self, end: Ending) -> Record {
        let mut record = Record::default();
        end.into_record(&mut record);
        record
    }

    fn watch_over(&mut self, watch: &mut Watch, news: &mut impl FnMut(News)) -> Record {
        let mut controller = Controller::new(&self.ledger);
        let mut part = controller.part();
        news(News::Part(part));
        let (mut ending, mut usage) = (None, None);
        loop {
            let now = Monotonic.now();
            let sample = controller.wants_sample(now).then(|| watch.sample(now));
            let seconds = controller.series().len();
            let step = controller.step(now, sample.as_ref());
            if controller.part() != part {
                part = controller.part();
                news(News::Part(part));
                match part {
                    Part::Measuring => watch.begin(),
                    _ if usage.is_none() => usage = Some(watch.usage()),
                    _ => {}
                }
            }
            if let Some(second) = controller.series().get(seconds) {
                news(News::Second(part, second));
            }
            let Step::Until(until) = step else { break };
            let wait = Duration::from_nanos(until.saturating_sub(Monotonic.now()));
            match self.hear.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => {
                    if let Some(end) = Ending::of(message) {
                        ending = Some(end);
                        break;
                    }
                }
            }
        }
        let usage = usage.unwrap_or_else(|| watch.usage());
        if ending.is_none() && !self.ledger.all_sent() {
            let held = self.ledger.publishers.iter();
            let held = held
                .filter(|book| !book.ended.load(Ordering::Acquire))
                .count();
            ending = Some(Ending::Failed(format!(
                "the client library did not let {held} of {} publishers go",
                self.ledger.publishers.len()
            )));
        }
        if ending.is_some() {
            // Outboxes close their books when they are told to end.
            self.ledger.stop();
            self.over.open();
            self.await_books();
        }
        let mut record = controller.finish(Monotonic.now(), usage);
        if let Some(end) = ending {
            end.into_record(&mut record);
        }
        record
    }

    /// Waits until every outbox has closed its book, for a short time: a client that hangs keeps its own.
    fn await_books(&self) {
        let until = Monotonic.now() + 500_000_000;
        while !self.ledger.all_sent() && Monotonic.now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn start_consumers(&mut self) -> Result<(), Ending> {
        let consumers = self.ledger.task.workload.consumers;
        let mut tasks = Vec::new();
        let groups = self.ledger.groups.len() as u32;
        for group in 0..groups {
            for consumer in 0..consumers {
                let inbox = Inbox::new(&self.ledger, Monotonic, group as usize, consumer as usize);
                match self.session.consumer(group, consumer) {
                    Consumer::Async(loops) => tasks.push((loops, inbox)),
                    Consumer::Blocking(loops) => {
                        let name = format!("con-{group}-{consumer}");
                        self.spawn_consumer(name, loops, inbox)?;
                    }
                }
            }
        }
        let wanted = u64::from(groups * consumers);
        for (number, share) in shares(tasks).into_iter().enumerate() {
            let (tell, over) = (self.tell.clone(), Arc::clone(&self.over));
            self.spawn(format!("con-a{number}"), move || {
                on_runtime(&tell, async |set| {
                    for (loops, inbox) in share {
                        set.spawn_local(consume(loops, inbox, tell.clone()));
                    }
                    over.pass_task().await;
                });
            })?;
        }
        let deadline = Monotonic.now() + READY.as_nanos() as u64;
        while self.ledger.ready.load(Ordering::SeqCst) < wanted {
            if Monotonic.now() > deadline {
                let ready = self.ledger.ready.load(Ordering::SeqCst);
                let cause = format!(
                    "{ready} of {wanted} consumers were ready after {} s",
                    READY.as_secs()
                );
                return Err(Ending::Failed(cause));
            }
            match self.hear.recv_timeout(Duration::from_millis(1)) {
                Ok(message) => Ending::of(message).map_or(Ok(()), Err)?,
                Err(_) => continue,
            }
        }
        Ok(())
    }

    fn start_publishers(&mut self) -> Result<(), Ending> {
        let mut tasks = Vec::new();
        let count = self.ledger.publishers.len();
        for publisher in 0..count as u16 {
            match self.session.publisher(u32::from(publisher)) {
                Publisher::Async(loops) => tasks.push((loops, publisher)),
                Publisher::Blocking(loops) => self.spawn_publisher(publisher, loops)?,
            }
        }
        for (number, share) in shares(tasks).into_iter().enumerate() {
            let (tell, over) = (self.tell.clone(), Arc::clone(&self.over));
            let (ledger, gate) = (Arc::clone(&self.ledger), Arc::clone(&self.gate));
            self.spawn(format!("pub-a{number}"), move || {
                on_runtime(&tell, async |set| {
                    let timer = Rc::new(Timer::default());
                    let records = ThreadRecords::new(&ledger);
                    set.spawn_local(Rc::clone(&timer).run());
                    // Connections one after the other in each thread: a thousand at once would only
                    // time each other out.
                    let turn = Rc::new(tokio::sync::Semaphore::new(16));
                    for (loops, publisher) in share {
                        let outbox = Outbox::new(&ledger, Monotonic, publisher, &records);
                        let outbox = AsyncOutbox::new(outbox, Rc::clone(&timer));
                        let (turn, gate) = (Rc::clone(&turn), Arc::clone(&gate));
                        set.spawn_local(publish(loops, outbox, turn, gate, tell.clone()));
                    }
                    over.pass_task().await;
                });
            })?;
        }
        self.await_connections(count)
    }

    fn await_connections(&self, count: usize) -> Result<(), Ending> {
        let deadline = Monotonic.now() + READY.as_nanos() as u64;
        for connected in 0..count {
            let left = Duration::from_nanos(deadline.saturating_sub(Monotonic.now()));
            match self.hear.recv_timeout(left) {
                Ok(Message::Connected(Ok(()))) => {}
                Ok(message) => return Err(Ending::of(message).unwrap_or(Ending::Interrupted)),
                Err(_) => {
                    return Err(Ending::Failed(format!(
                        "{connected} of {count} publishers were connected after {} s",
                        READY.as_secs()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Waits until the backlog is there. It says how far it is, or it would look as if nothing moved.
    fn await_publishers(&self, news: &mut impl FnMut(News)) -> Result<(), Ending> {
        let (mut left, mut sent) = (self.ledger.publishers.len(), 0);
        while left > 0 {
            match self.hear.recv_timeout(Duration::from_secs(1)) {
                Ok(Message::Publisher(Ok(()))) => left -= 1,
                Ok(message) => return Err(Ending::of(message).unwrap_or(Ending::Interrupted)),
                Err(RecvTimeoutError::Timeout) => {
                    let before = std::mem::replace(&mut sent, self.ledger.sent());
                    news(News::Filling(sent - before));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Ending> {
        if self.threads.len() as u32 >= MOST_THREADS {
            return Err(Ending::Failed(format!(
                "this client needs a thread for each publisher and consumer, and {MOST_THREADS} is the limit"
            )));
        }
        let thread = thread::Builder::new()
            .name(name)
            .spawn(body)
            .map_err(|e| Ending::Failed(format!("no thread could be started: {e}")))?;
        self.threads.push(thread);
        Ok(())
    }

    fn spawn_consumer(
        &mut self,
        name: String,
        mut loops: Box<dyn BlockingConsumer>,
        inbox: Inbox,
    ) -> Result<(), Ending> {
        let tell = self.tell.clone();
        self.spawn(name, move || {
            let result = loops.run(inbox);
            let _ = tell.send(Message::Consumer(result));
        })
    }

    fn spawn_publisher(
        &mut self,
        publisher: u16,
        mut loops: Box<dyn BlockingPublisher>,
    ) -> Result<(), Ending> {
        let (tell, gate, ledger) = (
            self.tell.clone(),
            Arc::clone(&self.gate),
            Arc::clone(&self.ledger),
        );
        self.spawn(format!("pub-{publisher}"), move || {
            let records = ThreadRecords::new(&ledger);
            let outbox = Outbox::new(&ledger, Monotonic, publisher, &records);
            let connected = loops.connect();
            let go = connected.is_ok();
            let _ = tell.send(Message::Connected(connected));
            if go {
                gate.pass();
                let result = loops.run(BlockingOutbox::new(outbox));
                let _ = tell.send(Message::Publisher(result));
            }
        })
    }

    /// Tells everybody to end and waits for them, not for ever.
    fn end(&mut self) {
        self.ledger.stop();
        self.gate.open();
        self.over.open();
        let deadline = Monotonic.now() + END.as_nanos() as u64;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Monotonic.now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// Why a trial ended before its time.
enum Ending {
    Failed(String),
    Interrupted,
}

impl Ending {
    /// What a message means for the trial; `None` where it goes on.
    fn of(message: Message) -> Option<Ending> {
        match message {
            Message::Connected(Ok(())) | Message::Publisher(Ok(())) | Message::Consumer(Ok(())) => {
                None
            }
            Message::Connected(Err(e)) => Some(Ending::Failed(format!("a publisher {e}"))),
            Message::Publisher(Err(e)) => Some(Ending::Failed(format!("a publisher {e}"))),
            Message::Consumer(Err(e)) => Some(Ending::Failed(format!("a consumer {e}"))),
            Message::Interrupt => Some(Ending::Interrupted),
        }
    }

    fn into_record(self, record: &mut Record) {
        match self {
            Ending::Failed(reason) => record.failure = Some(reason),
            Ending::Interrupted => record.interrupted = true,
        }
    }
}

/// Deals tasks out to threads: half of the cores for each side, so that neither starves the other.
fn shares<T>(tasks: Vec<T>) -> Vec<Vec<T>> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let threads = (cores / 2).max(1).min(tasks.len());
    let mut shares: Vec<Vec<T>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, task) in tasks.into_iter().enumerate() {
        shares[number % threads].push(task);
    }
    shares
}

fn on_runtime(tell: &Sender<Message>, body: impl AsyncFnOnce(&LocalSet)) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            let error = DriverError {
                doing: "start a runtime".to_owned(),
                cause: e.to_string(),
            };
            let _ = tell.send(Message::Consumer(Err(error)));
            return;
        }
    };
    let set = LocalSet::new();
    runtime.block_on(set.run_until(body(&set)));
    drop(set);
    // Tasks of client libraries must not hold the trial up.
    runtime.shutdown_timeout(Duration::from_millis(200));
}

async fn consume(mut loops: Box<dyn AsyncConsumer>, inbox: Inbox, tell: Sender<Message>) {
    let result = loops.run(inbox).await;
    let _ = tell.send(Message::Consumer(result));
}

async fn publish(
    mut loops: Box<dyn AsyncPublisher>,
    outbox: AsyncOutbox,
    turn: Rc<tokio::sync::Semaphore>,
    gate: Arc<Gate>,
    tell: Sender<Message>,
) {
    let permit = turn.acquire().await;
    let connected = loops.connect().await;
    drop(permit);
    let go = connected.is_ok();
    let _ = tell.send(Message::Connected(connected));
    if !go {
        return;
    }
    gate.pass_task().await;
    let result = loops.run(outbox).await;
    let _ = tell.send(Message::Publisher(result));
}
