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
    use super::shown;

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
