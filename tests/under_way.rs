//! What is on its way, on the simulated clock: in closed loops without acknowledgements never more than
//! a window, whoever is slow, and nothing waits for what is lost; in open loops a queue that grows.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mqbench::drivers::faults::{Faults, Model};
use mqbench::engine::acks::Token;
use mqbench::engine::simulation::{Broker, Event, Generator, simulate};
use mqbench::engine::task::{Order, Task, WindowBy};
use mqbench::measure::record::Record;
use mqbench::measure::verdict::{Outcome, Promise, judge};
use mqbench::scenario::workload::{Delivery, Load, Measure};

const MS: u64 = 1_000_000;
const WINDOW: u32 = 64;

/// As fast as receipts allow, for two seconds.
fn task(consumers: u32, destinations: u32) -> Task {
    let mut task = support::task();
    (task.acks, task.delivery) = (false, Delivery::AtMostOnce);
    task.workload.delivery = Delivery::AtMostOnce;
    task.workload.load = Load::Max;
    task.workload.in_flight = WINDOW;
    task.workload.consumers = consumers;
    task.workload.destinations = destinations;
    task.window = WindowBy::of(&task.workload, false, false);
    task.phases.measure = Measure::Time(Duration::from_secs(2));
    assert_eq!(task.window, WindowBy::Receipts);
    task
}

/// What waits for one consumer: when each message is through, and the message.
type Queue = VecDeque<(u64, Vec<u8>)>;

/// Deals messages out to the readers of their destination in turn; each consumer takes its own time
/// for a message. Remembers how many messages ever waited for a group.
struct Queues {
    readers: Vec<Vec<usize>>,
    /// By group and consumer: the time for a message, nanoseconds; `u64::MAX` hangs.
    times: Vec<Vec<u64>>,
    /// Every so many deliveries to a group are lost; 0: none.
    lose_every: u64,
    /// Whether it says how many messages wait.
    tells: bool,
    turns: BTreeMap<(usize, u32), usize>,
    accepted: u64,
    waiting: Vec<Vec<Queue>>,
    most: usize,
}

impl Queues {
    fn new(task: &Task, times: &[&[u64]]) -> Queues {
        Queues {
            readers: task.readers(),
            times: times.iter().map(|group| group.to_vec()).collect(),
            lose_every: 0,
            tells: false,
            turns: BTreeMap::new(),
            accepted: 0,
            waiting: times
                .iter()
                .map(|group| vec![VecDeque::new(); group.len()])
                .collect(),
            most: 0,
        }
    }
}

impl Broker for Queues {
    fn begin(&mut self, _start: u64, _measured_from: u64) {}

    fn accept(&mut self, now: u64, _: usize, _: Token, destination: u32, bytes: Vec<u8>) {
        self.accepted += 1;
        if self.lose_every > 0 && self.accepted.is_multiple_of(self.lose_every) {
            return;
        }
        for (group, queues) in self.waiting.iter_mut().enumerate() {
            let readers = &self.readers[destination as usize];
            let turn = self.turns.entry((group, destination)).or_default();
            let consumer = readers[*turn % readers.len()];
            *turn += 1;
            let free = queues[consumer].back().map_or(now, |last| last.0);
            let at = free.max(now).saturating_add(self.times[group][consumer]);
            queues[consumer].push_back((at, bytes.clone()));
            let waiting = queues.iter().map(VecDeque::len).sum();
            self.most = self.most.max(waiting);
        }
    }

    fn backlog(&self) -> Option<u64> {
        let waiting = self
            .waiting
            .iter()
            .flatten()
            .map(VecDeque::len)
            .sum::<usize>();
        self.tells.then_some(waiting as u64)
    }

    fn next_at(&self) -> Option<u64> {
        let queues = self.waiting.iter().flatten();
        let next = queues.filter_map(|queue| Some(queue.front()?.0)).min();
        next.filter(|at| *at < u64::MAX)
    }

    fn next(&mut self, now: u64) -> Option<Event> {
        for (group, queues) in self.waiting.iter_mut().enumerate() {
            for (consumer, queue) in queues.iter_mut().enumerate() {
                if queue.front().is_some_and(|first| first.0 <= now)
                    && let Some((_, bytes)) = queue.pop_front()
                {
                    return Some(Event::Deliver {
                        group,
                        consumer,
                        bytes,
                    });
                }
            }
        }
        None
    }
}

fn run(task: &Task, broker: &mut dyn Broker) -> Record {
    let record = simulate(task.clone(), broker, Generator::default()).expect("simulated");
    assert_eq!(record.audit.contradictions(), Vec::<String>::new());
    record
}

#[test]
fn the_slow_one_of_several_consumers_bounds_what_is_under_way() {
    for (consumers, destinations) in [(2, 1), (2, 2), (2, 5), (5, 2)] {
        let task = task(consumers, destinations);
        let mut times = vec![MS / 100; consumers as usize];
        times[0] = 20 * MS;
        let mut broker = Queues::new(&task, &[&times]);
        let record = run(&task, &mut broker);
        let most = broker.most as u32;
        assert!(
            (WINDOW / 2..=WINDOW).contains(&most),
            "{consumers}, {destinations}: {most} under way"
        );
        assert_eq!((record.audit.lost, record.audit.reclaimed), (0, 0));
    }
}

#[test]
fn the_slowest_group_bounds_what_is_under_way() {
    let mut task = task(2, 1);
    task.workload.groups = 2;
    let mut broker = Queues::new(&task, &[&[MS, MS], &[MS / 100, 20 * MS]]);
    let record = run(&task, &mut broker);
    assert_eq!(broker.most as u32, WINDOW);
    assert_eq!((record.audit.lost, record.audit.reclaimed), (0, 0));
}

#[test]
fn a_consumer_that_hangs_holds_the_window_until_its_messages_are_given_up() {
    let task = task(2, 1);
    let mut broker = Queues::new(&task, &[&[MS / 100, u64::MAX]]);
    let record = run(&task, &mut broker);
    // Three seconds of load: twice nothing came for one.
    assert_eq!(record.audit.reclaimed, 2 * u64::from(WINDOW));
    assert_eq!(broker.most as u32, 3 * WINDOW);
}

#[test]
fn what_is_lost_is_not_waited_for_where_something_later_came_through() {
    // Each consumer takes a thousand a second, so the one with the largest share says how many all get.
    for (consumers, destinations, all) in [
        (1, 1, 1_000.0),
        (2, 1, 2_000.0),
        (1, 3, 1_000.0),
        (2, 5, 1_000.0 * 5.0 / 3.0),
        (5, 2, 4_000.0),
    ] {
        let task = task(consumers, destinations);
        let mut broker = Queues::new(&task, &[&vec![MS; consumers as usize]]);
        // With a prime the losses hit every consumer.
        broker.lose_every = 11;
        let record = run(&task, &mut broker);
        assert!(record.audit.lost > 100, "{:?}", record.audit);
        assert_eq!(record.audit.reclaimed, 0, "{consumers}, {destinations}");
        let received = record.rates.received;
        assert!(
            received > 0.98 * all,
            "{consumers}, {destinations}: {received}"
        );
    }
}

#[test]
fn where_no_order_is_promised_what_is_lost_is_given_up_after_a_time() {
    let mut task = task(1, 1);
    task.order = Order::None;
    let mut broker = Queues::new(&task, &[&[MS]]);
    broker.lose_every = 4;
    let record = run(&task, &mut broker);
    assert!(record.audit.reclaimed > 0, "{:?}", record.audit);
    assert!(record.audit.received > u64::from(WINDOW), "it goes on");
}

#[test]
fn copies_and_latecomers_do_not_widen_the_window() {
    for consumers in [1, 2] {
        let task = task(consumers, 1);
        let faults = Faults {
            service_time: MS / 10,
            duplicate: 0.3,
            reorder: 0.1,
            ..Faults::default()
        };
        let mut model = Model::new(&task, faults);
        let record = run(&task, &mut model);
        assert!(record.audit.duplicated > 1_000);
        // Copies are told from messages once in a quarter of a window.
        let most = record.series.iter().map(|second| second.backlog).max();
        let bound = u64::from(WINDOW + WINDOW / 4);
        assert!(most <= Some(bound), "{most:?} under way");
        let received = record.audit.distinct as f64 / record.seconds;
        assert!(received > 9_000.0, "{received}");
    }
}

#[test]
fn a_queue_that_grows_before_one_of_several_consumers_is_saturation() {
    for (consumers, destinations) in [(2, 1), (2, 2), (2, 4)] {
        let mut task = task(consumers, destinations);
        task.workload.load = support::task().workload.load;
        task.window = WindowBy::Nothing;
        let mut broker = Queues::new(&task, &[&[MS / 100, 20 * MS]]);
        let record = run(&task, &mut broker);
        // It gets half of a thousand messages a second, and takes fifty.
        let slope = record.backlog_slope.expect("enough looks");
        assert!(
            slope.low > 445.0 && slope.high < 455.0,
            "{consumers}, {destinations}: {slope:?}"
        );
    }
}

#[test]
fn where_no_order_tells_what_is_late_the_broker_does() {
    for tells in [false, true] {
        let mut task = task(2, 1);
        task.workload.load = support::task().workload.load;
        (task.window, task.order) = (WindowBy::Nothing, Order::None);
        task.phases.measure = Measure::Time(Duration::from_secs(22));
        task.phases.drain = Duration::from_secs(300);
        let mut broker = Queues::new(&task, &[&[MS / 100, 20 * MS]]);
        broker.tells = tells;
        let record = run(&task, &mut broker);
        let promise = Promise {
            delivery: task.delivery,
            acks: task.acks,
        };
        let verdict = judge(&record, &task.workload, promise);
        // The fast consumer gets what was sent last: nothing seems to be on its way.
        assert!(record.backlog_slope.expect("enough looks").low < 1.0);
        if !tells {
            assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
            continue;
        }
        let said = "the broker's own backlog grew by 450 messages a second";
        assert_eq!(
            (verdict.outcome, verdict.reason.as_str()),
            (Outcome::Saturated, said)
        );
        let series = record.series.iter().filter_map(|s| s.server_backlog);
        assert!(series.count() >= 22);
    }
}

#[test]
fn what_the_broker_still_holds_when_the_drain_ends_is_late_and_not_lost() {
    for (hangs, tells, cut) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let mut task = task(1, 1);
        task.workload.load = support::task().workload.load;
        task.window = WindowBy::Nothing;
        let mut broker = Queues::new(&task, &[&[if hangs { u64::MAX } else { MS / 10 }]]);
        (broker.tells, broker.lose_every) = (tells, 11);
        let record = run(&task, &mut broker);
        assert!(record.audit.lost > 0);
        assert_eq!(record.drain_cut, cut, "{hangs}, {tells}");
    }
}

/// Loses a tenth of the messages; a consumer loses its connection for a while, or the broker answers nothing any more.
struct Interrupted {
    queues: Queues,
    /// From when on it does not say how many messages wait, from the start of the load.
    silent_from: u64,
    /// When the consumer goes and when it is back, from the start of the load; none is left when both have been.
    turns: VecDeque<(u64, Event)>,
}

impl Broker for Interrupted {
    fn begin(&mut self, start: u64, _: u64) {
        for (at, _) in &mut self.turns {
            *at += start;
        }
        self.silent_from = self.silent_from.saturating_add(start);
    }

    fn accept(&mut self, now: u64, publisher: usize, token: Token, to: u32, bytes: Vec<u8>) {
        self.queues.accept(now, publisher, token, to, bytes);
    }

    fn backlog(&self) -> Option<u64> {
        Some(0)
    }

    fn is_silent(&self, now: u64) -> bool {
        now >= self.silent_from
    }

    fn next_at(&self) -> Option<u64> {
        let turn = self.turns.front().map(|(at, _)| *at);
        turn.into_iter().chain(self.queues.next_at()).min()
    }

    fn next(&mut self, now: u64) -> Option<Event> {
        match self.turns.front().is_some_and(|(due, _)| *due <= now) {
            true => self.turns.pop_front().map(|(_, event)| event),
            false => self.queues.next(now),
        }
    }
}

#[test]
fn a_drain_that_ends_while_nothing_can_come_was_cut() {
    let s = 1_000 * MS;
    // The load lasts for three seconds, the drain for five.
    for (away, back, silent_from, cut) in [
        (Some(2 * s), None, u64::MAX, true),
        (Some(2 * s), Some(7 * s + 600 * MS), u64::MAX, true),
        (Some(2 * s), Some(7 * s), u64::MAX, false),
        (None, None, 5 * s, true),
        (None, None, u64::MAX, false),
    ] {
        let mut task = task(1, 1);
        task.workload.load = support::task().workload.load;
        task.window = WindowBy::Nothing;
        let load = task.phases.warmup + Duration::from_secs(2);
        assert_eq!(
            (load, task.phases.drain),
            (Duration::from_secs(3), Duration::from_secs(5))
        );
        let mut queues = Queues::new(&task, &[&[MS / 10]]);
        queues.lose_every = 11;
        let (group, consumer) = (0, 0);
        let gone = away.map(|at| (at, Event::Away { group, consumer }));
        let there = back.map(|at| (at, Event::Back { group, consumer }));
        let mut broker = Interrupted {
            queues,
            silent_from,
            turns: gone.into_iter().chain(there).collect(),
        };
        let record = run(&task, &mut broker);
        assert!(record.audit.lost > 0);
        assert_eq!(record.drain_cut, cut, "{away:?}, {back:?}, {silent_from}");
    }
}

#[test]
fn losses_are_no_queue_that_grows() {
    for (consumers, destinations) in [(1, 1), (2, 1), (1, 3), (3, 5)] {
        let mut task = task(consumers, destinations);
        task.workload.load = support::task().workload.load;
        task.window = WindowBy::Nothing;
        let mut broker = Queues::new(&task, &[&vec![MS / 10; consumers as usize]]);
        broker.lose_every = 11;
        let record = run(&task, &mut broker);
        let slope = record.backlog_slope.expect("enough looks");
        assert!(slope.low < 1.0, "{consumers}, {destinations}: {slope:?}");
    }
}

#[test]
fn a_window_of_one_goes_on_with_any_number_of_consumers() {
    for consumers in [1, 3] {
        let mut task = task(consumers, 1);
        task.workload.in_flight = 1;
        let mut broker = Queues::new(&task, &[&vec![MS; consumers as usize]]);
        let record = run(&task, &mut broker);
        assert_eq!(broker.most, 1);
        assert!((record.rates.received - 1_000.0).abs() < 10.0);
    }
}
