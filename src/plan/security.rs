//! Whether a broker can be logged in to, and encrypted, as its entry says.

use crate::drivers::descriptor::Descriptor;
use crate::drivers::tls;
use crate::scenario::{BrokerEntry, Scenario};
use crate::terminal::diagnostic::Diagnostic;

/// Refuses what the driver does not honour, and files that would not do.
pub fn check(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    errors: &mut Vec<Diagnostic>,
) {
    let given = [
        ("user", entry.user.is_some()),
        ("password", entry.password.is_some()),
        ("token", entry.token.is_some()),
        ("tls", entry.tls.is_some()),
    ];
    let before = errors.len();
    let path = |key: &str| format!("brokers.{}.{key}", entry.label);
    for (key, _) in given.iter().filter(|(_, there)| *there) {
        let at = scenario.place(&path(key));
        if !driver.security.contains(key) {
            let help = match driver.security {
                [] => "it takes neither user, password, token nor tls".to_owned(),
                known => format!("it takes {}", known.join(", ")),
            };
            errors.push(
                scenario
                    .error(at, format!("{} does not honour `{key}`", driver.name))
                    .help(help),
            );
        } else if entry.url.is_none() {
            let help = "a private instance takes no login and is not encrypted; name a broker with \
                        `url`";
            errors.push(
                scenario
                    .error(at, format!("`{}` has `{key}` and no `url`", entry.label))
                    .help(help),
            );
        }
    }
    if errors.len() > before {
        return;
    }
    for wrong in entry.tls.iter().flat_map(tls::wrongs) {
        let at = scenario.place(&path(&format!("tls.{}", wrong.key)));
        errors.push(scenario.error(at, wrong.what).help(wrong.help));
    }
}
