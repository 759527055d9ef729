//! What results mean: pure functions of them.

pub mod calibration;
pub mod change;
pub mod compare;
pub mod course;
pub mod differences;
pub mod exit;
pub mod figure;
pub mod group;
pub mod history;
pub mod levels;
pub mod median;
pub mod normal;
pub mod pace;
pub mod search;
pub mod shape;
pub mod shift;
pub mod slope;
pub mod thresholds;

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
