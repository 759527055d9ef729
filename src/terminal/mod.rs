//! What is shown on the terminal: errors with their place, colour, width, tables, progress.

pub mod diagnostic;
pub mod fullscreen;
pub mod numbers;
pub mod progress;
pub mod spark;
pub mod stderr;
pub mod style;
pub mod table;
