//! The command line as it is typed.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::Format;
use crate::report::files::PictureFormat;

mod comparing;

pub use comparing::{Allowed, Compare, Comparing, Gate, Gating, History};

/// Benchmarks message brokers against each other: same guarantee, open-loop load, every message
/// accounted for.
#[derive(Debug, Parser)]
#[command(
    name = "mqbench",
    version,
    max_term_width = 100,
    subcommand_required = false,
    arg_required_else_help = false,
    after_help = "\
Examples:
  mqbench run latency --quick                      a first table in about a minute
  mqbench run latency --broker nats --set workload.load.rate=20k/s
  mqbench check scenarios/latency.yaml             the plan, and nothing else
  mqbench drivers redis-streams                    what a system can give, and its options
  mqbench calibrate                                what this machine can tell apart"
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// The command; none shows the help.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// When to use colour (NO_COLOR is honoured)
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        env = "MQBENCH_COLOR"
    )]
    pub color: When,
    /// No progress and no remarks; results and errors only
    #[arg(long, short, global = true, env = "MQBENCH_QUIET")]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Also in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the brokers of a scenario side by side
    #[command(after_help = "\
Examples:
  mqbench run latency                              a built-in scenario (`mqbench list`)
  mqbench run my.yaml --trials 10 --out results/nightly
  mqbench run latency --broker nats,zeromq --set workload.message.size=1KiB
  mqbench run latency --format csv > latency.csv
  mqbench run latency --baseline results/main      fails where something got worse
  mqbench run --from results/latest                the same plan once more: seed, order, settings

Exit codes:
  0 done · 2 usage or scenario · 3 a broker failed · 4 not valid: a promise was broken, or a
  threshold stands on a trial that is not ok · 99 a threshold was missed, or something is worse than the
  baseline · 130 interrupted")]
    Run(Box<Run>),
    /// Print the comparison of a stored result again
    #[command(after_help = "\
Examples:
  mqbench report results/latest
  mqbench report results/latest --format markdown
  mqbench report results/latest -o copy            the page, CSV files, histogram log and charts, made again
  mqbench report results/latest --export-html latency.html
  mqbench report results/latest --export-svg slides")]
    Report(Report),
    /// Put the brokers of one run, or two runs, side by side: ratios, intervals, verdicts
    #[command(after_help = "\
Examples:
  mqbench compare results/latest                   each broker beside the best
  mqbench compare results/latest --reference nats --metric p99 --metric broker-cpu
  mqbench compare results/before results/after     each broker then and now
  mqbench compare results/before results/after --export-html changes.html")]
    Compare(Compare),
    /// Say whether a run is worse than one before: for CI
    #[command(after_help = "\
Examples:
  mqbench gate --baseline results/main --candidate results/latest
  mqbench gate --baseline main/ --candidate new/ --strict --export-junit gate.xml

Exit codes:
  0 nothing is worse · 2 a result cannot be read, or is of another scenario or machine · 4 figures that
  are not valid · 99 something is worse by more than the margin (with --strict: or may be)")]
    Gate(Gate),
    /// Measure this machine itself: what mqbench adds, what it can tell apart, how much equal trials differ
    #[command(after_help = "\
Examples:
  mqbench calibrate                                with the first broker of `latency` that is here
  mqbench calibrate --quick
  mqbench calibrate --broker kafka --set workload.load.rate=20k/s
  mqbench calibrate throughput --broker redis-pubsub --set phases.measure=10s

What is found is kept for this machine. `run` stores it with its results; reports, `compare` and `gate` go by it.")]
    Calibrate(Calibrate),
    /// Show how figures went from run to run, and where their level shifted
    #[command(after_help = "\
Examples:
  mqbench history results
  mqbench history results/nightly --broker nats --metric p99 --metric broker-cpu
  mqbench history results --format csv > history.csv")]
    History(History),
    /// Validate a scenario and print its plan; touch nothing
    #[command(after_help = "\
Examples:
  mqbench check latency
  mqbench check my.yaml --set workload.delivery=at-least-once")]
    Check(Check),
    /// List the built-in scenarios
    List,
    /// Say what each system can give, or all about one
    #[command(after_help = "Examples:\n  mqbench drivers\n  mqbench drivers redis-streams")]
    Drivers(Drivers),
    /// Write a commented scenario to start from
    #[command(
        after_help = "Examples:\n  mqbench init\n  mqbench init orders.yaml --from throughput"
    )]
    Init(Init),
    /// Print the JSON schema of scenarios
    #[command(after_help = "Example:\n  mqbench schema > scenario.json")]
    Schema,
    /// Start local brokers and keep them running for the next runs
    #[command(after_help = "Examples:\n  mqbench up\n  mqbench up nats")]
    Up(Servers),
    /// End local brokers that `up` started
    #[command(after_help = "Examples:\n  mqbench down\n  mqbench down redis")]
    Down(Servers),
    /// Show the local brokers that are kept running
    Status,
    /// Print a completion script
    #[command(
        after_help = "Example:\n  mqbench completions bash > ~/.local/share/bash-completion/completions/mqbench"
    )]
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = "Example:\n  mqbench man | man -l -")]
    Man,
}

/// What is changed in a scenario.
#[derive(Debug, Args)]
pub struct Changes {
    /// Only these entries, or drivers to add
    #[arg(
        long,
        short,
        value_delimiter = ',',
        value_name = "NAME",
        env = "MQBENCH_BROKER"
    )]
    pub broker: Vec<String>,
    /// How often each broker is measured
    #[arg(long, short, value_name = "N", env = "MQBENCH_TRIALS")]
    pub trials: Option<u32>,
    /// Shorten what no other option sets, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Change a setting of the scenario: workload.load.rate=10k/s
    #[arg(long, short, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// A file, or the name of a built-in scenario
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub scenario: Option<String>,
    /// What is changed in it.
    #[command(flatten)]
    pub changes: Changes,
    /// Repeat the plan of this run: the same seed, order and settings; logins come from the environment again
    #[arg(long, value_name = "RESULT")]
    pub from: Option<PathBuf>,
    /// Where the folder of the results is made
    #[arg(
        long,
        short,
        value_name = "DIR",
        default_value = "results",
        env = "MQBENCH_OUT"
    )]
    pub out: PathBuf,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value = "text", env = "MQBENCH_FORMAT")]
    pub format: FormatArg,
    /// Write results.json also here
    #[arg(long, value_name = "PATH")]
    pub export_json: Option<PathBuf>,
    /// Write summary.csv also here
    #[arg(long, value_name = "PATH")]
    pub export_csv: Option<PathBuf>,
    /// Write the comparison as Markdown here
    #[arg(long, value_name = "PATH")]
    pub export_markdown: Option<PathBuf>,
    /// Write report.html also here
    #[arg(long, value_name = "PATH")]
    pub export_html: Option<PathBuf>,
    /// Write latency.hlog also here
    #[arg(long, value_name = "PATH")]
    pub export_hdr: Option<PathBuf>,
    /// Watch the run on the whole terminal: every broker, second by second
    #[arg(long, env = "MQBENCH_LIVE")]
    pub live: bool,
    /// Serve metrics for Prometheus at http://ADDRESS/metrics while the run goes: 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", env = "MQBENCH_METRICS")]
    pub metrics: Option<String>,
    /// Where charts are wanted besides.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Judge the run by an earlier one, as `gate` does
    #[arg(long, value_name = "RESULT", env = "MQBENCH_BASELINE")]
    pub baseline: Option<PathBuf>,
    /// Compare with the figures of the baseline also where its server's program is still there and could be
    /// measured again beside this run
    #[arg(long)]
    pub no_interleave: bool,
    /// What is let through, and where that is told.
    #[command(flatten)]
    pub gating: Gating,
}

/// Where charts are wanted.
#[derive(Debug, Args)]
pub struct Pictures {
    /// Write the charts as PNG into this folder
    #[arg(long, value_name = "DIR")]
    pub export_png: Option<PathBuf>,
    /// Write the charts as SVG into this folder
    #[arg(long, value_name = "DIR")]
    pub export_svg: Option<PathBuf>,
}

impl Pictures {
    /// The folders that are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = (&Path, PictureFormat)> {
        let png = self.export_png.as_deref();
        let svg = self.export_svg.as_deref();
        let both = [(png, PictureFormat::Png), (svg, PictureFormat::Svg)];
        both.into_iter()
            .filter_map(|(folder, format)| Some((folder?, format)))
    }
}

/// What a comparison is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For a person
    Text,
    /// For a program
    Json,
    /// summary.csv
    Csv,
    /// For a pull request
    Markdown,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Text => Format::Text,
            FormatArg::Json => Format::Json,
            FormatArg::Csv => Format::Csv,
            FormatArg::Markdown => Format::Markdown,
        }
    }
}

/// `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The folder of a run, or its results.json
    pub result: PathBuf,
    /// Make the page, the CSV files, the histogram log and the charts again, here
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write the page alone, here
    #[arg(long, value_name = "PATH")]
    pub export_html: Option<PathBuf>,
    /// Where charts are wanted besides.
    #[command(flatten)]
    pub pictures: Pictures,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value = "text", env = "MQBENCH_FORMAT")]
    pub format: FormatArg,
}

/// `calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// The scenario of which equal runs are made: a file, or the name of a built-in one
    #[arg(default_value = "latency")]
    pub scenario: String,
    /// The broker that they are made of; the first of the scenario that is on this machine without
    #[arg(long, short, value_name = "NAME", env = "MQBENCH_BROKER")]
    pub broker: Option<String>,
    /// Trials of each of the equal runs
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub trials: Option<u32>,
    /// Fewer and shorter trials: a first look, within half a minute
    #[arg(long)]
    pub quick: bool,
    /// Change a setting of the scenario: workload.load.rate=10k/s
    #[arg(long, short, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How what was found is printed
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// A file, or the name of a built-in scenario
    pub scenario: String,
    /// What is changed in it.
    #[command(flatten)]
    pub changes: Changes,
    /// How the plan is printed
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,
}

/// What is printed that is no table of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For a person
    Text,
    /// For a program
    Json,
}

/// `drivers`.
#[derive(Debug, Args)]
pub struct Drivers {
    /// The one to describe; all, briefly, without
    pub name: Option<String>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The file to write
    #[arg(default_value = "scenario.yaml")]
    pub file: PathBuf,
    /// The built-in scenario to start from
    #[arg(long, value_name = "NAME", default_value = "latency")]
    pub from: String,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `up` and `down`.
#[derive(Debug, Args)]
pub struct Servers {
    /// Which; all without
    #[arg(value_name = "BROKER")]
    pub names: Vec<String>,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}
