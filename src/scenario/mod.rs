//! What was asked.
pub mod decode;
pub mod source;
pub mod suggest;
pub mod tree;
pub mod units;
pub mod workload;
