//! What held a trial back, as far as the shares of CPU time tell.

use serde::{Deserialize, Serialize};

use crate::measure::resources::Usage;

/// A party that used this much of one core had no more to give: most clients and many brokers do the
/// work of one connection on one thread.
const FULL_CORE: f64 = 0.9;
/// With less of all CPU time than this unused, the host was full.
const IDLE: f64 = 0.05;

/// What bounds the throughput of a closed loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Publishing or consuming took a whole core.
    Client,
    /// The broker took a whole core.
    Broker,
    /// Neither: the messages in flight waited for their way through.
    Window,
}

impl Bound {
    /// As columns write it.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Client => "client",
            Bound::Broker => "broker",
            Bound::Window => "window",
        }
    }

    /// What bounded a closed loop; `None` where the usage was not read.
    ///
    /// The threads of a role are summed up, so with several of them *client* means that together they
    /// took a core, not that each was full.
    pub fn of(usage: &Usage) -> Option<Bound> {
        if usage.seconds <= 0.0 {
            return None;
        }
        let full = |seconds: f64| seconds >= FULL_CORE * usage.seconds;
        Some(if full(usage.publish_s) || full(usage.consume_s) {
            Bound::Client
        } else if full(usage.brokers_s) {
            Bound::Broker
        } else {
            Bound::Window
        })
    }
}

/// Who used the CPU of a host whose cores were full. Shares of all CPU time, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostLimited {
    /// Publishing threads.
    pub publishers: f64,
    /// Consuming threads.
    pub consumers: f64,
    /// The brokers under test.
    pub broker: f64,
    /// Everything else that was not idle: the kernel, interrupts, the hypervisor, other processes.
    pub others: f64,
}

impl HostLimited {
    /// The shares where the host was full, else `None`.
    pub fn of(usage: &Usage) -> Option<HostLimited> {
        if usage.capacity_s <= 0.0 || usage.share(usage.idle_s) >= IDLE {
            return None;
        }
        let [publishers, consumers, broker, idle] = [
            usage.publish_s,
            usage.consume_s,
            usage.brokers_s,
            usage.idle_s,
        ]
        .map(|seconds| usage.share(seconds));
        Some(HostLimited {
            publishers,
            consumers,
            broker,
            others: (1.0 - publishers - consumers - broker - idle).max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        Usage {
            seconds: 10.0,
            capacity_s: 20.0,
            idle_s: 4.0,
            publish_s: 2.0,
            consume_s: 3.0,
            brokers_s: 8.0,
            ..Usage::default()
        }
    }

    #[test]
    fn whoever_fills_a_core_bounds_a_closed_loop() {
        assert_eq!(Bound::of(&usage()), Some(Bound::Window));
        let broker = Usage {
            brokers_s: 9.5,
            ..usage()
        };
        assert_eq!(Bound::of(&broker), Some(Bound::Broker));
        let client = Usage {
            consume_s: 9.5,
            ..broker
        };
        assert_eq!(Bound::of(&client), Some(Bound::Client));
        assert_eq!(Bound::of(&Usage::default()), None);
    }

    #[test]
    fn a_full_host_says_who_filled_it() {
        assert_eq!(HostLimited::of(&usage()), None);
        let full = Usage {
            idle_s: 0.4,
            ..usage()
        };
        let shares = HostLimited::of(&full).unwrap();
        assert_eq!(
            [shares.publishers, shares.consumers, shares.broker],
            [0.1, 0.15, 0.4]
        );
        assert!((shares.others - 0.33).abs() < 1e-9);
    }
}
