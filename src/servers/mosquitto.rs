//! Mosquitto: one program, one thread, everything in memory.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::find::version_after;
use super::{
    About, Found, Image, Launch, Layout, Origin, Server, Setting, Site, Takes, rumqttd, socket,
};

/// See the module.
pub struct Mosquitto;

const USER: &str = "user";
const PASSWORD: &str = "password";
const TLS_CERT: &str = "tls_cert";
const TLS_KEY: &str = "tls_key";
const TLS_CA: &str = "tls_ca";
/// Settings that have no line of their own name: `access` writes theirs.
const ACCESS: &[&str] = &[USER, PASSWORD, TLS_CERT, TLS_KEY, TLS_CA];

static ABOUT: About = About {
    name: "mosquitto",
    title: "Mosquitto",
    version: "2.0.11",
    programs: &["mosquitto"],
    image: Some(Image {
        name: "eclipse-mosquitto:2.0.22",
        programs: &["mosquitto"],
    }),
    url: "mqtt://host:1883",
    ports: 1,
    start_within: Duration::from_secs(15),
    stop_within: Duration::from_secs(3),
    settings: &[
        // Its database is saved at intervals and at the end: no offer rests on it.
        Setting {
            key: "persistence",
            takes: Takes::Choice(&["true", "false"]),
            default: Some("false"),
        },
        Setting::text("autosave_interval", None),
        Setting::text("max_inflight_bytes", None),
        Setting::text("max_inflight_messages", None),
        Setting::text("max_keepalive", None),
        Setting::text("max_packet_size", None),
        Setting::text("max_queued_bytes", None),
        Setting::text("max_queued_messages", None),
        Setting::text("memory_limit", None),
        Setting::text("message_size_limit", None),
        Setting::text("queue_qos0_messages", None),
        Setting::text("retain_available", None),
        // One write is one packet: there is nothing that the kernel should wait for.
        Setting {
            key: "set_tcp_nodelay",
            takes: Takes::Choice(&["true", "false"]),
            default: Some("true"),
        },
        Setting::access(USER),
        Setting::access(PASSWORD),
        Setting::access(TLS_CERT),
        Setting::access(TLS_KEY),
        Setting::access(TLS_CA),
    ],
    memory: &[],
};

/// The lines that say who may come in, and how.
fn access(found: &Found, site: &Site) -> String {
    let setting = |key| site.config.get(key);
    let mut lines = vec![format!("listener {} {}", site.port(), found.bind())];
    if let Some(cert) = setting(TLS_CERT) {
        lines.push(format!("certfile {cert}"));
        lines.extend(setting(TLS_KEY).map(|key| format!("keyfile {key}")));
        if let Some(ca) = setting(TLS_CA) {
            lines.push(format!("cafile {ca}\nrequire_certificate true"));
        }
    }
    lines.push(match passwords(site) {
        Some((file, _)) => format!("allow_anonymous false\npassword_file {}", file.display()),
        None => "allow_anonymous true".to_owned(),
    });
    lines.join("\n") + "\n"
}

/// The file of passwords and what stands in it before they are hashed, where there is a user.
fn passwords(site: &Site) -> Option<(PathBuf, String)> {
    let user = site.config.get(USER)?;
    let password = site.config.get(PASSWORD).map_or("", String::as_str);
    let file = site.folder.join("passwords");
    Some((file, format!("{user}:{password}\n")))
}

/// The program that hashes passwords: beside the server, or where Debian puts what is for everybody.
fn passwd(server: &Path) -> PathBuf {
    let name = "mosquitto_passwd";
    let real = server.canonicalize().unwrap_or_else(|_| server.to_owned());
    let beside = |program: &Path| {
        let folder = program.parent()?;
        [folder.join(name), folder.join("../bin").join(name)]
            .into_iter()
            .find(|candidate| candidate.is_file())
    };
    beside(server)
        .or_else(|| beside(&real))
        .unwrap_or_else(|| name.into())
}

impl Server for Mosquitto {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        if found.origin == Origin::Embedded {
            return Ok(rumqttd::VERSION.to_owned());
        }
        // It has no option that says only this.
        version_after(&found.output(&["-h"])?, "")
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        if found.origin == Origin::Embedded {
            let setting = |key: &str| site.config.get(key).map(String::as_str);
            let login = setting(USER).map(|user| (user, setting(PASSWORD).unwrap_or_default()));
            return rumqttd::configure(&found.program, site, login);
        }
        // Started by root it would change to a user who may not read the folder.
        let mut text = format!(
            "{}user root\nlog_dest stderr\npersistence_location {}/\n",
            access(found, site),
            site.data().display()
        );
        for (key, value) in &site.config {
            if !ACCESS.contains(&key.as_str()) {
                text += &format!("{key} {value}\n");
            }
        }
        let file = site.folder.join("mosquitto.conf");
        let mut layout = Layout {
            steps: Vec::new(),
            processes: vec![Launch {
                name: ABOUT.name.to_owned(),
                program: found.program.clone(),
                args: vec!["-c".into(), file.clone().into()],
                env: Vec::new(),
            }],
            files: vec![(file, text)],
        };
        if let Some((file, plain)) = passwords(site) {
            // As an argument the password could be read by everybody.
            layout.steps.push(Launch {
                name: "mosquitto_passwd".to_owned(),
                program: passwd(&found.program),
                args: vec!["-U".into(), file.clone().into()],
                env: Vec::new(),
            });
            layout.files.push((file, plain));
        }
        layout
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let mut connection = socket::connect(site.port())?;
        if site.config.contains_key(TLS_CERT) {
            // It listens when it is ready, and a plain question gets no answer.
            return Ok(());
        }
        // CONNECT of version 3.1.1 with a clean session and no name; whether we may come in is not
        // asked: a refusal is an answer.
        let hello = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00";
        connection.get_mut().write_all(hello)?;
        let mut answer = [0; 4];
        connection.read_exact(&mut answer)?;
        match answer[0] {
            0x20 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it speaks another protocol",
            )),
        }
    }

    fn url(&self, site: &Site) -> String {
        format!("mqtt://127.0.0.1:{}", site.port())
    }

    fn reason(&self, log: &str) -> Option<String> {
        // `TIME: Error: WORDS`, then often a line that says only where it was.
        let mut errors = log.lines().filter_map(|line| line.split_once("Error: "));
        let (_, first) = errors.next()?;
        Some(first.trim_end().to_owned())
    }

    fn is_embedded(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::fixtures;

    fn layout(config: &[(&str, &str)]) -> Layout {
        let config = ABOUT.effective(&fixtures::config(config)).unwrap();
        let found = fixtures::found("/nonexistent/sbin/mosquitto");
        Mosquitto.configure(&found, &fixtures::site(6999, config))
    }

    #[test]
    fn settings_become_lines_of_its_file() {
        let layout = layout(&[("max_queued_messages", "0")]);
        assert_eq!(
            layout.files[0].1,
            "listener 6999 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest stderr\n\
             persistence_location /tmp/x/data/\nmax_queued_messages 0\npersistence false\n\
             set_tcp_nodelay true\n"
        );
        assert!(layout.steps.is_empty());
    }

    #[test]
    fn a_password_is_hashed_before_it_starts_and_stands_in_no_argument() {
        let layout = layout(&[
            ("user", "bench"),
            ("password", "secret"),
            ("tls_cert", "/x/server.pem"),
            ("tls_key", "/x/server.key"),
            ("tls_ca", "/x/ca.pem"),
        ]);
        let expected = "listener 6999 127.0.0.1\ncertfile /x/server.pem\nkeyfile /x/server.key\n\
                        cafile /x/ca.pem\nrequire_certificate true\nallow_anonymous false\n\
                        password_file /tmp/x/passwords\n";
        assert!(
            layout.files[0].1.starts_with(expected),
            "{}",
            layout.files[0].1
        );
        assert_eq!(layout.files[1].1, "bench:secret\n");
        assert_eq!(layout.steps[0].args, ["-U", "/tmp/x/passwords"]);
        assert_eq!(layout.steps[0].program, Path::new("mosquitto_passwd"));
    }

    #[test]
    fn the_reason_is_its_first_error() {
        let log = "1795257000: mosquitto version 2.0.11 starting\n1795257000: Error: Address already \
                   in use\n";
        assert_eq!(Mosquitto.reason(log).unwrap(), "Address already in use");
        assert_eq!(
            Mosquitto.reason("1795257000: mosquitto version 2.0.11 running\n"),
            None
        );
    }
}
