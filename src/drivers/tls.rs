//! What drivers share about encryption: the authorities to trust, the client's certificate, and what
//! went wrong with them in the user's words.

mod check;
mod config;
mod files;
mod handshake;
mod words;

pub use check::{Wrong, wrongs};
pub use config::client_config;
pub use files::pem;
pub use handshake::{encrypt, handshake, probe};
pub use words::{explain, refused};

use crate::engine::task::Task;
use crate::scenario::brokers::Tls;

/// How connections are encrypted: as the task says, or with the authorities of the system where the
/// address begins with one of these schemes; `None` where they are in the clear.
pub fn wanted(task: &Task, schemes: &[&str]) -> Option<Tls> {
    let asks = |url: &str| {
        let mut parts = url.split(',');
        parts.any(|part| {
            part.split_once("://")
                .is_some_and(|(s, _)| schemes.contains(&s))
        })
    };
    let by_address = || task.url.as_deref().is_some_and(asks).then(Tls::default);
    task.tls.clone().or_else(by_address)
}
