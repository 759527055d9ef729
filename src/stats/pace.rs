//! What two runs owe to the machine's own speed, which need not be the same for both.

use super::change::{CONFIDENCE, Trials};
use super::figure::Figure;
use super::group::Group;
use super::median::median;
use super::shape::Shape;
use crate::results::Attempt;

/// Two times for the same piece of work that are no further apart are those of a machine that is as fast as before.
const SAME: f64 = 0.02;

/// The machine's own speed, of the second side beside the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How many times as long the same piece of work took.
    pub ratio: f64,
    /// Whether it was another speed, as far as the trials tell: then a word is only said that holds whether or not that
    /// made the difference.
    pub is_other: bool,
}

impl Pace {
    /// Of two groups that were not measured side by side; `None` where one does not say.
    pub(super) fn of(one: &Group, other: &Group) -> Option<Pace> {
        let work = |group: &Group| group.used().iter().filter_map(|it| it.work_ns).collect();
        let shift = Trials::Independent(work(one), work(other)).shift()?;
        let differs = |(low, high)| low > 0.0 || high < 0.0;
        let is_far = shift.estimate().abs() >= SAME.ln_1p();
        Some(Pace {
            ratio: shift.estimate().exp(),
            is_other: is_far && shift.interval(CONFIDENCE).is_some_and(differs),
        })
    }

    /// The logarithm by which a figure differs at most between equal sides, for the machine's speed alone: where work takes
    /// longer, throughput falls by as much, latencies and CPU time grow.
    pub(super) fn drift(self, figure: Figure, one: &Group, other: &Group) -> f64 {
        if !self.is_other {
            return 0.0;
        }
        let share = speed_share(figure, one).max(speed_share(figure, other));
        let longer = self.ratio.ln() * share;
        if figure.lower_is_better() {
            longer
        } else {
            -longer
        }
    }
}

/// How much of a figure the speed of the processors decides at most, from 0 (nothing) to 1 (all).
///
/// What happens while no core is at work takes as long on a slow machine. So a closed loop follows the speed no further than
/// in the share of time in which one is, and that is at most the number of busy cores. Of a message that is under way the
/// same holds, if some message always is; if it is so for half of the time only, all work lies in that half, and its share there
/// may be twice as large. That is about the usual message: those of the tail may be the ones that waited for work alone.
fn speed_share(figure: Figure, group: &Group) -> f64 {
    match figure {
        // The schedule sets it.
        Figure::Sent | Figure::Received if matches!(group.shape, Shape::Latency(_)) => 0.0,
        Figure::Sent | Figure::Received => busy(group),
        Figure::Latency(_, percent) if percent <= 50.0 => {
            let under_way =
                |it: &Attempt| it.rates.sent * figure.value(it).unwrap_or(f64::NAN) / 1e9;
            let busy = busy(group);
            busy / usual(group, under_way).unwrap_or(0.0).clamp(busy, 1.0)
        }
        Figure::Latency(..) | Figure::BrokerCpu | Figure::ClientCpu => 1.0,
    }
}

/// The cores of this machine that broker, client and kernel kept busy: those that anything did where the broker is not
/// seen. It may be on another machine, whose speed is another. At most 1, and 1 where nobody knows; above 0.
fn busy(group: &Group) -> f64 {
    let cores = |it: &Attempt| {
        let usage = &it.usage;
        let at_work = if usage.brokers_s > 0.0 {
            usage.own_s + usage.brokers_s + usage.interrupts_s + usage.kernel_s
        } else {
            // Not what the kernel counts as busy: between its ticks much can happen that it does not see.
            f64::from(group.cores) * usage.seconds - usage.idle_s
        };
        if at_work > 0.0 && usage.seconds > 0.0 {
            at_work / usage.seconds
        } else {
            1.0
        }
    };
    usual(group, cores).unwrap_or(1.0).min(1.0)
}

/// The median over the trials; `None` where it is no number.
fn usual(group: &Group, value: impl Fn(&Attempt) -> f64) -> Option<f64> {
    median(group.used().iter().map(|it| value(it))).filter(|it| it.is_finite())
}
