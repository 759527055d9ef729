//! Where a Pulsar answers: its brokers' own protocol, and the REST API for administration.

use super::DriverError;
use super::target::{Endpoint, login, parts, shown, url};
use super::tls;
use crate::engine::task::Task;
use crate::scenario::brokers::Tls;

const ENCRYPTED: &[&str] = &["pulsar+ssl"];

/// Ports where nothing else is said, in the clear and encrypted.
const BROKER: [u16; 2] = [6650, 6651];
const ADMIN: [u16; 2] = [8080, 8443];

/// What the URL of a task says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As messages may show it.
    pub shown: String,
    /// In the order in which they are tried.
    pub brokers: Vec<Endpoint>,
    /// How connections to brokers are encrypted, if they are.
    pub tls: Option<Tls>,
    pub admin: Admin,
    /// From the URL; the entries of the scenario come first.
    pub login: Option<(String, String)>,
}

/// Where the REST API answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub at: Endpoint,
    /// How its connections are encrypted, if they are.
    pub tls: Option<Tls>,
}

impl Admin {
    /// As messages show it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.at.place())
    }
}

impl Address {
    pub fn of(task: &Task) -> Result<Address, DriverError> {
        let url = url(task)?;
        read(url, task.text("admin_url"), tls::wanted(task, ENCRYPTED)).map_err(|cause| {
            DriverError {
                doing: format!("connect to {}", shown(url)),
                cause,
            }
        })
    }
}

/// `pulsar[+ssl]://[user:password@]host[:port][,host[:port]…][?admin=port]`.
fn read(url: &str, admin_url: Option<&str>, tls: Option<Tls>) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the address has no scheme")?;
    if scheme != "pulsar" && !ENCRYPTED.contains(&scheme) {
        return Err(format!("`{scheme}` is no scheme of this client"));
    }
    let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
    let usual = BROKER[usize::from(tls.is_some())];
    let brokers = parts(url)
        .map(|(place, _)| Endpoint::of(place, usual))
        .collect::<Result<Vec<_>, _>>()?;
    let first = brokers.first().ok_or("it names no host")?;
    let port = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("admin="));
    let beside = |port| Admin {
        at: Endpoint {
            host: first.host.clone(),
            port,
        },
        tls: tls.clone(),
    };
    let admin = match (admin_url, port) {
        (Some(url), _) => admin(url, tls.clone())?,
        // The server that mqbench starts says so.
        (None, Some(port)) => beside(port.parse().map_err(|_| format!("`{port}` is no port"))?),
        (None, None) => beside(ADMIN[usize::from(tls.is_some())]),
    };
    let login = parts(url).find_map(|(_, named)| named).map(login);
    Ok(Address {
        shown: shown(url),
        brokers,
        tls,
        admin,
        login,
    })
}

/// An address of its own says by itself whether it is encrypted, and `tls` how.
fn admin(url: &str, tls: Option<Tls>) -> Result<Admin, String> {
    let (tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (None, rest),
        Some(("https", rest)) => (Some(tls.unwrap_or_default()), rest),
        _ => {
            let shown = shown(url);
            return Err(format!(
                "`admin_url: {shown}` is no http:// or https:// address"
            ));
        }
    };
    let place = rest.split(['/', '?']).next().unwrap_or(rest);
    let at = Endpoint::of(place, ADMIN[usize::from(tls.is_some())])?;
    Ok(Admin { at, tls })
}

/// What the client library takes to reach a broker in the clear.
pub fn broker_url(broker: &Endpoint) -> String {
    format!("pulsar://{}", broker.place())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Endpoint {
        let host = host.to_owned();
        Endpoint { host, port }
    }

    #[test]
    fn ports_and_the_administration_are_found_where_they_usually_are() {
        let address = read("pulsar://me:se:cret@a,b:7000/", None, None).unwrap();
        assert_eq!(address.brokers, [at("a", 6650), at("b", 7000)]);
        assert_eq!(address.admin.url(), "http://a:8080");
        assert_eq!(address.login, Some(("me".into(), "se:cret".into())));
        assert!(!address.shown.contains("cret"));
        let address = read("pulsar+ssl://a,b:7000", None, Some(Tls::default())).unwrap();
        assert_eq!(address.brokers, [at("a", 6651), at("b", 7000)]);
        assert_eq!(address.admin.url(), "https://a:8443");
        assert!(read("http://a", None, None).is_err());
    }

    #[test]
    fn the_administration_may_be_elsewhere() {
        let address = read("pulsar://[::1]:1?admin=2", None, None).unwrap();
        assert_eq!(broker_url(&address.brokers[0]), "pulsar://[::1]:1");
        assert_eq!(address.admin.url(), "http://[::1]:2");
        let address = read("pulsar://a", Some("http://b:9/"), None).unwrap();
        assert_eq!(address.admin.at, at("b", 9));
        assert!(read("pulsar://a", Some("b:9"), None).is_err());
        assert!(read("pulsar://a:b", None, None).is_err());
        assert!(read("pulsar://", None, None).is_err());
    }

    #[test]
    fn the_administration_says_for_itself_whether_it_is_encrypted() {
        let ours = Tls {
            insecure: true,
            ..Tls::default()
        };
        let admin = |url, tls| read("pulsar://a", Some(url), tls).unwrap().admin;
        assert_eq!(
            admin("https://b", Some(ours.clone())).tls,
            Some(ours.clone())
        );
        assert_eq!(admin("https://b", None).tls, Some(Tls::default()));
        assert_eq!(admin("https://b", None).url(), "https://b:8443");
        assert_eq!(admin("http://b", Some(ours)).tls, None);
    }
}
