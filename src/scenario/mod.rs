pub mod units;
pub mod workload;
