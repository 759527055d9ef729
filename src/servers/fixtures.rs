//! Instances that are never started, for tests of what servers are configured with.

use super::{Config, Found, Origin, Site};

/// These settings and no others.
pub fn config(settings: &[(&str, &str)]) -> Config {
    let settings = settings.iter();
    settings
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// A folder, `/tmp/x`, and more ports than any server wants, from this one on.
pub fn site(first_port: u16, config: Config) -> Site {
    Site {
        folder: "/tmp/x".into(),
        ports: (first_port..).take(9).collect(),
        config,
    }
}

/// A program on the path.
pub fn found(program: &str) -> Found {
    Found {
        program: program.into(),
        origin: Origin::Path,
    }
}
