//! Redis: one program, one thread that executes commands.

use std::io;
use std::time::Duration;

use super::find::version_after;
use super::{
    About, Found, Image, Launch, Layout, MemorySetting, Server, Setting, Site, Takes, socket,
};

/// See the module.
pub struct Redis;

static ABOUT: About = About {
    name: "redis",
    title: "Redis",
    version: "7.0.15",
    programs: &["redis-server"],
    image: Some(Image {
        name: "redis:7.2.13",
        programs: &["redis-server"],
    }),
    url: "redis://host:6379",
    ports: 1,
    start_within: Duration::from_secs(15),
    stop_within: Duration::from_secs(5),
    settings: &[
        Setting {
            key: "appendonly",
            takes: Takes::Choice(&["yes", "no"]),
            default: Some("no"),
        },
        Setting {
            key: "appendfsync",
            takes: Takes::Choice(&["always", "everysec", "no"]),
            default: None,
        },
        // Snapshots are off: they fork the server in the middle of a trial, and no offer rests on them.
        Setting {
            key: "save",
            takes: Takes::Text,
            default: Some("\"\""),
        },
        Setting::text("auto-aof-rewrite-percentage", None),
        Setting::text("auto-aof-rewrite-min-size", None),
        Setting::text("client-output-buffer-limit", None),
        Setting::text("io-threads", None),
        Setting::text("maxclients", None),
        Setting::text("maxmemory", None),
        Setting::text("maxmemory-policy", None),
        Setting::text("no-appendfsync-on-rewrite", None),
        Setting::text("proto-max-bulk-len", None),
        Setting::text("stream-node-max-bytes", None),
        Setting::text("stream-node-max-entries", None),
        // These have no line of their own name: `access` writes theirs.
        Setting::access(USER),
        Setting::access(PASSWORD),
        Setting::access(TOKEN),
        Setting::access(TLS_CERT),
        Setting::access(TLS_KEY),
        Setting::access(TLS_CA),
    ],
    // The rest is for the copy that it makes of itself, fragments and buffers of clients.
    memory: &[MemorySetting {
        key: "maxmemory",
        share: 0.75,
        written: |bytes| bytes.to_string(),
    }],
};

const USER: &str = "user";
const PASSWORD: &str = "password";
const TOKEN: &str = "token";
const TLS_CERT: &str = "tls_cert";
const TLS_KEY: &str = "tls_key";
const TLS_CA: &str = "tls_ca";
const ACCESS: &[&str] = &[USER, PASSWORD, TOKEN, TLS_CERT, TLS_KEY, TLS_CA];

/// The lines that say who may come in, and how: the port, encryption, users. A token is the password of
/// the user whom clients need not name; where only another user is asked for, that one is switched off.
fn access(site: &Site) -> String {
    let setting = |key| site.config.get(key);
    let port = site.port();
    let mut lines = Vec::new();
    if let Some(cert) = setting(TLS_CERT) {
        lines.push(format!("port 0\ntls-port {port}"));
        lines.push(format!("tls-cert-file {}", quoted(cert)));
        lines.extend(setting(TLS_KEY).map(|key| format!("tls-key-file {}", quoted(key))));
        lines.push(match setting(TLS_CA) {
            Some(ca) => format!("tls-ca-cert-file {}\ntls-auth-clients yes", quoted(ca)),
            None => "tls-auth-clients no".to_owned(),
        });
    } else {
        lines.push(format!("port {port}"));
    }
    let nameless = match (setting(USER), setting(PASSWORD)) {
        (Some(user), Some(password)) => {
            let password = quoted(&format!(">{password}"));
            lines.push(format!("user {} on {password} ~* &* +@all", quoted(user)));
            if setting(TOKEN).is_none() {
                lines.push("user default off".to_owned());
            }
            setting(TOKEN)
        }
        (_, password) => setting(TOKEN).or(password),
    };
    lines.extend(nameless.map(|password| format!("requirepass {}", quoted(password))));
    lines.join("\n") + "\n"
}

/// As one argument of a line of its file.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// A command whose arguments may hold anything.
fn command(arguments: &[&str]) -> String {
    let mut text = format!("*{}\r\n", arguments.len());
    for argument in arguments {
        text += &format!("${}\r\n{argument}\r\n", argument.len());
    }
    text
}

impl Server for Redis {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        version_after(&found.output(&["--version"])?, "v=")
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        // It refuses what comes from elsewhere than loopback, as all does that comes through a port of a
        // container.
        let protected = if found.container().is_none() {
            "yes"
        } else {
            "no"
        };
        let mut text = format!(
            "bind {}\n{}dir {}\ndaemonize no\nprotected-mode {protected}\n",
            found.bind(),
            access(site),
            quoted(&site.data().to_string_lossy())
        );
        for (key, value) in &site.config {
            if !ACCESS.contains(&key.as_str()) {
                text += &format!("{key} {value}\n");
            }
        }
        let file = site.folder.join("redis.conf");
        Layout {
            steps: Vec::new(),
            processes: vec![Launch {
                name: ABOUT.name.to_owned(),
                program: found.program.clone(),
                args: vec![file.clone().into()],
                env: Vec::new(),
            }],
            files: vec![(file, text)],
        }
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let mut connection = socket::connect(site.port())?;
        if site.config.contains_key(TLS_CERT) {
            // It listens when it is ready, and a plain question gets no answer.
            return Ok(());
        }
        let setting = |key| site.config.get(key).map(String::as_str);
        let login = match (setting(USER), setting(PASSWORD), setting(TOKEN)) {
            (Some(user), Some(password), _) => vec!["AUTH", user, password],
            (_, Some(password), _) | (_, _, Some(password)) => vec!["AUTH", password],
            _ => Vec::new(),
        };
        if !login.is_empty() {
            socket::ask(&mut connection, &command(&login), "+OK")?;
        }
        socket::ask(&mut connection, "PING\r\n", "+PONG").map(drop)
    }

    fn url(&self, site: &Site) -> String {
        format!("redis://127.0.0.1:{}", site.port())
    }

    fn reason(&self, log: &str) -> Option<String> {
        let lines: Vec<&str> = log.lines().map(str::trim).collect();
        if let Some(at) = lines.iter().rposition(|line| line.starts_with(">>> ")) {
            let why = lines.get(at + 1).unwrap_or(&"");
            return Some(format!("{}: {why}", &lines[at][4..]));
        }
        // Otherwise the last line that is a warning: `PID:ROLE DATE TIME # WORDS`.
        let mut warnings = lines.iter().rev().filter_map(|line| line.split_once(" # "));
        // Its farewell comes after what it is about; advice about the machine's settings comes before.
        let is_about_its_end =
            |words: &str| !words.ends_with("bye bye...") && !words.starts_with("WARNING");
        let warning = warnings.find(|(_, words)| is_about_its_end(words));
        warning.map(|(_, words)| words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::fixtures;

    fn file(config: &[(&str, &str)]) -> String {
        let config = ABOUT.effective(&fixtures::config(config)).unwrap();
        let found = fixtures::found("/bin/redis-server");
        let layout = Redis.configure(&found, &fixtures::site(6999, config));
        layout.files.into_iter().next().unwrap().1
    }

    #[test]
    fn encryption_takes_the_place_of_the_plain_port_and_users_that_of_everybody() {
        let config = [
            ("tls_cert", "/x/server \"1\".pem"),
            ("tls_key", "/x/server.key"),
            ("user", "bench"),
            ("password", "a \\ b"),
        ];
        let plain = file(&config);
        let expected = "port 0\ntls-port 6999\ntls-cert-file \"/x/server \\\"1\\\".pem\"\n\
                        tls-key-file \"/x/server.key\"\ntls-auth-clients no\n\
                        user \"bench\" on \">a \\\\ b\" ~* &* +@all\nuser default off\n";
        assert!(plain.contains(expected), "{plain}");
        assert!(!plain.contains("\npassword") && !plain.contains("\ntls_"));
        let mutual = file(&[("tls_cert", "c"), ("tls_key", "k"), ("tls_ca", "a")]);
        let expected = "tls-ca-cert-file \"a\"\ntls-auth-clients yes\n";
        assert!(mutual.contains(expected), "{mutual}");
        let nameless = file(&[("token", "t")]);
        assert!(nameless.contains("\nrequirepass \"t\"\n"), "{nameless}");
    }

    #[test]
    fn settings_become_lines_of_its_file() {
        assert_eq!(
            file(&[("appendonly", "yes"), ("appendfsync", "always")]),
            "bind 127.0.0.1\nport 6999\ndir \"/tmp/x/data\"\ndaemonize no\nprotected-mode yes\n\
             appendfsync always\nappendonly yes\nsave \"\"\n"
        );
    }

    #[test]
    fn the_reason_is_the_rejected_line_or_the_last_warning() {
        let log = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 4\n\
                   >>> 'dir /nonexistent'\nNo such file or directory\n";
        assert_eq!(
            Redis.reason(log).unwrap(),
            "'dir /nonexistent': No such file or directory"
        );
        let log = "13502:C 21 Nov 2026 01:27:32.231 # Redis version=7.0.15\n\
                   13502:M 21 Nov 2026 01:27:32.233 # Failed listening on port 4998 (TCP), aborting.\n";
        assert_eq!(
            Redis.reason(log).unwrap(),
            "Failed listening on port 4998 (TCP), aborting."
        );
        assert_eq!(Redis.reason("1:M 21 Nov 2026 01:27:32.231 * Ready\n"), None);
    }
}
