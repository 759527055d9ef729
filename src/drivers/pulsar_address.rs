//! Where a Pulsar answers: its brokers' own protocol, and the REST API for administration.

use super::DriverError;
use super::target::{Endpoint, login, parts, shown, url};
use crate::engine::task::Task;

/// Ports where nothing else is said.
const BROKER: u16 = 6650;
const ADMIN: u16 = 8080;

/// What the URL of a task says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As messages may show it.
    pub shown: String,
    /// In the order in which they are tried.
    pub brokers: Vec<Endpoint>,
    pub admin: Endpoint,
    /// From the URL; the entries of the scenario come first.
    pub login: Option<(String, String)>,
}

impl Address {
    pub fn of(task: &Task) -> Result<Address, DriverError> {
        let url = url(task)?;
        read(url, task.text("admin_url")).map_err(|cause| DriverError {
            doing: format!("connect to {}", shown(url)),
            cause,
        })
    }
}

/// `pulsar://[user:password@]host[:port][,host[:port]…][?admin=port]`.
fn read(url: &str, admin_url: Option<&str>) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the address has no scheme")?;
    if scheme != "pulsar" {
        return Err(format!("`{scheme}` is no scheme of this client"));
    }
    let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
    let brokers = parts(url)
        .map(|(place, _)| Endpoint::of(place, BROKER))
        .collect::<Result<Vec<_>, _>>()?;
    let first = brokers.first().ok_or("it names no host")?;
    let port = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("admin="));
    let admin = match (admin_url, port) {
        (Some(url), _) => admin_endpoint(url)?,
        // The server that mqbench starts says so.
        (None, Some(port)) => Endpoint {
            host: first.host.clone(),
            port: port.parse().map_err(|_| format!("`{port}` is no port"))?,
        },
        (None, None) => Endpoint {
            host: first.host.clone(),
            port: ADMIN,
        },
    };
    let login = parts(url).find_map(|(_, named)| named).map(login);
    Ok(Address {
        shown: shown(url),
        brokers,
        admin,
        login,
    })
}

fn admin_endpoint(url: &str) -> Result<Endpoint, String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("`admin_url: {}` is no http:// address", shown(url)))?;
    Endpoint::of(rest.split(['/', '?']).next().unwrap_or(rest), ADMIN)
}

/// As the client library takes a broker.
pub fn broker_url(broker: &Endpoint) -> String {
    format!("pulsar://{}", broker.place())
}

/// As messages show the administration.
pub fn admin_url(admin: &Endpoint) -> String {
    format!("http://{}", admin.place())
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
        let address = read("pulsar://me:se:cret@a,b:7000/", None).unwrap();
        assert_eq!(address.brokers, [at("a", 6650), at("b", 7000)]);
        assert_eq!(address.admin, at("a", 8080));
        assert_eq!(address.login, Some(("me".into(), "se:cret".into())));
        assert!(!address.shown.contains("cret"));
    }

    #[test]
    fn the_administration_may_be_elsewhere() {
        let address = read("pulsar://[::1]:1?admin=2", None).unwrap();
        assert_eq!(broker_url(&address.brokers[0]), "pulsar://[::1]:1");
        assert_eq!(admin_url(&address.admin), "http://[::1]:2");
        let address = read("pulsar://a", Some("http://b:9/")).unwrap();
        assert_eq!(address.admin, at("b", 9));
        assert!(read("pulsar://a", Some("b:9")).is_err());
        assert!(read("pulsar://a:b", None).is_err());
        assert!(read("pulsar://", None).is_err());
    }
}
