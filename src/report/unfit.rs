//! What makes a machine unfit to measure on, and what helps.

use crate::results::Calibration;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{counted, percent, time};

use super::warnings::Said;

/// A share of the CPU that others may take before it is told.
const TAKEN: f64 = 0.01;
/// Under load, cores that run slower than this share of what they can are told.
const SLOW: f64 = 0.7;
/// A reading of the clock that costs more is not one in user space (nanoseconds).
const DEAR: f64 = 150.0;
/// Half of all messages are late by more: that is what a trial calls *generator-limited* (nanoseconds).
const LATE: f64 = 20_000.0;
/// More trials than this are more than one likes to wait for.
const MANY: usize = 30;
/// Fewer cores and broker, publishers and consumers take turns.
const CORES: u32 = 3;

/// All that applies to a machine, the gravest first.
pub fn unfit(found: &Calibration) -> Vec<Said> {
    let mut all = Vec::new();
    let mut say = |what: String, remedy: &str| {
        all.push(Said {
            what,
            remedy: remedy.to_owned(),
        });
    };
    let (host, taken) = (&found.host, found.taken);
    if !found.optimised {
        say(
            "this mqbench was not built to be fast, and measures itself as slower than it is"
                .to_owned(),
            "build it with `cargo build --release`",
        );
    }
    if taken.steal > TAKEN {
        say(
            format!(
                "the hypervisor took {} of the CPU for others (steal)",
                percent(taken.steal)
            ),
            "measure when its other machines are quiet, or on one with cores of its own; else make more trials",
        );
    }
    if taken.others > TAKEN {
        say(
            format!("other programs took {} of the CPU", percent(taken.others)),
            "end them (`top` names them), or calibrate again when they have ended",
        );
    }
    let waiting = host.load_average[0];
    if waiting > f64::from(host.cores) / 2.0 {
        let cores = counted(host.cores.into(), "core");
        say(
            format!("programs were at work before this began: a load of {waiting:.1} on {cores}"),
            "wait until it has gone down (`uptime`), then calibrate again",
        );
    }
    if let Some(governor) = host.governor.as_deref().filter(|it| *it != "performance") {
        say(
            format!(
                "the governor is `{}`: cores save power, and take time to become fast when load comes",
                printable(governor)
            ),
            "`sudo cpupower frequency-set -g performance`; on a laptop, plug it in as well",
        );
    }
    if let Some(times) = found.throttled.filter(|it| *it > 0) {
        say(
            format!(
                "cores were slowed down for heat, {}",
                counted(times, "time")
            ),
            "let it cool, see to its fans; figures of a hot machine are not those of a cool one",
        );
    }
    if let Some((is, most)) = found
        .frequency
        .and_then(|it| Some((it.mean_mhz, it.most_mhz?)))
        && is < SLOW * most
    {
        say(
            format!(
                "under load the cores ran at {:.1} GHz of {:.1} GHz",
                is / 1e3,
                most / 1e3
            ),
            "look for a power limit or a power saving mode (`cpupower frequency-info`)",
        );
    }
    if found.clock.cost_ns > DEAR {
        let source = host.clock_source.as_deref().unwrap_or("not told");
        say(
            format!(
                "a reading of the clock costs {}; its source is `{}`",
                time(found.clock.cost_ns),
                printable(source)
            ),
            "boot with `clocksource=tsc`, if the processor's is reliable",
        );
    }
    if !found.resolution.is_known() {
        say(
            "no trial was quiet enough to say what mqbench itself adds, so that 20 µs stand for it"
                .to_owned(),
            "calibrate again when nothing else runs",
        );
    }
    let mut paced = found.paced.iter();
    let late =
        paced.find_map(|it| Some((it.per_second, it.lateness_p50_ns.filter(|it| *it > LATE)?)));
    if let Some((rate, late)) = late {
        say(
            format!(
                "at {rate:.0} messages a second half of them were sent {} late or later",
                time(late)
            ),
            "what is faster than that cannot be measured here: leave it more CPU, or ask for lower rates",
        );
    }
    if host.cores < CORES {
        say(
            format!(
                "there {}: publishers, consumers and broker take turns on {}",
                match host.cores {
                    1 => "is 1 core".to_owned(),
                    cores => format!("are {cores} cores"),
                },
                if host.cores == 1 { "it" } else { "them" }
            ),
            "compare systems at rates that leave the cores time, or use a machine with 4 or more",
        );
    }
    noisy(found, &mut all);
    all
}

/// What equal runs say.
fn noisy(found: &Calibration, all: &mut Vec<Said>) {
    for noise in &found.noise {
        let label = printable(&noise.broker);
        if let Some(why) = &noise.invalid {
            all.push(Said {
                what: format!(
                    "{label}: equal runs do not say how much they differ: {}",
                    printable(why)
                ),
                remedy:
                    "calibrate with another `--broker`, or a lower `--set workload.load.rate=…`"
                        .to_owned(),
            });
            continue;
        }
        let changed = noise.figures.iter().filter(|it| it.said.changed > 0);
        let changed: Vec<String> = changed.map(|it| printable(&it.figure)).collect();
        if !changed.is_empty() {
            all.push(Said {
                what: format!(
                    "{label}: runs that are all the same were called different ({}): what changes from start to start \
                     is more than the margin",
                    changed.join(", ")
                ),
                remedy: "take a larger `--margin`, and believe no difference that a second pair of runs does not show"
                    .to_owned(),
            });
        }
        let wild = noise
            .figures
            .iter()
            .filter(|it| it.trials_needed.is_none_or(|it| it > MANY));
        let wild: Vec<String> = wild
            .map(|it| match it.trials_needed {
                Some(trials) => format!("{} takes {trials} trials", printable(&it.figure)),
                None => format!(
                    "{} takes more trials than can be made",
                    printable(&it.figure)
                ),
            })
            .collect();
        if !wild.is_empty() {
            all.push(Said {
                what: format!(
                    "{label}: equal trials differ so much that {}",
                    wild.join(", ")
                ),
                remedy: "make trials longer, take a larger `--margin`, or a quieter machine"
                    .to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::frequency::Frequency;
    use crate::results::calibration::Resolution;
    use crate::results::sample;

    /// A machine about which there is nothing to say.
    fn fit() -> Calibration {
        let mut found = sample::calibration();
        found.host.cores = 8;
        found.optimised = true;
        found
    }

    #[track_caller]
    fn says(change: impl Fn(&mut Calibration), part: &str) {
        let mut found = fit();
        change(&mut found);
        let said = unfit(&found);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].what.contains(part), "{said:?}");
        assert!(!said[0].remedy.is_empty());
    }

    #[test]
    fn a_machine_that_is_fit_has_no_warnings() {
        assert_eq!(unfit(&fit()), []);
        let mut fast = fit();
        fast.host.governor = Some("performance".to_owned());
        fast.throttled = Some(0);
        assert_eq!(unfit(&fast), []);
    }

    #[test]
    fn each_fault_is_named_alone() {
        says(|it| it.optimised = false, "not built to be fast");
        says(
            |it| it.taken.steal = 0.12,
            "took 12 % of the CPU for others",
        );
        says(|it| it.taken.others = 0.05, "other programs took 5 %");
        says(
            |it| it.host.load_average[0] = 6.0,
            "a load of 6.0 on 8 cores",
        );
        says(
            |it| it.host.governor = Some("powersave".to_owned()),
            "`powersave`",
        );
        says(|it| it.throttled = Some(3), "for heat, 3 times");
        says(
            |it| it.resolution = Resolution::default(),
            "no trial was quiet",
        );
        says(|it| it.clock.cost_ns = 900.0, "costs 900 ns");
        says(
            |it| it.paced[0].lateness_p50_ns = Some(50e3),
            "at 1000 messages a second",
        );
        says(|it| it.host.cores = 2, "there are 2 cores");
        says(
            |it| {
                it.frequency = Some(Frequency {
                    mean_mhz: 1_200.0,
                    least_mhz: 1_000.0,
                    most_mhz: Some(3_600.0),
                });
            },
            "1.2 GHz of 3.6 GHz",
        );
    }

    #[test]
    fn what_equal_runs_say_is_told() {
        says(
            |it| it.noise[0].invalid = Some("saturated: backlog grew".to_owned()),
            "do not say how much they differ: saturated",
        );
        says(
            |it| it.noise[0].figures[1].said.changed = 1,
            "called different (p50",
        );
        says(
            |it| it.noise[0].figures[2].trials_needed = Some(80),
            "takes 80 trials",
        );
        says(
            |it| it.noise[0].figures[2].trials_needed = None,
            "more trials than can be made",
        );
    }
}
