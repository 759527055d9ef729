//! What is shown on the terminal: errors with their place, colour, width.

pub mod diagnostic;
pub mod style;
