//! What was asked: from YAML to a [`Scenario`].
//!
//! ```text
//! text → tree (every value knows its place) → --set, ${VARIABLE} → document (the grammar)
//!      → resolve (defaults, written down) → validate → --broker, --quick → Scenario
//! ```
//!
//! Nothing here knows a broker: options of drivers pass through as they were written.

pub mod brokers;
pub mod builtin;
pub mod decode;
pub mod document;
mod either;
mod findings;
pub mod judgeable;
pub mod load;
pub mod logins;
pub mod model;
pub mod overrides;
pub mod placement;
pub mod quick;
pub mod resolve;
pub mod search;
pub mod secret;
pub mod source;
pub mod suggest;
mod sweep;
pub mod threshold;
pub mod tree;
pub mod units;
pub mod unsupported;
pub mod validate;
pub mod words;
pub mod workload;

pub use brokers::{BrokerEntry, BrokerOption, Managed, Tls};
pub use load::{load, parse};
pub use model::{Disturbed, FilledIn, SMALLEST_MESSAGE, Scenario};
pub use overrides::Overrides;
pub use placement::{Limits, Pinned, Placement};
pub use search::Objective;
pub use secret::Secret;
pub use source::Place;
pub use threshold::Threshold;

#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;
