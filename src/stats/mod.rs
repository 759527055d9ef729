//! What results mean: pure functions of them.

pub mod exit;
pub mod group;
pub mod median;
pub mod ratio;
pub mod thresholds;

#[cfg(test)]
mod tests;
