//! The hot path allocates nothing per message, counted by the allocator itself.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use mqbench::engine::acks::Token;
use mqbench::engine::inbox::Inbox;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::outbox::{Next, Outbox, ThreadRecords};
use mqbench::measure::clock::{Clock, Monotonic};
use mqbench::scenario::units::{Rate, Size};
use mqbench::scenario::workload::{Arrival, Load};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory that
// it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's own promise about the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, hence from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Passes so many messages through outbox, bytes, inbox and acknowledgement.
fn pass(
    outbox: &mut Outbox,
    inbox: &mut Inbox,
    tokens: &mut Vec<Token>,
    bytes: &mut Vec<u8>,
    count: u64,
) {
    let acks = outbox.acks();
    let mut passed = 0;
    while passed < count {
        match outbox.poll(64) {
            Next::Due(due) => {
                passed += due as u64;
                while let Some(message) = outbox.next() {
                    bytes.clear();
                    message.append_to(bytes);
                    tokens.push(message.token);
                    inbox.received(bytes);
                }
                acks.acked_all(tokens.drain(..));
            }
            Next::At(_) | Next::Credit(_) => std::hint::spin_loop(),
            Next::End => panic!("the load ended early"),
        }
    }
}

#[test]
fn no_message_allocates_in_an_open_or_a_closed_loop() {
    let open = Load::Rate {
        rate: Rate(5e6),
        arrival: Arrival::Poisson,
    };
    for load in [Load::Max, open] {
        let mut task = support::task();
        task.workload.load = load.clone();
        task.workload.message.sizes[0].size = Size(100);
        task.workload.in_flight = 1024;
        let ledger = Ledger::open(task).unwrap();
        ledger.timeline.begin(Monotonic.now());
        let records = ThreadRecords::new(&ledger);
        let mut outbox = Outbox::new(&ledger, Monotonic, 0, &records);
        let mut inbox = Inbox::new(&ledger, Monotonic, 0, 0);
        let (mut tokens, mut bytes) = (Vec::with_capacity(64), Vec::with_capacity(256));
        pass(&mut outbox, &mut inbox, &mut tokens, &mut bytes, 500_000);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let count = 1_000_000;
        pass(&mut outbox, &mut inbox, &mut tokens, &mut bytes, count);
        let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
        // A histogram grows when a value is larger than any before: that is for its range, not for a message.
        assert!(
            made <= 40,
            "{made} allocations for {count} messages, {load:?}"
        );
        outbox.acks();
    }
}
