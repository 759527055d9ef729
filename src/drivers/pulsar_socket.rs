//! What the client library does not tell: a connection made by hand, to learn why a broker refuses one,
//! which version it has and how large a message it takes; and requests to its REST API.
//!
//! Blocking, with a limit on every wait: for the few calls before and after a trial.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::target::{CONNECT_TIMEOUT, Endpoint};

/// How long a broker may take over a greeting. Shorter than the time for the whole, so that a server
/// that stands still is given up in time.
const GREETED_WITHIN: Duration = Duration::from_secs(4);
/// How long the REST API may take: one that was just started has much to load for its first topic.
const DONE_WITHIN: Duration = Duration::from_secs(20);
/// An answer longer than this is none of Pulsar's.
const LONGEST: u32 = 1 << 20;

/// How a client proves who it is.
#[derive(Clone)]
pub enum Login {
    Nobody,
    Basic { user: String, password: String },
    Token(String),
}

impl Login {
    /// The name of the method and its data, in Pulsar's words.
    pub fn method(&self) -> Option<(&'static str, String)> {
        match self {
            Login::Nobody => None,
            Login::Basic { user, password } => Some(("basic", format!("{user}:{password}"))),
            Login::Token(token) => Some(("token", token.clone())),
        }
    }
}

fn connect(at: &Endpoint, patience: Duration) -> Result<TcpStream, String> {
    let addresses = (at.host.as_str(), at.port).to_socket_addrs();
    let mut last = format!("the name {} is not known", at.host);
    for address in addresses.map_err(|_| last.clone())? {
        let stream = match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last = words(&error);
                continue;
            }
        };
        let limited = stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)));
        limited.map_err(|error| words(&error))?;
        return Ok(stream);
    }
    Err(last)
}

/// The words of an error of the system, without their number.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer came in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error ").next();
            plain.unwrap_or(&text).to_owned()
        }
    }
}

/// What a broker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Such as `Pulsar Server4.2.4`.
    pub version: String,
    /// Its maxMessageSize.
    pub largest: Option<u64>,
}

/// Connects as a client does and returns what the broker says of itself, or why it refuses.
pub fn greet(at: &Endpoint, login: &Login) -> Result<Greeting, String> {
    let mut stream = connect(at, GREETED_WITHIN)?;
    let failed = |error: io::Error| words(&error);
    stream.write_all(&connect_frame(login)).map_err(failed)?;
    stream.flush().map_err(failed)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(failed)?;
    let length = u32::from_be_bytes(length);
    if !(4..LONGEST).contains(&length) {
        return Err("it speaks another protocol than Pulsar's".to_owned());
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).map_err(failed)?;
    read_greeting(&frame[4..])
        .unwrap_or_else(|| Err("it speaks another protocol than Pulsar's".to_owned()))
}

/// A frame with the command CONNECT.
fn connect_frame(login: &Login) -> Vec<u8> {
    const CONNECT: u8 = 2;
    let mut connect = Vec::new();
    put(&mut connect, 1, b"mqbench");
    if let Some((method, data)) = login.method() {
        put(&mut connect, 3, data.as_bytes());
        put(&mut connect, 5, method.as_bytes());
    }
    // protocol_version
    connect.extend([4 << 3, 19]);
    // type, and the field that has the same number.
    let mut command = vec![1 << 3, CONNECT];
    put(&mut command, CONNECT, &connect);
    let length = command.len() as u32;
    let mut frame = (length + 4).to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(command);
    frame
}

/// Appends a field of bytes, as Protocol Buffers have it.
fn put(into: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    into.push(field << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
    into.extend(bytes);
}

/// A value of Protocol Buffers.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The next field; `None` at the end, or where there is no sense in it.
fn take<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = number(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(number(rest)?),
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// CONNECTED says what the broker is, ERROR why it refuses; anything else is no answer to CONNECT.
fn read_greeting(mut command: &[u8]) -> Option<Result<Greeting, String>> {
    const CONNECTED: u64 = 3;
    const ERROR: u64 = 14;
    while let Some((field, value)) = take(&mut command) {
        let Value::Bytes(mut inner) = value else {
            continue;
        };
        if field != CONNECTED && field != ERROR {
            continue;
        }
        let mut greeting = Greeting::default();
        let mut refusal = String::new();
        while let Some((part, value)) = take(&mut inner) {
            match (field, part, value) {
                (CONNECTED, 1, Value::Bytes(text)) => {
                    greeting.version = String::from_utf8_lossy(text).into_owned();
                }
                (CONNECTED, 3, Value::Number(size)) => greeting.largest = Some(size),
                (ERROR, 3, Value::Bytes(text)) => {
                    refusal = String::from_utf8_lossy(text).into_owned();
                }
                _ => {}
            }
        }
        return Some(match field {
            CONNECTED => Ok(greeting),
            _ => Err(format!("the server refused the login: {}", plain(&refusal))),
        });
    }
    None
}

/// The words of the server without the names of its classes.
pub fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let is_class = |word: &str| {
        word.contains('.')
            && word
                .chars()
                .all(|c| c.is_alphanumeric() || ".$_".contains(c))
    };
    let mut rest = line;
    while let Some((class, words)) = rest.split_once(": ") {
        if !is_class(class) {
            break;
        }
        rest = words;
    }
    rest.trim().to_owned()
}

/// An answer of the REST API.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends one request to the REST API.
pub fn request(
    at: &Endpoint,
    login: &Login,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer, String> {
    let mut stream = connect(at, DONE_WITHIN)?;
    let authorization = match login {
        Login::Nobody => String::new(),
        Login::Basic { user, password } => {
            let both = STANDARD.encode(format!("{user}:{password}"));
            format!("Authorization: Basic {both}\r\n")
        }
        Login::Token(token) => format!("Authorization: Bearer {token}\r\n"),
    };
    // By the older version the answer comes in one piece and ends with the connection.
    let request = format!(
        "{method} /admin/v2/{path} HTTP/1.0\r\nHost: {}\r\n{authorization}Accept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        at.host,
        body.len(),
    );
    let failed = |error: io::Error| words(&error);
    stream.write_all(request.as_bytes()).map_err(failed)?;
    stream.flush().map_err(failed)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(u64::from(LONGEST) * 64);
    limited.read_to_end(&mut answer).map_err(failed)?;
    read_answer(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| "it speaks another protocol than HTTP".to_owned())
}

fn read_answer(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let first = head.lines().next()?;
    let status = first.strip_prefix("HTTP/")?.split(' ').nth(1)?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_framed_as_the_protocol_says() {
        let frame = connect_frame(&Login::Nobody);
        assert_eq!(
            frame,
            b"\0\0\0\x13\0\0\0\x0f\x08\x02\x12\x0b\x0a\x07mqbench\x20\x13"
        );
        let login = Login::Token("x".repeat(300));
        let frame = connect_frame(&login);
        let command = &frame[8..];
        assert_eq!(frame.len(), command.len() + 8);
        let mut rest = &command[2..];
        let Some((2, Value::Bytes(mut connect))) = take(&mut rest) else {
            panic!("no CONNECT");
        };
        take(&mut connect);
        let Some((3, Value::Bytes(data))) = take(&mut connect) else {
            panic!("no auth_data");
        };
        assert_eq!(data.len(), 300);
    }

    #[test]
    fn what_a_broker_says_of_itself_is_read_and_why_it_refuses() {
        let mut inner = Vec::new();
        put(&mut inner, 1, b"Pulsar Server4.2.4");
        inner.extend([2 << 3, 21, 3 << 3, 0x80, 0x80, 0xc0, 2]);
        let mut command = vec![8, 3];
        put(&mut command, 3, &inner);
        let greeting = read_greeting(&command).unwrap().unwrap();
        assert_eq!(greeting.version, "Pulsar Server4.2.4");
        assert_eq!(greeting.largest, Some(5 << 20));

        let mut inner = vec![8, 0, 16, 3];
        put(
            &mut inner,
            3,
            b"javax.naming.AuthenticationException: Unknown user",
        );
        let mut command = vec![8, 14];
        put(&mut command, 14, &inner);
        let refused = read_greeting(&command).unwrap().unwrap_err();
        assert_eq!(refused, "the server refused the login: Unknown user");
        assert!(read_greeting(b"P/1.1 400").is_none());
        assert!(read_greeting(&[8, 3, 0x1a, 0xff, 0xff]).is_none());
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = read_answer("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n{\"reason\":\"x\"}");
        let body = "{\"reason\":\"x\"}".to_owned();
        assert_eq!(answer, Some(Answer { status: 404, body }));
        assert_eq!(read_answer("+PONG\r\n"), None);
    }
}
