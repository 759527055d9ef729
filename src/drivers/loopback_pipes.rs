//! The pipes of `loopback`: messages go from publishers to consumers in reused chunks.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use tokio::sync::Notify;

use crate::engine::shared::lock;
use crate::engine::task::Task;

/// Bytes after which a pipe starts a new chunk.
const CHUNK: usize = 64 << 10;
/// Empty chunks that a pipe keeps for reuse.
const SPARE: usize = 16;
/// Chunks that wait in a pipe before publishers do: a queue has its limits, and so memory has.
const LIMIT: usize = 64;

/// Messages on their way to one consumer.
#[derive(Default)]
pub(super) struct Pipe {
    state: Mutex<PipeState>,
    waker: AtomicWaker,
    /// Whether the consumer waits; so a publisher need not touch the waker for each message.
    waiting: AtomicBool,
    /// Publishers that wait for room.
    room: Notify,
}

#[derive(Default)]
struct PipeState {
    full: VecDeque<Chunk>,
    spare: Vec<Chunk>,
}

/// Messages one after the other.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<usize>,
}

impl Chunk {
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }
}

impl Pipe {
    /// Puts messages in, as many as `write` ends in the chunk, and tells the consumer.
    pub(super) fn push(&self, write: impl FnOnce(&mut Chunk)) {
        let mut state = lock(&self.state);
        if state
            .full
            .back()
            .is_none_or(|chunk| chunk.bytes.len() > CHUNK)
        {
            let fresh = state.spare.pop().unwrap_or_default();
            state.full.push_back(fresh);
        }
        if let Some(chunk) = state.full.back_mut() {
            write(chunk);
        }
        drop(state);
        if self.waiting.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    pub(super) fn pop(&self) -> Option<Chunk> {
        lock(&self.state).full.pop_front()
    }

    pub(super) fn recycle(&self, mut chunk: Chunk) {
        chunk.bytes.clear();
        chunk.ends.clear();
        let mut state = lock(&self.state);
        if state.spare.len() < SPARE {
            state.spare.push(chunk);
        }
        let has_room = state.full.len() + 1 == LIMIT;
        drop(state);
        if has_room {
            self.room.notify_waiters();
        }
    }

    /// Waits until it is not full.
    pub(super) async fn await_room(&self) {
        loop {
            // Before looking, so that a notice in between is not missed.
            let notified = self.room.notified();
            if lock(&self.state).full.len() < LIMIT {
                return;
            }
            notified.await;
        }
    }

    /// The next chunk, when there is one.
    pub(super) async fn next(&self) -> Chunk {
        poll_fn(|cx| {
            if let Some(chunk) = self.pop() {
                return Poll::Ready(chunk);
            }
            self.waker.register(cx.waker());
            self.waiting.store(true, Ordering::SeqCst);
            match self.pop() {
                Some(chunk) => Poll::Ready(chunk),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The pipes of a trial, and who takes part.
pub(super) struct Hub {
    /// By group and consumer.
    pub(super) pipes: Vec<Vec<Pipe>>,
    /// By destination: the consumers of any group that read it.
    pub(super) readers: Vec<Vec<usize>>,
    /// By group and destination: whose turn it is.
    pub(super) turns: Vec<Vec<AtomicUsize>>,
    pub(super) acks: bool,
    /// Whether publishers wait for room. A backlog that is preloaded has nobody yet to make any.
    pub(super) is_bounded: bool,
    /// By publisher: the consumer that gets all of its messages.
    only_readers: Vec<Option<usize>>,
}

impl Hub {
    pub(super) fn new(task: &Task) -> Hub {
        let workload = &task.workload;
        let groups = if workload.consumers == 0 {
            0
        } else {
            workload.groups
        };
        let readers = task.readers();
        Hub {
            pipes: (0..groups)
                .map(|_| (0..workload.consumers).map(|_| Pipe::default()).collect())
                .collect(),
            turns: (0..groups)
                .map(|_| {
                    (0..workload.destinations)
                        .map(|_| AtomicUsize::new(0))
                        .collect()
                })
                .collect(),
            acks: task.acks,
            is_bounded: workload.publishers > 0,
            only_readers: (0..workload.publishers.max(1))
                .map(|publisher| only_reader(task, &readers, groups, publisher))
                .collect(),
            readers,
        }
    }

    /// The one pipe that all messages of a publisher go to, if there is one.
    pub(super) fn only_pipe(&self, publisher: usize) -> Option<&Pipe> {
        let reader = *self.only_readers.get(publisher)?;
        self.pipes.first()?.get(reader?)
    }

    /// The consumer of a group that gets the next message of a destination.
    pub(super) fn reader(&self, group: usize, destination: usize) -> usize {
        match self.readers[destination].as_slice() {
            [only] => *only,
            several => {
                let turn = self.turns[group][destination].fetch_add(1, Ordering::Relaxed);
                several[turn % several.len()]
            }
        }
    }
}

/// The one consumer that gets all messages of a publisher, if there is one.
fn only_reader(task: &Task, readers: &[Vec<usize>], groups: u32, publisher: u32) -> Option<usize> {
    let [destination] = task.destinations_by(publisher)[..] else {
        return None;
    };
    match readers[destination as usize][..] {
        [only] if groups == 1 => Some(only),
        _ => None,
    }
}
