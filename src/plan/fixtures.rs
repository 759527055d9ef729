//! Invented systems for tests of the plan.

use crate::drivers::descriptor::{
    Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting,
};
use crate::scenario::workload::{Delivery, Durability, Pattern};

const fn offer(
    delivery: Delivery,
    durability: Durability,
    acks: bool,
    settings: &'static [Setting],
) -> Offer {
    Offer {
        delivery,
        durability,
        acks,
        order: Order::PerPublisher,
        settings,
        note: "",
    }
}

const fn option(name: &'static str, kind: OptionKind, default: Option<&'static str>) -> OptionSpec {
    OptionSpec {
        name,
        kind,
        default,
        about: "An invented option.",
    }
}

const fn pattern(pattern: Pattern, shared: bool) -> PatternSpec {
    PatternSpec {
        pattern,
        shared,
        how: "subject",
    }
}

/// Subjects without storage.
pub static WIRE: Descriptor = Descriptor {
    name: "wire",
    title: "Wire",
    about: "Subjects without storage.",
    client: "none",
    schemes: &["wire", "wires"],
    server: Some("wired"),
    options: &[],
    patterns: &[
        pattern(Pattern::Queue, true),
        pattern(Pattern::FanOut, true),
    ],
    offers: &[offer(Delivery::AtMostOnce, Durability::Memory, false, &[])],
    holds_backlog: false,
    needs_consumers: &[],
    transactions: &[],
    security: &["user", "password", "token", "tls"],
    needs_threads: false,
    ranked: true,
};

/// A log on the same server.
pub static LOG: Descriptor = Descriptor {
    name: "wire-log",
    title: "Wire Log",
    about: "A log on the same server.",
    client: "none",
    schemes: &["wire"],
    server: Some("wired"),
    options: &[
        option("prefetch", OptionKind::Count(1, 1000), Some("100")),
        option(
            "compression",
            OptionKind::Choice(&["none", "lz4"]),
            Some("none"),
        ),
        option("linger", OptionKind::Time, Some("0s")),
        option("segment", OptionKind::Size, None),
        option("loss", OptionKind::Fraction, None),
        option("mirrored", OptionKind::Flag, Some("false")),
        option("subject", OptionKind::Text, None),
        option("stall", OptionKind::Stall, None),
    ],
    patterns: &[
        pattern(Pattern::Queue, true),
        pattern(Pattern::FanOut, true),
    ],
    offers: &[
        offer(
            Delivery::AtLeastOnce,
            Durability::Memory,
            true,
            &[Setting::server("storage", "memory")],
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Fsync,
            true,
            &[
                Setting::server("storage", "file"),
                Setting::publisher("confirm", "each"),
            ],
        ),
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[],
    security: &[],
    needs_threads: false,
    ranked: true,
};

/// Sockets without a server.
pub static PIPE: Descriptor = Descriptor {
    name: "pipe",
    title: "Pipe",
    about: "Sockets without a server.",
    client: "none",
    schemes: &[],
    server: None,
    options: &[],
    patterns: &[pattern(Pattern::Queue, false)],
    offers: &[offer(Delivery::AtMostOnce, Durability::Memory, false, &[])],
    holds_backlog: false,
    needs_consumers: &[Pattern::Queue],
    transactions: &[],
    security: &[],
    needs_threads: true,
    ranked: true,
};

/// All of them.
pub static DRIVERS: &[&Descriptor] = &[&WIRE, &LOG, &PIPE];
