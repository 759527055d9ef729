//! Broker servers: how each is found, configured, started, asked whether it is there, and ended.
//!
//! Knows no client library: whether a server answers is asked over a plain socket. A new server is one
//! file here and one line in [`REGISTRY`]; everything else about it is data or one of the few functions
//! of [`Server`].

mod bounds;
mod cgroup;
mod container;
mod engine;
mod error;
mod fetch;
pub mod find;
#[cfg(test)]
mod fixtures;
pub mod group;
mod instance;
mod kafka;
mod layout;
mod mosquitto;
mod nats;
#[cfg(feature = "pulsar")]
mod pulsar;
mod rabbitmq;
mod record;
mod redis;
pub mod rumqttd;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

pub use bounds::{Bounds, Held, Place};
pub use cgroup::{Felt, remove_group};
pub use container::{Contained, Container, helpers, published};
pub use engine::Engine;
pub use error::Error;
pub use fetch::fetch;
pub use find::{Found, Origin, Places};
pub use group::Group;
pub use instance::{Instance, Order};
pub use layout::{Keeper, Launch, Layout, Site};
pub use record::{Record, Running, remove_folder};

/// Every server that can be managed.
pub static REGISTRY: &[&dyn Server] = &[
    &kafka::Kafka,
    &mosquitto::Mosquitto,
    &nats::Nats,
    #[cfg(feature = "pulsar")]
    &pulsar::Pulsar,
    &rabbitmq::RabbitMq,
    &redis::Redis,
];

/// Settings by name, in the words of the server. Two instances with the same are interchangeable.
pub type Config = BTreeMap<String, String>;

/// The setting by which a server that can be a cluster takes the number of its members.
pub const NODES: &str = "nodes";

/// How many members an instance with these settings has.
pub fn nodes(config: &Config) -> u32 {
    let nodes = config.get(NODES).and_then(|nodes| nodes.parse().ok());
    nodes.unwrap_or(1)
}

/// The server of this name.
pub fn named(name: &str) -> Result<&'static dyn Server, Error> {
    REGISTRY
        .iter()
        .copied()
        .find(|server| server.about().name == name)
        .ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            known: REGISTRY.iter().map(|server| server.about().name).collect(),
        })
}

/// A kind of broker server.
pub trait Server: Sync {
    /// What is known of it without looking.
    fn about(&self) -> &'static About;

    /// Asks an installation for its version.
    fn version(&self, found: &Found) -> io::Result<String>;

    /// What to write and what to run for an instance at `site`. The processes are started in order and
    /// ended in the opposite one; each lives in the folder of the site.
    fn configure(&self, found: &Found, site: &Site) -> Layout;

    /// Asks once whether it is ready for clients, over its own protocol.
    fn answers(&self, site: &Site) -> io::Result<()>;

    /// Where clients find it.
    fn url(&self, site: &Site) -> String;

    /// Why it ended, in one line, if its log says so.
    fn reason(&self, log: &str) -> Option<String>;

    /// Whether this program has an implementation in it, for where none is installed.
    fn is_embedded(&self) -> bool {
        false
    }
}

/// What is known of a server without looking.
#[derive(Debug)]
pub struct About {
    /// As scenarios and scripts name it: `nats`.
    pub name: &'static str,
    /// As a person names it: `NATS`.
    pub title: &'static str,
    /// The version that `scripts/get` installs and that results are compared with.
    pub version: &'static str,
    /// Names of its program, the first found is taken.
    pub programs: &'static [&'static str],
    /// The image in which it runs where no program of it is found; `None` where it never does.
    pub image: Option<Image>,
    /// An example of a URL for one that is not managed.
    pub url: &'static str,
    /// How many ports an instance takes; a cluster takes as many for each member.
    pub ports: usize,
    /// How long it may take until it answers.
    pub start_within: Duration,
    /// How long it may take to end when asked to, before it is killed.
    pub stop_within: Duration,
    /// What can be configured.
    pub settings: &'static [Setting],
    /// Those of the settings that bound what it uses of memory; empty where it has none that is safe to set.
    pub memory: &'static [MemorySetting],
}

/// A setting by which a server bounds a part of its memory.
#[derive(Debug)]
pub struct MemorySetting {
    /// Its name.
    pub key: &'static str,
    /// Which share of a limit it gets. The rest is for what it does not bound.
    pub share: f64,
    /// Bytes as the server wants them.
    pub written: fn(u64) -> String,
}

impl MemorySetting {
    /// Its value where so many bytes are the limit.
    pub fn of(&self, limit: u64) -> String {
        (self.written)((limit as f64 * self.share) as u64)
    }
}

/// Bytes as Java takes them: `512m`.
fn mebibytes(bytes: u64) -> String {
    format!("{}m", bytes >> 20)
}

/// An image of a server for a container engine.
#[derive(Debug)]
pub struct Image {
    /// Its name with the version, pinned as [`About::version`] is.
    pub name: &'static str,
    /// Where it has the server and what else is run of it. The first stands for what [`Found::program`]
    /// is; the others for programs of the same names in a [`Launch`].
    pub programs: &'static [&'static str],
}

/// One setting of a server, in its own words.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it is when not given; `None` leaves it to the server.
    pub default: Option<&'static str>,
}

impl Setting {
    /// One that takes whatever the server understands.
    pub const fn text(key: &'static str, default: Option<&'static str>) -> Setting {
        Setting {
            key,
            takes: Takes::Text,
            default,
        }
    }

    /// One by which the server lets in only some.
    pub const fn access(key: &'static str) -> Setting {
        Setting {
            key,
            takes: Takes::Access,
            default: None,
        }
    }

    /// Whether a scenario may set it. Settings are kept in results, where no login may stand, and a private
    /// instance is reached by nobody else; the number of members has a key of its own.
    pub fn is_for_scenarios(&self) -> bool {
        !matches!(self.takes, Takes::Access) && self.key != NODES
    }
}

/// What a setting takes.
#[derive(Debug)]
pub enum Takes {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Whatever the server understands.
    Text,
    /// A login, or a file with what opens a connection.
    Access,
}

impl About {
    /// The effective settings: what was asked, checked, with the defaults of what was not.
    pub fn effective(&self, asked: &Config) -> Result<Config, Error> {
        for (key, value) in asked {
            self.check(key, value)?;
        }
        let defaults = self.settings.iter().filter_map(|setting| {
            let value = setting.default?;
            Some((setting.key.to_owned(), value.to_owned()))
        });
        let mut effective: Config = defaults.collect();
        effective.extend(asked.clone());
        Ok(effective)
    }

    /// How many members a cluster may have, 1 included; empty where there are no clusters.
    pub fn cluster_sizes(&self) -> &'static [&'static str] {
        let nodes = self.settings.iter().find(|setting| setting.key == NODES);
        match nodes.map(|setting| &setting.takes) {
            Some(Takes::Choice(sizes)) => sizes,
            _ => &[],
        }
    }

    fn check(&self, key: &str, value: &str) -> Result<(), Error> {
        let Some(setting) = self.settings.iter().find(|setting| setting.key == key) else {
            return Err(Error::Setting {
                server: self.name,
                key: key.to_owned(),
                known: self.settings.iter().map(|setting| setting.key).collect(),
            });
        };
        // A line break would end the line of the configuration file and begin another setting.
        let plain = !value.is_empty() && !value.chars().any(char::is_control);
        let takes = match setting.takes {
            Takes::Choice(words) if !words.contains(&value) => words.join(", "),
            _ if !plain => "one line of text".to_owned(),
            _ => return Ok(()),
        };
        Err(Error::Value {
            server: self.name,
            key: key.to_owned(),
            value: value.to_owned(),
            takes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn every_server_is_found_by_its_name_and_no_name_is_taken_twice() {
        for server in REGISTRY {
            let about = server.about();
            assert_eq!(named(about.name).unwrap().about().title, about.title);
            assert!(about.ports > 0 && !about.programs.is_empty());
            about
                .effective(&Config::new())
                .expect("its own defaults hold");
        }
        let error = named("natz").err().unwrap().to_string();
        assert!(error.contains("natz") && error.contains("nats"), "{error}");
    }

    #[test]
    fn defaults_fill_in_what_was_not_asked() {
        let about = named("redis").unwrap().about();
        let plain = about.effective(&Config::new()).unwrap();
        assert_eq!(
            plain,
            about.effective(&config(&[("appendonly", "no")])).unwrap()
        );
        assert_ne!(
            plain,
            about.effective(&config(&[("appendonly", "yes")])).unwrap()
        );
    }

    #[test]
    fn a_setting_that_a_server_does_not_have_is_an_error_with_those_that_it_has() {
        let about = named("redis").unwrap().about();
        let error = about
            .effective(&config(&[("apendonly", "yes")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `appendonly`"), "{error}");
        let error = about
            .effective(&config(&[("appendonly", "maybe")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("yes, no"), "{error}");
        let sneaked = config(&[("maxmemory", "1gb\nport 1")]);
        assert!(about.effective(&sneaked).is_err());
    }
}
