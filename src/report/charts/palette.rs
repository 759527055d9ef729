//! What a broker looks like: a colour, a marker and a dash. The one place where they are written.
//!
//! The twelve colours were chosen so that any two stay apart for readers with normal sight and with
//! either red-green or blue-yellow blindness, and so that each stands out from its ground (a test holds them to
//! that). Twelve are too many for colour alone all the same, so marker and dash differ too, and lines are named
//! where they end.

use serde::Serialize;

use crate::drivers;
use crate::measure::host::fnv1a;
use crate::plan::Plan;

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// ●
    Circle,
    /// ■
    Square,
    /// ▲
    Triangle,
    /// ◆
    Diamond,
}

/// The look of one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// On a light ground, `#rrggbb`.
    pub light: &'static str,
    /// On a dark ground, `#rrggbb`.
    pub dark: &'static str,
    /// The shape of its points.
    pub marker: Marker,
    /// Lengths of dash and gap by turns, in units of a chart's pixels; empty for a solid line.
    pub dash: &'static [u32],
}

const SOLID: &[u32] = &[];
const DASHED: &[u32] = &[8, 4];
const DOTTED: &[u32] = &[2, 3];

const fn look(
    light: &'static str,
    dark: &'static str,
    marker: Marker,
    dash: &'static [u32],
) -> Look {
    Look {
        light,
        dark,
        marker,
        dash,
    }
}

/// All looks. Neighbours differ in colour and in marker.
pub const LOOKS: [Look; 12] = [
    look("#767676", "#a0a0a0", Marker::Circle, DOTTED),
    look("#0072b2", "#4da3e0", Marker::Square, SOLID),
    look("#d55e00", "#f08a3c", Marker::Triangle, SOLID),
    look("#009e73", "#2cc79a", Marker::Diamond, SOLID),
    look("#7b3294", "#c48ae0", Marker::Circle, SOLID),
    look("#b8860b", "#e8c24a", Marker::Square, DASHED),
    look("#c2185b", "#f77fae", Marker::Triangle, DASHED),
    look("#35978f", "#7fe0d6", Marker::Diamond, DASHED),
    look("#332288", "#8f86e8", Marker::Circle, DASHED),
    look("#661100", "#c97b63", Marker::Square, DOTTED),
    look("#6b8e23", "#b4d465", Marker::Triangle, DOTTED),
    look("#3f3f46", "#e4e4e7", Marker::Diamond, DOTTED),
];

/// The place in [`LOOKS`] of each broker of a plan, in its order.
///
/// Every driver has a place of its own, that of the registry, so that a system looks the same in every chart, in
/// any subset of brokers and in other runs. An entry that goes by its driver's name takes that place. Of
/// the others the first of a driver takes it where it is free, and the rest are spread by their labels over
/// what is left: they too keep their looks as long as the brokers of the run stay the same. With more
/// brokers than looks, looks are used again.
pub fn assign(plan: &Plan) -> Vec<usize> {
    let home = |driver: &str| {
        let place = drivers::descriptors().position(|it| it.name == driver);
        place.unwrap_or_else(|| fnv1a(driver.as_bytes()) as usize) % LOOKS.len()
    };
    let mut used = [0u32; LOOKS.len()];
    let mut assigned: Vec<Option<usize>> = vec![None; plan.brokers.len()];
    let named_first = |broker: usize| plan.brokers[broker].label != plan.brokers[broker].driver;
    let mut order: Vec<usize> = (0..plan.brokers.len()).collect();
    order.sort_by_key(|broker| named_first(*broker));
    for broker in order.iter().copied() {
        let place = home(&plan.brokers[broker].driver);
        if used[place] == 0 {
            used[place] += 1;
            assigned[broker] = Some(place);
        }
    }
    for broker in order {
        if assigned[broker].is_some() {
            continue;
        }
        let start = fnv1a(plan.brokers[broker].label.as_bytes()) as usize % LOOKS.len();
        let least = used.iter().copied().min().unwrap_or(0);
        let places = (0..LOOKS.len()).map(|step| (start + step) % LOOKS.len());
        let place = places.into_iter().find(|place| used[*place] == least);
        let place = place.unwrap_or(start);
        used[place] += 1;
        assigned[broker] = Some(place);
    }
    assigned
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    #[test]
    fn a_system_looks_the_same_in_any_company() {
        let names: Vec<&str> = drivers::descriptors().map(|it| it.name).collect();
        let all = assign(&sample::plan(&names, 1));
        for (place, name) in names.iter().enumerate() {
            let alone = assign(&sample::plan(&[name], 1));
            assert_eq!(alone, [all[place]], "{name}");
        }
        let mut turned = names.clone();
        turned.reverse();
        let mut back = assign(&sample::plan(&turned, 1));
        back.reverse();
        assert_eq!(back, all);
    }

    #[test]
    fn brokers_of_one_run_differ_while_there_are_looks() {
        let labels: Vec<String> = (0..12).map(|i| format!("entry-{i}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let mut plan = sample::plan(&labels, 1);
        for broker in &mut plan.brokers {
            broker.driver = "loopback".to_owned();
        }
        let mut looks = assign(&plan);
        assert_eq!(looks[0], assign(&sample::plan(&["loopback"], 1))[0]);
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), 12);
        // An entry that bears the driver's name keeps its look, wherever it stands.
        plan.brokers[7].label = "loopback".to_owned();
        assert_eq!(assign(&plan)[7], assign(&sample::plan(&["loopback"], 1))[0]);
    }

    #[test]
    fn more_brokers_than_looks_use_each_about_equally_often() {
        let labels: Vec<String> = (0..30).map(|i| format!("entry-{i}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let looks = assign(&sample::plan(&labels, 1));
        let most = (0..LOOKS.len()).map(|look| looks.iter().filter(|it| **it == look).count());
        assert!(most.max() <= Some(3), "{looks:?}");
    }
}
