//! What is typed to have runs judged by each other.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::scenario::units::Fraction;
use crate::stats::figure::Asked;

use super::FormatArg;

/// How things are compared.
#[derive(Debug, Args)]
pub struct Comparing {
    /// Compare these figures: received/s, sent/s, p99, p99(publish), broker-cpu, client-cpu; the workload's
    /// own without
    #[arg(long, short, value_name = "FIGURE")]
    pub metric: Vec<Asked>,
    /// Call a change what is beyond this: 5%; without, 5 % for throughput and medians, 10 % for other
    /// percentiles
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub margin: Option<f64>,
    /// List brokers by this figure, the best first
    #[arg(long, value_name = "FIGURE")]
    pub sort: Option<Asked>,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value = "text", env = "MQBENCH_FORMAT")]
    pub format: FormatArg,
}

/// A share above nothing and at most all.
fn share(text: &str) -> Result<f64, String> {
    let share: Fraction = text.parse().map_err(|error| format!("{error}"))?;
    match share.0 > 0.0 && share.0 <= 1.0 {
        true => Ok(share.0),
        false => Err("it must be above 0 % and at most 100 %".to_owned()),
    }
}

/// `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The folder of a run, or its results.json
    pub result: PathBuf,
    /// A second run, to be compared with the first
    pub other: Option<PathBuf>,
    /// Compare with this broker of the run rather than with the best
    #[arg(long, value_name = "BROKER")]
    pub reference: Option<String>,
    /// Write the comparison as a page here
    #[arg(long, value_name = "PATH")]
    pub export_html: Option<PathBuf>,
    /// How.
    #[command(flatten)]
    pub comparing: Comparing,
}

/// `gate`.
#[derive(Debug, Args)]
pub struct Gate {
    /// The run that the other is judged by
    #[arg(long, value_name = "RESULT")]
    pub baseline: PathBuf,
    /// The run that is judged
    #[arg(long, value_name = "RESULT")]
    pub candidate: PathBuf,
    /// What is let through, and where that is told.
    #[command(flatten)]
    pub gating: Gating,
    /// Write the comparison as Markdown here, for a comment on a pull request
    #[arg(long, value_name = "PATH")]
    pub export_markdown: Option<PathBuf>,
    /// How.
    #[command(flatten)]
    pub comparing: Comparing,
}

/// How one run is judged by another.
#[derive(Debug, Args)]
pub struct Gating {
    /// Let only through what is shown not to be worse than the baseline
    #[arg(long)]
    pub strict: bool,
    /// Take a baseline that differs in this
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub allow: Vec<Allowed>,
    /// Write what the gate found for test runners here (JUnit)
    #[arg(long, value_name = "PATH")]
    pub export_junit: Option<PathBuf>,
    /// Append the comparison as Markdown here; GitHub names the file by itself
    #[arg(
        long,
        value_name = "PATH",
        env = "GITHUB_STEP_SUMMARY",
        hide_env_values = true
    )]
    pub step_summary: Option<PathBuf>,
}

/// In what a baseline may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Allowed {
    /// Another workload, or other settings
    Scenario,
    /// Another machine
    Machine,
}

/// `history`.
#[derive(Debug, Args)]
pub struct History {
    /// A folder with runs in it, at any depth
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// These figures: received/s, sent/s, p99, p99(publish), broker-cpu, client-cpu; without, throughput and
    /// the 50th and 99th percentile of the headline latency
    #[arg(long, short, value_delimiter = ',', value_name = "FIGURE")]
    pub metric: Vec<Asked>,
    /// Only these brokers
    #[arg(long, short, value_delimiter = ',', value_name = "NAME")]
    pub broker: Vec<String>,
    /// Call a change what is beyond this: 5%; without, 5 % for throughput and medians, 10 % for other
    /// percentiles
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub margin: Option<f64>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text", env = "MQBENCH_FORMAT")]
    pub format: FormatArg,
}
