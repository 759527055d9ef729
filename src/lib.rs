//! mqbench: benchmarks message brokers against each other.
//!
//! The modules read in the order in which a run happens, and each uses only what stands before it in
//! this list: terminal, scenario, measure, engine, drivers, servers, plan, results, stats, report,
//! processes, cli.

pub mod drivers;
pub mod engine;
pub mod measure;
pub mod plan;
pub mod processes;
pub mod report;
pub mod results;
pub mod scenario;
pub mod stats;
pub mod terminal;
