//! Where an MQTT server is: one host, its port, and the login if the address has one.

/// URL schemes of the driver, and which of them mean encryption.
pub const SCHEMES: &[&str] = &["mqtt", "mqtts"];
pub const ENCRYPTED: &[&str] = &["mqtts"];

/// What an address says.
#[derive(Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, or an address; one of version 6 in brackets.
    pub name: String,
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
}

impl Host {
    /// Reads `mqtt://user:password@host:port`.
    pub fn of(url: &str) -> Result<Host, String> {
        if url.contains(',') {
            return Err("one server is expected, not several".to_owned());
        }
        let (scheme, rest) = url.split_once("://").unwrap_or((SCHEMES[0], url));
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (Some((decoded(user)?, decoded(password)?)), place)
            }
            None => (None, rest),
        };
        let after_brackets = place.rfind(']').map_or(0, |at| at + 1);
        let (name, port) = match place[after_brackets..].find(':') {
            Some(at) => {
                let (name, port) = place.split_at(after_brackets + at);
                let port = &port[1..];
                let port = port
                    .parse()
                    .map_err(|_| format!("`{port}` is no number of a port"))?;
                (name, port)
            }
            None if ENCRYPTED.contains(&scheme) => (place, 8883),
            None => (place, 1883),
        };
        if name.is_empty() {
            return Err("the name of the server is missing".to_owned());
        }
        Ok(Host {
            name: name.to_owned(),
            port,
            login,
        })
    }
}

/// With `%40` as `@` and so on.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "after a `%` of the login two hexadecimal figures are expected".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut figure = || char::from(rest.next()?).to_digit(16);
        let value = figure().and_then(|high| Some(high * 16 + figure()?));
        bytes.push(value.ok_or_else(wrong)? as u8);
    }
    String::from_utf8(bytes).map_err(|_| "the login is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (String, u16, Option<(String, String)>) {
        let host = Host::of(url).unwrap();
        (host.name, host.port, host.login)
    }

    #[test]
    fn addresses_are_read() {
        let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("mqtt://a:1"), ("a".to_owned(), 1, None));
        assert_eq!(read("mqtt://a"), ("a".to_owned(), 1883, None));
        assert_eq!(read("mqtts://a/"), ("a".to_owned(), 8883, None));
        assert_eq!(read("mqtt://[::1]:7"), ("[::1]".to_owned(), 7, None));
        assert_eq!(read("mqtt://[::1]"), ("[::1]".to_owned(), 1883, None));
        assert_eq!(
            read("mqtt://me:p%40ss@a:1"),
            ("a".to_owned(), 1, login("me", "p@ss"))
        );
        assert_eq!(read("mqtt://me@a:1").2, login("me", ""));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (url, words) in [
            ("mqtt://a:x", "port"),
            ("mqtt://:1", "missing"),
            ("mqtt://a,b", "one server"),
            ("mqtt://m%4:x@a", "hexadecimal"),
        ] {
            let said = Host::of(url).unwrap_err();
            assert!(said.contains(words), "{url}: {said}");
        }
    }
}
