//! What several tests start from.

use std::collections::BTreeMap;
use std::time::Duration;

use mqbench::engine::task::{Order, Task, WindowBy};
use mqbench::scenario::units::{Rate, Size};
use mqbench::scenario::workload::{
    AckPolicy, Arrival, Delivery, Durability, Load, Measure, Message, Pattern, Payload, Phases,
    WeightedSize, Workload,
};

/// A thousand messages a second for ten seconds, from one publisher to one consumer.
pub fn task() -> Task {
    Task {
        run: 7,
        trial: 1,
        run_id: "test".to_owned(),
        seed: 42,
        driver: "loopback".to_owned(),
        url: None,
        user: None,
        password: None,
        token: None,
        tls: None,
        nodes: 1,
        destination: None,
        options: BTreeMap::new(),
        delivery: Delivery::AtLeastOnce,
        durability: Durability::Memory,
        acks: true,
        order: Order::PerPublisher,
        window: WindowBy::Acks,
        workload: Workload {
            pattern: Pattern::Queue,
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Memory,
            message: Message {
                sizes: vec![WeightedSize {
                    size: Size(64),
                    weight: 1.0,
                }],
                payload: Payload::Zeros,
                keys: 0,
                verify: true,
            },
            load: Load::Rate {
                rate: Rate(1000.0),
                arrival: Arrival::Uniform,
            },
            publishers: 1,
            consumers: 1,
            groups: 1,
            destinations: 1,
            in_flight: 100_000,
            ack: AckPolicy {
                every: 100,
                within: Duration::from_millis(10),
            },
            transaction: None,
        },
        phases: Phases {
            warmup: Duration::from_secs(1),
            measure: Measure::Time(Duration::from_secs(10)),
            drain: Duration::from_secs(5),
        },
    }
}
