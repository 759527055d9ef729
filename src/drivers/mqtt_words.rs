//! What the MQTT libraries say of a lost or refused connection, in the user's words.

use std::fmt::Debug;
use std::io;

use rumqttc_five as five;
use rumqttc_three as three;

/// The server ended the connection without a word.
pub const CLOSED: &str = "the server closed the connection";
/// Nothing came.
pub const SILENT: &str = "the server gave no answer in time";
const NO_PONG: &str = "the server did not answer for as long as keep_alive says";
const FOREIGN: &str = "what answers does not speak this version of MQTT";

/// Of version 3.1.1.
pub fn of_three(error: &three::ConnectionError) -> String {
    use three::{ConnectReturnCode as Code, ConnectionError as Of, StateError as State};
    match error {
        Of::ConnectionRefused(code) => match code {
            Code::BadUserNamePassword => "the server refused the user name or password".to_owned(),
            Code::NotAuthorized => NOT_AUTHORISED.to_owned(),
            Code::RefusedProtocolVersion => OTHER_VERSION.to_owned(),
            code => format!("the server refused: {}", spaced(code)),
        },
        Of::NetworkTimeout | Of::FlushTimeout => SILENT.to_owned(),
        Of::NotConnAck(_) => FOREIGN.to_owned(),
        Of::Io(error) => of_io(error),
        Of::Tls(error) => of_handshake(error),
        Of::MqttState(State::ConnectionAborted) => CLOSED.to_owned(),
        Of::MqttState(State::AwaitPingResp | State::CollisionTimeout) => NO_PONG.to_owned(),
        Of::MqttState(State::Io(error)) => of_io(error),
        Of::MqttState(State::Deserialization(error)) => of_bytes(&error.to_string()),
        Of::MqttState(error) => plain(&error.to_string()),
        Of::RequestsDone => CLOSED.to_owned(),
        error => plain(&error.to_string()),
    }
}

/// Of version 5.
pub fn of_five(error: &five::ConnectionError) -> String {
    use five::{ConnectReturnCode as Code, ConnectionError as Of, StateError as State};
    match error {
        Of::ConnectionRefused(code) | Of::MqttState(State::ConnFail { reason: code }) => match code
        {
            Code::BadUserNamePassword => "the server refused the user name or password".to_owned(),
            Code::NotAuthorized => NOT_AUTHORISED.to_owned(),
            Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
                OTHER_VERSION.to_owned()
            }
            code => format!("the server refused: {}", spaced(code)),
        },
        Of::Timeout(_) => SILENT.to_owned(),
        Of::NotConnAck(_) => FOREIGN.to_owned(),
        Of::Io(error) => of_io(error),
        Of::Tls(error) => of_handshake(error),
        Of::MqttState(State::ConnectionAborted) => CLOSED.to_owned(),
        Of::MqttState(State::AwaitPingResp | State::CollisionTimeout) => NO_PONG.to_owned(),
        Of::MqttState(State::Io(error)) => of_io(error),
        Of::MqttState(State::ServerDisconnect { reason_code, .. }) => {
            format!("the server ended the connection: {}", spaced(reason_code))
        }
        Of::MqttState(State::OutgoingPacketTooLarge { pkt_size, max }) => format!(
            "a packet of {pkt_size} bytes is larger than the server takes (its maximum packet size \
             is {max})"
        ),
        Of::MqttState(State::Deserialization(error)) => of_bytes(&error.to_string()),
        Of::MqttState(error) => plain(&error.to_string()),
        Of::RequestsDone => CLOSED.to_owned(),
        error => plain(&error.to_string()),
    }
}

const NOT_AUTHORISED: &str =
    "the server refused the login: not authorised (is the user name or password missing or wrong?)";
const OTHER_VERSION: &str = "the server does not speak this version of MQTT: change `version`";

fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CLOSED.to_owned(),
        _ => plain(&error.to_string()),
    }
}

/// In the words that `tls::explain` knows.
fn of_handshake(error: &three::TlsError) -> String {
    match error {
        three::TlsError::Io(error) if of_io(error) == CLOSED => "tls handshake eof".to_owned(),
        error => plain(&error.to_string()),
    }
}

/// The libraries pack what the system says of a connection into their errors of reading.
fn of_bytes(error: &str) -> String {
    let words = error.to_lowercase();
    let has = |marks: &[&str]| marks.iter().any(|mark| words.contains(mark));
    if has(&[
        "reset by peer",
        "broken pipe",
        "unexpected eof",
        "unexpected end",
    ]) {
        return CLOSED.to_owned();
    }
    if has(&["certificate", "alert", "handshake", "tls", "peer"]) {
        return plain(error);
    }
    format!("{FOREIGN} ({})", plain(error))
}

/// Without the names of types and the numbers that the system has for its words.
fn plain(error: &str) -> String {
    let error = error.trim_start_matches("I/O: ").trim_start_matches("IO: ");
    let error = error.trim_start_matches("TLS error: ");
    let words = error.split(" (os error ").next();
    words.unwrap_or(error).to_owned()
}

/// A reason of the protocol, which the library has as the name of a variant, as words.
pub fn spaced(reason: &impl Debug) -> String {
    let mut words = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words.replace("authorized", "authorised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc_five::PubAckReason;

    #[test]
    fn reasons_are_words() {
        assert_eq!(spaced(&PubAckReason::QuotaExceeded), "quota exceeded");
        assert_eq!(spaced(&PubAckReason::NotAuthorized), "not authorised");
    }

    #[test]
    fn nothing_of_the_library_is_left_in_the_words() {
        let reset = io::Error::from_raw_os_error(104);
        assert_eq!(of_io(&reset), CLOSED);
        let unreachable = io::Error::from_raw_os_error(113);
        assert_eq!(of_io(&unreachable), "No route to host");
    }
}
