//! The threads of a trial: those of its publishers, those of its consumers, and what they tell.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::contract::{
    AsyncConsumer, AsyncPublisher, BlockingConsumer, BlockingPublisher, Consumer, DriverError,
    Publisher, Session,
};
use super::gate::Gate;
use super::inbox::Inbox;
use super::ledger::Ledger;
use super::outbox::{Outbox, ThreadRecords};
use super::pacing::{AsyncOutbox, BlockingOutbox, Timer};
use crate::measure::affinity;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::record::Record;
use crate::measure::resources::{CONSUMER_THREAD, PUBLISHER_THREAD};
use crate::scenario::Pinned;
use crate::scenario::units::cores::Cores;

/// Threads that do not end by themselves are left behind after this time: the process ends with them.
const END: Duration = Duration::from_secs(3);
/// Threads of publishers and consumers that have one to themselves are limited by this.
pub const MOST_THREADS: u32 = 512;

/// How many tasks of a thread connect at a time: a thousand at once would only time each other out.
const AT_ONCE: usize = 16;

/// What the threads tell the one who runs the trial.
pub(super) enum Message {
    /// A publisher is connected, or gave up.
    Connected(Result<(), DriverError>),
    /// A consumer's loop ended: of itself, which it should not, or with an error.
    Consumer(Result<(), DriverError>),
    /// A publisher's loop ended.
    Publisher(Result<(), DriverError>),
    /// The user wants the trial to end.
    Interrupt,
}

/// Why a trial ended before its time.
pub(super) enum Ending {
    Failed(String),
    Interrupted,
}

impl Ending {
    /// What a message means for the trial; `None` where it goes on.
    pub fn of(message: Message) -> Option<Ending> {
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

    pub fn note_in(&self, record: &mut Record) {
        match self {
            Ending::Failed(reason) => record.failure = Some(reason.clone()),
            Ending::Interrupted => record.interrupted = true,
        }
    }
}

/// Everybody who works on a trial.
pub(super) struct Crew {
    pub ledger: Arc<Ledger>,
    pub session: Arc<dyn Session>,
    /// Opens when the load begins.
    pub gate: Arc<Gate>,
    /// Opens when the trial is over.
    pub over: Arc<Gate>,
    pub tell: Sender<Message>,
    /// On which cores threads of publishers and consumers run.
    pub pinned: Pinned,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    pub fn new(ledger: Arc<Ledger>, session: Arc<dyn Session>, tell: Sender<Message>) -> Crew {
        Crew {
            ledger,
            session,
            gate: Gate::new(),
            over: Gate::new(),
            tell,
            pinned: Pinned::default(),
            threads: Vec::new(),
        }
    }

    /// Starts every consumer of every group; how many there are.
    pub fn start_consumers(&mut self) -> Result<u64, Ending> {
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
        let cores = self.pinned.consumers.as_ref();
        for (number, share) in shares(tasks, cores).into_iter().enumerate() {
            let (tell, over) = (self.tell.clone(), Arc::clone(&self.over));
            self.spawn(format!("con-a{number}"), move || {
                on_runtime(&tell, async |set| {
                    let turns = Arc::new(Semaphore::new(AT_ONCE));
                    for (loops, inbox) in share {
                        set.spawn_local(consume(loops, inbox, Arc::clone(&turns), tell.clone()));
                    }
                    over.pass_task().await;
                });
            })?;
        }
        Ok(u64::from(groups * consumers))
    }

    /// Starts every publisher; how many there are.
    pub fn start_publishers(&mut self) -> Result<usize, Ending> {
        let mut tasks = Vec::new();
        let count = self.ledger.publishers.len();
        for publisher in 0..count as u16 {
            match self.session.publisher(u32::from(publisher)) {
                Publisher::Async(loops) => tasks.push((loops, publisher)),
                Publisher::Blocking(loops) => self.spawn_publisher(publisher, loops)?,
            }
        }
        let cores = self.pinned.publishers.as_ref();
        for (number, share) in shares(tasks, cores).into_iter().enumerate() {
            let (tell, over) = (self.tell.clone(), Arc::clone(&self.over));
            let (ledger, gate) = (Arc::clone(&self.ledger), Arc::clone(&self.gate));
            self.spawn(format!("pub-a{number}"), move || {
                on_runtime(&tell, async |set| {
                    let timer = Rc::new(Timer::default());
                    let records = ThreadRecords::new(&ledger);
                    set.spawn_local(Rc::clone(&timer).run());
                    let turns = Rc::new(Semaphore::new(AT_ONCE));
                    for (loops, publisher) in share {
                        let outbox = Outbox::new(&ledger, Monotonic, publisher, &records);
                        let outbox = AsyncOutbox::new(outbox, Rc::clone(&timer));
                        let (turns, gate) = (Rc::clone(&turns), Arc::clone(&gate));
                        set.spawn_local(publish(loops, outbox, turns, gate, tell.clone()));
                    }
                    over.pass_task().await;
                });
            })?;
        }
        Ok(count)
    }
    /// Starts a thread.
    pub fn spawn(
        &mut self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), Ending> {
        if self.threads.len() as u32 >= MOST_THREADS {
            return Err(Ending::Failed(format!(
                "this client needs a thread for each publisher and consumer, and {MOST_THREADS} is the limit"
            )));
        }
        let publishes = name.starts_with(PUBLISHER_THREAD);
        let cores = match publishes {
            true => self.pinned.publishers.clone(),
            false if name.starts_with(CONSUMER_THREAD) => self.pinned.consumers.clone(),
            false => None,
        };
        let of_side = match publishes {
            true => Message::Connected,
            false => Message::Consumer,
        };
        let tell = self.tell.clone();
        let body = move || {
            // Before anything else: what a client library starts from here is then on the same cores.
            match cores.map_or(Ok(()), |cores| affinity::pin(0, &cores)) {
                Ok(()) => body(),
                Err(error) => {
                    let error = DriverError::while_doing("run on its cores")(error);
                    let _ = tell.send(of_side(Err(error)));
                }
            }
        };
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
    pub fn end(&mut self) {
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
/// Deals tasks out to threads: one for each core of those that the side is pinned to, otherwise half of the cores
/// for each side, so that neither starves the other.
fn shares<T>(tasks: Vec<T>, pinned: Option<&Cores>) -> Vec<Vec<T>> {
    let cores = || thread::available_parallelism().map_or(2, usize::from);
    let threads = pinned.map_or_else(|| cores() / 2, Cores::count);
    let threads = threads.max(1).min(tasks.len());
    let mut shares: Vec<Vec<T>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, task) in tasks.into_iter().enumerate() {
        shares[number % threads].push(task);
    }
    shares
}

/// Runs tasks on this thread.
pub(super) fn on_runtime(tell: &Sender<Message>, body: impl AsyncFnOnce(&LocalSet)) {
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

async fn consume(
    mut loops: Box<dyn AsyncConsumer>,
    mut inbox: Inbox,
    turns: Arc<Semaphore>,
    tell: Sender<Message>,
) {
    if let Ok(turn) = turns.acquire_owned().await {
        inbox.in_turn(turn);
    }
    let result = loops.run(inbox).await;
    let _ = tell.send(Message::Consumer(result));
}

async fn publish(
    mut loops: Box<dyn AsyncPublisher>,
    outbox: AsyncOutbox,
    turns: Rc<Semaphore>,
    gate: Arc<Gate>,
    tell: Sender<Message>,
) {
    let turn = turns.acquire().await;
    let connected = loops.connect().await;
    drop(turn);
    let go = connected.is_ok();
    let _ = tell.send(Message::Connected(connected));
    if !go {
        return;
    }
    gate.pass_task().await;
    let result = loops.run(outbox).await;
    let _ = tell.send(Message::Publisher(result));
}
