//! What is kept: the versioned model of a run and its store. Every report is made from it.

pub mod archive;
pub mod attempt;
pub mod bound;
pub mod calibration;
mod calibration_file;
pub mod capacity;
pub mod cores;
pub mod course;
pub mod model;
pub mod open;
pub mod provenance;
pub mod store;

pub use archive::Archive;
pub use attempt::{Attempt, Tried};
pub use calibration::Calibration;
pub use calibration_file::CalibrationError;
pub use capacity::Capacity;
pub use model::{Manifest, Results, SCHEMA_VERSION};
pub use open::{OpenError, Stored};
pub use provenance::Provenance;
pub use store::{Store, StoreError};

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
