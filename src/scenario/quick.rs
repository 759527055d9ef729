//! `--quick`: the same workload, just long enough to see that everything works.

use std::time::Duration;

use super::judgeable::obstacle;
use super::model::Scenario;
use super::overrides::Overrides;
use super::search::Objective;
use super::units::duration::text;
use super::workload::{Load, Measure};

/// Mostly enough for a server in Java that was started a moment ago; where it is not, a warning says so.
const WARMUP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(3);
const DRAIN: Duration = Duration::from_secs(2);
/// Messages, where no rate says how many fit into the measured time.
const MESSAGES: u64 = 20_000;

/// Shortens phases and trials, never lengthens them, and writes down what it changed; what the command line
/// names itself stays. Thresholds that so few messages cannot judge are left out.
pub fn shorten(scenario: &mut Scenario, asked: &Overrides) {
    let mut changed = Vec::new();
    if scenario.trials > 1 && scenario.search.is_none() && !asked.sets("trials") {
        changed.push(format!("trials: 1 instead of {}", scenario.trials));
        scenario.trials = 1;
    }
    if scenario.disturbed.repeats > 0 && !asked.sets("disturbed.repeats") {
        let repeats = scenario.disturbed.repeats;
        changed.push(format!("disturbed.repeats: 0 instead of {repeats}"));
        scenario.disturbed.repeats = 0;
    }
    let phases = &mut scenario.phases;
    for (name, time, most) in [
        ("warmup", &mut phases.warmup, WARMUP),
        ("drain", &mut phases.drain, DRAIN),
    ] {
        if *time > most && !asked.sets(&format!("phases.{name}")) {
            changed.push(format!("{name}: {} instead of {}", text(most), text(*time)));
            *time = most;
        }
    }
    match (&mut phases.measure, &mut scenario.workload.load) {
        _ if asked.sets("phases.measure") => {}
        (Measure::Time(time), load) if *time > MEASURE => {
            changed.push(format!(
                "measure: {} instead of {}",
                text(MEASURE),
                text(*time)
            ));
            if let Load::Steps { steps, .. } = load {
                let scale = MEASURE.as_secs_f64() / time.as_secs_f64();
                for step in steps.iter_mut() {
                    step.lasts = step.lasts.mul_f64(scale).max(Duration::from_nanos(1));
                }
                *time = steps.iter().map(|step| step.lasts).sum();
            } else {
                *time = MEASURE;
            }
        }
        (Measure::Count(count), load) => {
            let most = match load {
                Load::Rate { rate, .. } => (rate.0 * MEASURE.as_secs_f64()).max(1.0) as u64,
                _ => MESSAGES,
            };
            if *count > most {
                changed.push(format!("measure: {most} messages instead of {count}"));
                *count = most;
            }
        }
        _ => {}
    }
    if let Some(objective) = &mut scenario.search {
        // Shorter trials need more messages a second.
        *objective = Objective::new(objective.condition.clone(), &scenario.phases);
        if let Load::Rate { rate, .. } = &mut scenario.workload.load {
            *rate = objective.lowest;
        }
    }
    let (workload, messages) = (&scenario.workload, scenario.messages());
    scenario.thresholds.retain(|threshold| {
        let kept = obstacle(threshold, workload, messages).is_none();
        if !kept {
            changed.push(format!("without {threshold}: too few messages to judge it"));
        }
        kept
    });
    scenario.quick = changed;
}
