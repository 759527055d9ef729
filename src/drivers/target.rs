//! What drivers share about reaching a server: how long to try, and how its address is shown.

use std::time::Duration;

use super::DriverError;
use crate::engine::task::Task;

/// After so long a server that has not answered is called unreachable.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After so long a connection that was lost in the middle of a trial is given up.
pub const GONE_AFTER: Duration = Duration::from_secs(5);

/// The server's address, for a driver that cannot do without one.
///
/// # Errors
/// Where the task has none, which only a plan made by hand can bring about.
pub fn url(task: &Task) -> Result<&str, DriverError> {
    task.url.as_deref().ok_or_else(|| DriverError {
        doing: format!("reach the server of {}", task.driver),
        cause: "the task names no address".to_owned(),
    })
}

/// One server of those that an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or number, without the brackets around one of version 6.
    pub host: String,
    /// As it is said, or the usual one.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host[:port]`.
    ///
    /// # Errors
    /// In the user's words: no host, or a port that is none.
    pub fn of(text: &str, usual: u16) -> Result<Endpoint, String> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an address of version 6 stand in brackets.
            Some((host, port)) if !port.ends_with(']') => {
                let number = port.parse();
                (host, number.map_err(|_| format!("`{port}` is no port"))?)
            }
            _ => (text, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        Ok(Endpoint {
            host: host.to_owned(),
            port,
        })
    }

    /// `host:port`, with brackets where they are needed.
    pub fn place(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The parts of an address that has several with commas between them, each without its scheme, login and
/// path: `host[:port]`, and the login.
pub fn parts(url: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    url.split(',').map(|part| {
        let part = part.split_once("://").map_or(part, |(_, rest)| rest);
        let part = part.split('/').next().unwrap_or(part);
        let (login, host) = match part.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, part),
        };
        // Only here: a password may have a question mark.
        (host.split('?').next().unwrap_or(host), login)
    })
}

/// A login of an address: `user[:password]`.
pub fn login(text: &str) -> (String, String) {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    (user.to_owned(), password.to_owned())
}

/// An address (or several, with commas) as messages may show it: without name and password.
pub fn shown(url: &str) -> String {
    let without_login = |part: &str| {
        let (scheme, rest) = match part.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, part),
        };
        let authority = rest.find('/').unwrap_or(rest.len());
        let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
        let scheme = scheme.map_or(String::new(), |s| format!("{s}://"));
        format!("{scheme}{}", &rest[host..])
    };
    let parts: Vec<String> = url.split(',').map(without_login).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_servers_and_logins() {
        let seen: Vec<_> = parts("nats://me:p@ss@a:1/x?y,b,unix://[::1]").collect();
        assert_eq!(
            seen,
            [("a:1", Some("me:p@ss")), ("b", None), ("[::1]", None)]
        );
        let seen: Vec<_> = parts("kafka://me:s?cret@a:1,pulsar://b:2?admin=3").collect();
        assert_eq!(seen, [("a:1", Some("me:s?cret")), ("b:2", None)]);
        assert_eq!(login("me:se:cret"), ("me".to_owned(), "se:cret".to_owned()));
        let place = |text| Endpoint::of(text, 7).map(|it| it.place());
        assert_eq!(place("a"), Ok("a:7".to_owned()));
        assert_eq!(place("[::1]"), Ok("[::1]:7".to_owned()));
        assert_eq!(place("[::1]:3"), Ok("[::1]:3".to_owned()));
        assert_eq!(place("a:x"), Err("`x` is no port".to_owned()));
        assert!(place("").is_err() && place(":1").is_err());
    }

    #[test]
    fn a_shown_address_has_neither_name_nor_password() {
        assert_eq!(
            shown("nats://me:secret@10.0.0.1:4222"),
            "nats://10.0.0.1:4222"
        );
        assert_eq!(
            shown("nats://me:p@ss@a:1,nats://b:2"),
            "nats://a:1,nats://b:2"
        );
        assert_eq!(shown("redis://h:6379/0?x=a@b"), "redis://h:6379/0?x=a@b");
        assert_eq!(shown("me:secret@h:1"), "h:1");
    }
}
