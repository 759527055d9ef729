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

impl Look {
    /// The look where the run has more brokers than there are looks and `times` others have this one already: the
    /// same colour, with another marker and another dash.
    pub fn again(self, times: usize) -> Look {
        const MARKERS: [Marker; 4] = [
            Marker::Circle,
            Marker::Square,
            Marker::Triangle,
            Marker::Diamond,
        ];
        const DASHES: [&[u32]; 3] = [SOLID, DASHED, DOTTED];
        let marker = MARKERS.iter().position(|it| *it == self.marker);
        let dash = DASHES.iter().position(|it| *it == self.dash);
        Look {
            marker: MARKERS[(marker.unwrap_or(0) + times) % MARKERS.len()],
            dash: DASHES[(dash.unwrap_or(0) + times) % DASHES.len()],
            ..self
        }
    }
}

/// All looks. Neighbours differ in colour and in marker.
pub const LOOKS: [Look; 12] = [
    look("#7f84b2", "#9e89b6", Marker::Circle, DOTTED),
    look("#4761d0", "#5594ff", Marker::Square, SOLID),
    look("#ff4f14", "#c97e00", Marker::Triangle, SOLID),
    look("#359e75", "#53d59e", Marker::Diamond, SOLID),
    look("#83229b", "#934cac", Marker::Circle, SOLID),
    look("#958b22", "#ffdd4b", Marker::Square, DASHED),
    look("#b92c71", "#f94a80", Marker::Triangle, DASHED),
    look("#0c99fd", "#23efff", Marker::Diamond, DASHED),
    look("#000682", "#4957f7", Marker::Circle, DASHED),
    look("#6e0602", "#b83c43", Marker::Square, DOTTED),
    look("#556309", "#c1b910", Marker::Triangle, DOTTED),
    look("#350f34", "#ebffd7", Marker::Diamond, DOTTED),
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
    use super::super::sight::{SIGHTS, apart, contrast, light_of, seen, through};
    use super::*;
    use crate::results::sample;

    #[test]
    fn any_two_colours_stay_apart_for_every_sight() {
        // Three times what is just noticed.
        const APART: f64 = 0.055;
        let grounds: [fn(&Look) -> &'static str; 2] = [|look| look.light, |look| look.dark];
        for ground in grounds {
            for sight in SIGHTS {
                let all = LOOKS.map(|look| seen(through(sight, light_of(ground(&look)))));
                for (i, a) in all.iter().enumerate() {
                    for (j, b) in all.iter().enumerate().skip(i + 1) {
                        let distance = apart(*a, *b);
                        assert!(distance > APART, "{i} and {j}: {distance}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_colour_stands_out_from_its_ground() {
        for look in LOOKS {
            assert!(contrast(look.light, "#ffffff") >= 3.0, "{}", look.light);
            assert!(contrast(look.dark, "#15171c") >= 3.0, "{}", look.dark);
        }
    }

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
        for look in LOOKS {
            let alike = (0..12).filter(|times| look.again(*times) == look);
            assert_eq!(alike.collect::<Vec<_>>(), [0], "one of a dozen is the same");
        }
    }
}
