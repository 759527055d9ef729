//! One trial in a worker process of its own, as the supervisor runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mqbench::drivers::find;
use mqbench::engine::task::{Task, WindowBy};
use mqbench::measure::progress::{Phase, Progress};
use mqbench::measure::record::Record;
use mqbench::processes::supervisor::WORKER;
use mqbench::processes::worker::{INTERRUPT, Order, Word};

/// A worker that has not ended by then hangs, whatever it was asked to do.
const LIMIT: Duration = Duration::from_secs(60);

/// What a trial left behind.
pub struct Seen {
    pub record: Record,
    /// To its last word: from where the measured part began, and from the start of the worker where
    /// none did. How fast a server prepares destinations on a busy machine is not a trial's matter.
    pub took: Duration,
    /// From the wish that it ends to its last word, where somebody had it.
    pub end_took: Option<Duration>,
    /// What it wrote to standard error: nothing, unless something panicked.
    pub complaints: String,
}

/// Runs a trial that nothing disturbs.
pub fn run(task: Task) -> Seen {
    run_disturbed(task, |_| {})
}

/// Runs a trial; `disturb` is called when the measured part has begun.
pub fn run_disturbed(task: Task, disturb: impl FnOnce(&mut Live)) -> Seen {
    let mut live = Live::start(&task);
    if live.await_measuring() {
        disturb(&mut live);
    }
    live.end()
}

/// A trial that is running.
pub struct Live {
    pub task: Task,
    process: Child,
    orders: ChildStdin,
    words: Receiver<Word>,
    complaints: JoinHandle<String>,
    began: Instant,
    measuring_since: Option<Instant>,
    phase: Phase,
    interrupted: Option<Instant>,
    record: Option<Record>,
}

impl Live {
    pub fn start(task: &Task) -> Live {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mqbench"))
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a worker");
        let mut orders = process.stdin.take().expect("piped");
        let said = BufReader::new(process.stdout.take().expect("piped"));
        let mut complaints = process.stderr.take().expect("piped");
        let driver = find(&task.driver).expect("a driver").descriptor();
        let mut task = task.clone();
        task.window = WindowBy::of(&task.workload, task.acks, driver.holds_backlog);
        let order = Order {
            task: task.clone(),
            supervisor: std::process::id() as i32,
            brokers: Vec::new(),
            data: Vec::new(),
            helpers: Vec::new(),
            pinned: Default::default(),
        };
        let order = serde_json::to_string(&order).expect("a plain value");
        writeln!(orders, "{order}").expect("it listens");
        let (tell, words) = mpsc::channel();
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let word = serde_json::from_str(&line).expect("a word");
                if tell.send(word).is_err() {
                    break;
                }
            }
        });
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            let _ = complaints.read_to_string(&mut text);
            text
        });
        Live {
            task,
            process,
            orders,
            words,
            complaints,
            began: Instant::now(),
            measuring_since: None,
            phase: Phase::Starting,
            interrupted: None,
            record: None,
        }
    }

    /// Number of its process.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Whether the measured part has begun; if not, the trial is over.
    fn await_measuring(&mut self) -> bool {
        while self.measuring_since.is_none() && self.next_progress().is_some() {}
        self.measuring_since.is_some()
    }

    /// Waits until it has sent or received something in the measured part.
    pub fn await_traffic(&mut self) {
        while let Some(progress) = self.next_progress() {
            if progress.per_second > 0.0 {
                return;
            }
        }
    }

    /// Whether it was still in the measured part when it last said something.
    pub fn is_measuring(&mut self) -> bool {
        while let Ok(word) = self.words.try_recv() {
            self.take_in(word);
        }
        self.record.is_none() && self.phase == Phase::Measuring
    }

    /// The next that it says of how it goes; nothing once it is over.
    fn next_progress(&mut self) -> Option<Progress> {
        if self.record.is_some() {
            return None;
        }
        let left = LIMIT.saturating_sub(self.began.elapsed());
        let word = self.words.recv_timeout(left).ok()?;
        self.take_in(word)
    }

    fn take_in(&mut self, word: Word) -> Option<Progress> {
        match word {
            Word::Progress(progress) => {
                self.phase = progress.phase;
                if progress.phase == Phase::Measuring {
                    self.measuring_since.get_or_insert_with(Instant::now);
                }
                Some(progress)
            }
            Word::Record(record) => {
                self.record = Some(*record);
                None
            }
        }
    }

    /// Asks it to end with what it has.
    pub fn interrupt(&mut self) {
        self.interrupted = Some(Instant::now());
        writeln!(self.orders, "{INTERRUPT}").expect("it listens");
    }

    /// Waits for its end.
    fn end(mut self) -> Seen {
        while self.next_progress().is_some() {}
        let took = self.measuring_since.unwrap_or(self.began).elapsed();
        let end_took = self.interrupted.map(|asked| asked.elapsed());
        if self.record.is_none() {
            let _ = self.process.kill();
        }
        // The supervisor gives it as long to end after its last word.
        let limit = Instant::now() + Duration::from_secs(3);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < limit {
            thread::sleep(Duration::from_millis(2));
        }
        let hangs = matches!(self.process.try_wait(), Ok(None));
        let _ = self.process.kill();
        let _ = self.process.wait();
        let mut complaints = self.complaints.join().expect("it reads");
        if hangs {
            complaints += "the worker did not end after its last word";
        }
        let record = self.record.unwrap_or_else(|| Record {
            failure: Some(format!("the worker said nothing in {took:?}: {complaints}")),
            ..Record::default()
        });
        Seen {
            record,
            took,
            end_took,
            complaints,
        }
    }
}

/// How a note says that the server let somebody wait who asked it how much waits.
const LATE: &str = "no answer";

impl Seen {
    /// What is wrong with a trial that nothing disturbed: everything that was sent arrived once, in
    /// order where that is promised, and was acknowledged where there are acknowledgements.
    pub fn problems(&self, task: &Task) -> Vec<String> {
        let Record { audit, .. } = &self.record;
        let groups = if task.workload.consumers > 0 {
            u64::from(task.workload.groups)
        } else {
            0
        };
        let mut found: Vec<String> = self.record.failure.iter().cloned().collect();
        found.extend(audit.contradictions());
        // A server that warms up on a busy machine answers late, which is not the driver's matter.
        let said = self.record.notes.iter();
        found.extend(said.filter(|note| !note.contains(LATE)).cloned());
        found.extend(self.record.reasons.keys().cloned());
        found.extend(self.complained());
        if audit.sent == 0 {
            found.push("nothing was sent".to_owned());
        }
        let acked = if task.acks { audit.sent } else { 0 };
        for (what, is, should) in [
            ("expected", audit.expected, audit.sent * groups),
            ("distinct", audit.distinct, audit.expected),
            ("received", audit.received, audit.expected),
            ("acked", audit.acked, acked),
            ("failed", audit.failed, 0),
            ("unresolved", audit.unresolved, 0),
            ("lost acked", audit.lost_acked, 0),
            ("out of order", audit.out_of_order, 0),
            ("unexpected", audit.unexpected, 0),
            ("corrupted", audit.corrupted, 0),
            ("reclaimed", audit.reclaimed, 0),
        ] {
            if is != should {
                found.push(format!("{what}: {is}, not {should}"));
            }
        }
        found
    }

    /// What is wrong where it took longer than this.
    pub fn late(&self, limit: Duration) -> Option<String> {
        (self.took > limit).then(|| format!("it took {:?}", self.took))
    }

    /// What is wrong where it was not asked to end, or took longer than this to do so.
    pub fn late_to_end(&self, limit: Duration) -> Option<String> {
        match self.end_took {
            None => Some("nobody asked it to end".to_owned()),
            Some(took) => (took > limit).then(|| format!("its end took {took:?}")),
        }
    }

    /// What is wrong where it wrote to standard error.
    pub fn complained(&self) -> Option<String> {
        (!self.complaints.is_empty()).then(|| format!("standard error: {}", self.complaints))
    }

    #[track_caller]
    pub fn assert_complete(&self, task: &Task) {
        assert_eq!(self.problems(task), Vec::<String>::new());
    }

    pub fn fact(&self, key: &str) -> Option<&str> {
        let facts = &self.record.server_facts;
        Some(&facts.iter().find(|(k, _)| k == key)?.1)
    }
}
