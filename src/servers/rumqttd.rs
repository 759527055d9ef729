//! The MQTT server that is in this program: rumqttd, for where none is installed. It runs as a process of
//! its own, so that it is ended, suspended and measured like any other.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Config, Launch, Layout, Site};

/// The hidden command that runs it: `__rumqttd FILE`.
pub const COMMAND: &str = "__rumqttd";
/// What is in Cargo.toml.
pub const VERSION: &str = "0.20.0 (rumqttd)";

/// Settings that mean something to it. What they are not given for is as in its own example, except
/// that no message is too large.
const MAX_PACKET_SIZE: &str = "max_packet_size";
const MAX_INFLIGHT: &str = "max_inflight_messages";
/// The largest packet of the protocol.
const LARGEST: u64 = 268_435_455;
const INFLIGHT: u64 = 100;

/// What to write and to run.
pub fn configure(program: &Path, site: &Site, login: Option<(&str, &str)>) -> Layout {
    let file = site.folder.join("rumqttd.json");
    Layout {
        steps: Vec::new(),
        processes: vec![Launch {
            name: "rumqttd".to_owned(),
            program: program.to_owned(),
            args: vec![COMMAND.into(), file.clone().into()],
            env: Vec::new(),
        }],
        files: vec![(file, settings(site, login).to_string())],
    }
}

fn settings(site: &Site, login: Option<(&str, &str)>) -> Value {
    if let Some(key) = unknown(&site.config) {
        return json!({ "unknown": key });
    }
    let number = |key: &str, otherwise: u64| {
        let set = site.config.get(key).and_then(|value| value.parse().ok());
        // Where Mosquitto has no limit, 0 says so.
        set.filter(|value| *value > 0).unwrap_or(otherwise)
    };
    let auth = login.map(|(user, password)| json!({ user: password }));
    json!({
        "id": 0,
        "router": {
            "id": 0,
            "max_connections": 10_010,
            "max_outgoing_packet_count": 200,
            "max_segment_size": 104_857_600,
            "max_segment_count": 10,
        },
        "v4": { "1": {
            "name": "v4-1",
            "listen": format!("127.0.0.1:{}", site.port()),
            "next_connection_delay_ms": 0,
            "connections": {
                "connection_timeout_ms": 60_000,
                "max_payload_size": number(MAX_PACKET_SIZE, LARGEST),
                "max_inflight_count": number(MAX_INFLIGHT, INFLIGHT),
                "auth": auth,
                "dynamic_filters": true,
            },
        } },
    })
}

/// A setting that asks for what it cannot do.
fn unknown(config: &Config) -> Option<&str> {
    let is_known = |key: &str, value: &str| match key {
        // It is always like this, or has no limit but its memory.
        "persistence" => value == "false",
        "set_tcp_nodelay" => true,
        "max_queued_messages" | "max_queued_bytes" => value == "0",
        MAX_PACKET_SIZE | MAX_INFLIGHT | "user" | "password" => true,
        _ => false,
    };
    let mut settings = config.iter();
    let unknown = settings.find(|(key, value)| !is_known(key, value));
    unknown.map(|(key, _)| key.as_str())
}

/// `__rumqttd FILE`: runs it until it is ended. Returns the exit code where it cannot run.
pub fn main(mut args: impl Iterator<Item = OsString>) -> i32 {
    let Some(file) = args.next() else {
        eprintln!("Error: {COMMAND} expects a file");
        return 1;
    };
    let ended = run(Path::new(&file));
    let why = ended.err().unwrap_or_else(|| "it ended".to_owned());
    eprintln!("Error: {why}");
    1
}

fn run(file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let settings: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if let Some(key) = settings.get("unknown").and_then(Value::as_str) {
        return Err(format!(
            "the embedded MQTT server has no `{key}` such as is asked for: install Mosquitto \
             (scripts/get mosquitto)"
        ));
    }
    let config = serde_json::from_value(settings).map_err(|error| error.to_string())?;
    let mut broker = rumqttd::Broker::new(config);
    broker.start().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::fixtures;

    fn site(config: &[(&str, &str)]) -> Site {
        fixtures::site(6999, fixtures::config(config))
    }

    #[test]
    fn its_settings_are_what_it_reads() {
        let site = site(&[("max_packet_size", "4096"), ("max_queued_messages", "0")]);
        let read: rumqttd::Config =
            serde_json::from_value(settings(&site, Some(("me", "secret")))).unwrap();
        let server = &read.v4.unwrap()["1"];
        assert_eq!(server.listen.port(), 6999);
        assert_eq!(server.connections.max_payload_size, 4096);
        assert_eq!(server.connections.auth.as_ref().unwrap()["me"], "secret");
    }

    #[test]
    fn what_it_cannot_do_is_not_left_out() {
        for (key, value) in [("tls_cert", "/x"), ("max_queued_messages", "7")] {
            let said = settings(&site(&[(key, value)]), None);
            assert_eq!(said, json!({ "unknown": key }));
        }
    }
}
