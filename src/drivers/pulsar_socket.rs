//! What the client library does not tell: a connection made by hand, to learn why a broker refuses one,
//! which version it has and how large a message it takes; and requests to its REST API.
//!
//! With a limit on every wait: for the few calls before, beside and after a trial.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::pulsar_frames::{Greeting, LONGEST, connect_frame, read_greeting};
use super::target::{CONNECT_TIMEOUT, Endpoint};
use super::tls;
use crate::scenario::brokers::Tls;

/// How long the REST API may take: one that was just started has much to load for its first topic.
const DONE_WITHIN: Duration = Duration::from_secs(20);
/// How long a broker may take over a greeting. Shorter than the time for the whole, so that a server
/// that stands still is given up in time.
const GREETED_WITHIN: Duration = Duration::from_secs(4);
const LATE: &str = "no answer came in time";
const FOREIGN: &str = "it speaks another protocol than Pulsar's";

/// How a client proves who it is.
#[derive(Clone)]
pub enum Login {
    Nobody,
    Basic {
        user: String,
        password: String,
    },
    Token(String),
    /// By the certificate that the connection shows.
    Certificate,
}

impl Login {
    /// The name of the method and its data, in Pulsar's words.
    pub fn method(&self) -> Option<(&'static str, String)> {
        match self {
            Login::Nobody => None,
            Login::Basic { user, password } => Some(("basic", format!("{user}:{password}"))),
            Login::Token(token) => Some(("token", token.clone())),
            Login::Certificate => Some(("tls", String::new())),
        }
    }
}

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(at: &Endpoint, tls: Option<&Tls>) -> Result<Box<dyn Stream>, String> {
    let place = (at.host.as_str(), at.port);
    let connecting = async {
        if let Some(tls) = tls {
            let stream = tls::handshake(&at.host, at.port, tls).await?;
            return Ok(Box::new(stream) as Box<dyn Stream>);
        }
        if lookup_host(place).await.is_err() {
            return Err(format!("the name {} is not known", at.host));
        }
        let stream = TcpStream::connect(place).await;
        Ok(Box::new(stream.map_err(|error| words(&error))?) as Box<dyn Stream>)
    };
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    connected.unwrap_or_else(|_| Err(LATE.to_owned()))
}

/// The words of an error of the system, without their number.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LATE.to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error ").next();
            plain.unwrap_or(&text).to_owned()
        }
    }
}

/// Connects as a client does and returns what the broker says of itself, or why it refuses.
pub async fn greet(at: &Endpoint, login: &Login, tls: Option<&Tls>) -> Result<Greeting, String> {
    let mut stream = connect(at, tls).await?;
    let greeting = match timeout(GREETED_WITHIN, first_frame(&mut stream, login)).await {
        Ok(Ok(frame)) => frame.get(4..).and_then(read_greeting),
        Ok(Err(error)) => return Err(why_closed(at, &error, tls).await),
        Err(_) => return Err(LATE.to_owned()),
    };
    let greeting = greeting.ok_or_else(|| FOREIGN.to_owned())?;
    greeting.map_err(|why| format!("the server refused the login: {}", plain(&why)))
}

/// Empty where it cannot be Pulsar's.
async fn first_frame(stream: &mut impl Stream, login: &Login) -> io::Result<Vec<u8>> {
    stream.write_all(&connect_frame(login.method())).await?;
    stream.flush().await?;
    let length = stream.read_u32().await?;
    if !(4..LONGEST).contains(&length) {
        return Ok(Vec::new());
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Why there was no answer to the first words.
async fn why_closed(at: &Endpoint, error: &io::Error, tls: Option<&Tls>) -> String {
    let reason = words(error);
    match tls {
        // What the server objects to is lost where our first words are on the way when it closes; who
        // says nothing hears it.
        Some(tls) => match tls::probe(&at.host, at.port, tls).await {
            Ok(()) => tls::refused(&reason, tls),
            Err(why) => why,
        },
        None => {
            format!("{reason} at the first word: if it expects encryption, say so with `tls: {{}}`")
        }
    }
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
pub async fn request(
    at: &Endpoint,
    login: &Login,
    tls: Option<&Tls>,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer, String> {
    let authorization = match login {
        Login::Nobody | Login::Certificate => String::new(),
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
    let mut stream = connect(at, tls).await?;
    let answer = match timeout(DONE_WITHIN, exchange(&mut stream, &request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let reason = words(&error);
            return Err(match tls {
                Some(tls) => tls::refused(&reason, tls),
                None => reason,
            });
        }
        Err(_) => return Err(LATE.to_owned()),
    };
    read_answer(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| "it speaks another protocol than HTTP".to_owned())
}

async fn exchange(stream: &mut impl Stream, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let mut limited = stream.take(u64::from(LONGEST) * 64);
    limited.read_to_end(&mut answer).await?;
    Ok(answer)
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
    fn the_names_of_classes_are_no_words_for_users() {
        let said = "javax.naming.AuthenticationException: Unknown user";
        assert_eq!(plain(said), "Unknown user");
        assert_eq!(plain("Unknown user: bench"), "Unknown user: bench");
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = read_answer("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n{\"reason\":\"x\"}");
        let body = "{\"reason\":\"x\"}".to_owned();
        assert_eq!(answer, Some(Answer { status: 404, body }));
        assert_eq!(read_answer("+PONG\r\n"), None);
    }
}
