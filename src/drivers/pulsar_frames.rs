//! Frames of Pulsar's protocol, as far as they are written and read here and not by the client library:
//! the greeting of a broker, and its answer to where a topic is.

/// A frame that is longer is no answer of Pulsar's to any of this.
pub const LONGEST: u32 = 1 << 20;

const CONNECT: u8 = 2;
const CONNECTED: u64 = 3;
const ERROR: u64 = 14;
const LOOKUP_RESPONSE: u8 = 24;

/// What a broker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Such as `Pulsar Server4.2.4`.
    pub version: String,
    /// Its maxMessageSize.
    pub largest: Option<u64>,
}

/// A frame with the command CONNECT; `method` is the name of the one to log in by, and its data.
pub fn connect_frame(method: Option<(&str, String)>) -> Vec<u8> {
    let mut connect = Vec::new();
    put(&mut connect, 1, b"mqbench");
    if let Some((method, data)) = method {
        put(&mut connect, 3, data.as_bytes());
        put(&mut connect, 5, method.as_bytes());
    }
    // protocol_version
    put_number(&mut connect, 4, 19);
    framed(CONNECT, &connect)
}

/// A frame with one command: its type, and the field that has the same number.
fn framed(kind: u8, inner: &[u8]) -> Vec<u8> {
    let mut command = Vec::with_capacity(inner.len() + 16);
    put_number(&mut command, 1, kind.into());
    put(&mut command, kind.into(), inner);
    let length = command.len() as u32;
    let mut frame = (length + 4).to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(command);
    frame
}

/// CONNECTED says what the broker is, ERROR why it refuses; anything else is no answer to CONNECT.
pub fn read_greeting(mut command: &[u8]) -> Option<Result<Greeting, String>> {
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
            _ => Err(refusal),
        });
    }
    None
}

/// Follows the frames that a broker sends, to find those that say where a topic is.
#[derive(Debug, Default)]
pub struct Follower {
    /// Bytes to come of the frame under way, which goes on as it is.
    left: usize,
}

/// The frame at which a [`Follower`] has stopped, whose first bytes are there.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All bytes may go on.
    Nowhere,
    /// At a frame of which more must come before it can be told what it is.
    Early,
    /// At an answer to where a topic is, of so many bytes, of which some may be still to come.
    Lookup(usize),
}

impl Follower {
    /// How many of these bytes, which follow those that went on before, may go on as they are, and at
    /// what the rest begins.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, Stopped) {
        let mut at = self.left.min(bytes.len());
        self.left -= at;
        while at < bytes.len() {
            // Lengths of frame and command; the field of the type, which comes first; the type.
            let Some(head) = bytes.get(at..at + 10) else {
                return (at, Stopped::Early);
            };
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize + 4;
            // What is no frame is for the client library to complain of.
            let length = if length < 10 { usize::MAX } else { length };
            let is_lookup = head[8..] == [1 << 3, LOOKUP_RESPONSE];
            if is_lookup && length <= LONGEST as usize {
                return (at, Stopped::Lookup(length));
            }
            let there = length.min(bytes.len() - at);
            at += there;
            self.left = length - there;
        }
        (at, Stopped::Nowhere)
    }
}

/// An answer to where a topic is, without the address in the clear, or with what `way` makes of the
/// encrypted one in its place. A broker behind a proxy is only named: its client stays with the address
/// that it has.
pub fn redirected(frame: &[u8], way: impl FnOnce(&str) -> Option<String>) -> Option<Vec<u8>> {
    const IN_THE_CLEAR: u64 = 1;
    const ENCRYPTED: u64 = 2;
    const PROXIED: u64 = 8;
    let mut command = frame.get(8..)?;
    let mut answer = loop {
        match take(&mut command)? {
            (field, Value::Bytes(answer)) if field == u64::from(LOOKUP_RESPONSE) => break answer,
            _ => {}
        }
    };
    let (mut rest, mut address, mut proxied) = (Vec::new(), None, false);
    while !answer.is_empty() {
        let (field, value) = take(&mut answer)?;
        match (field, value) {
            (IN_THE_CLEAR, _) => {}
            (_, Value::Bytes(bytes)) => {
                if field == ENCRYPTED {
                    address = std::str::from_utf8(bytes).ok();
                }
                put(&mut rest, field, bytes);
            }
            (_, Value::Number(number)) => {
                proxied |= field == PROXIED && number != 0;
                put_number(&mut rest, field, number);
            }
        }
    }
    let address = address.and_then(|text| text.strip_prefix("pulsar+ssl://"));
    let address = address.and_then(|place| match proxied {
        true => Some(format!("pulsar://{place}")),
        false => way(place),
    });
    let mut inner = Vec::new();
    if let Some(address) = address {
        put(&mut inner, IN_THE_CLEAR, address.as_bytes());
    }
    inner.extend(rest);
    Some(framed(LOOKUP_RESPONSE, &inner))
}

/// Appends a field of bytes, as Protocol Buffers have it.
fn put(into: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(into, field << 3 | 2);
    put_varint(into, bytes.len() as u64);
    into.extend(bytes);
}

/// Appends a field with a number.
fn put_number(into: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(into, field << 3);
    put_varint(into, number);
}

fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_framed_as_the_protocol_says() {
        let frame = connect_frame(None);
        assert_eq!(
            frame,
            b"\0\0\0\x13\0\0\0\x0f\x08\x02\x12\x0b\x0a\x07mqbench\x20\x13"
        );
        let frame = connect_frame(Some(("token", "x".repeat(300))));
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
        put_number(&mut inner, 2, 21);
        put_number(&mut inner, 3, 5 << 20);
        let greeting = read_greeting(&framed(3, &inner)[8..]).unwrap().unwrap();
        assert_eq!(greeting.version, "Pulsar Server4.2.4");
        assert_eq!(greeting.largest, Some(5 << 20));

        let mut inner = vec![8, 0, 16, 3];
        put(&mut inner, 3, b"Unknown user");
        let refused = read_greeting(&framed(14, &inner)[8..])
            .unwrap()
            .unwrap_err();
        assert_eq!(refused, "Unknown user");
        assert!(read_greeting(b"P/1.1 400").is_none());
        assert!(read_greeting(&[8, 3, 0x1a, 0xff, 0xff]).is_none());
    }

    /// An answer that names both addresses of a broker.
    fn lookup(encrypted: Option<&str>, proxied: bool) -> Vec<u8> {
        let mut inner = Vec::new();
        put(&mut inner, 1, b"pulsar://clear:6650");
        if let Some(address) = encrypted {
            put(&mut inner, 2, address.as_bytes());
        }
        put_number(&mut inner, 3, 1);
        put_number(&mut inner, 4, 300);
        put_number(&mut inner, 8, proxied.into());
        framed(LOOKUP_RESPONSE, &inner)
    }

    fn text_of(frame: &[u8]) -> String {
        String::from_utf8_lossy(frame).into_owned()
    }

    #[test]
    fn a_client_is_sent_on_the_way_of_ours_and_never_to_an_address_in_the_clear() {
        let frame = lookup(Some("pulsar+ssl://far:6651"), false);
        let asked = |place: &str| {
            assert_eq!(place, "far:6651");
            Some("pulsar://127.0.0.1:7".to_owned())
        };
        let mut inner = Vec::new();
        put(&mut inner, 1, b"pulsar://127.0.0.1:7");
        put(&mut inner, 2, b"pulsar+ssl://far:6651");
        put_number(&mut inner, 3, 1);
        put_number(&mut inner, 4, 300);
        put_number(&mut inner, 8, 0);
        let expected = framed(LOOKUP_RESPONSE, &inner);
        assert_eq!(redirected(&frame, asked), Some(expected));

        let nowhere = |_: &str| None;
        for encrypted in [None, Some("pulsar+ssl://far:6651"), Some("pulsar://x")] {
            let sent = redirected(&lookup(encrypted, false), nowhere).unwrap();
            assert!(!text_of(&sent).contains("clear"), "{encrypted:?}");
        }
    }

    #[test]
    fn behind_a_proxy_the_broker_is_named_by_its_encrypted_address() {
        let frame = lookup(Some("pulsar+ssl://far:6651"), true);
        let sent = redirected(&frame, |_| panic!("there is no way to it")).unwrap();
        assert!(text_of(&sent).contains("pulsar://far:6651"));
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        let frame = lookup(Some("pulsar+ssl://far:6651"), false);
        for length in 0..frame.len() {
            assert_eq!(redirected(&frame[..length], |_| None), None, "{length}");
        }
    }

    /// What comes out where so many bytes come at a time.
    fn followed(bytes: &[u8], at_a_time: usize) -> (Vec<u8>, usize) {
        let (mut follower, mut there, mut out, mut lookups) =
            (Follower::default(), Vec::new(), Vec::new(), 0);
        for part in bytes.chunks(at_a_time) {
            there.extend(part);
            loop {
                let (pass, stopped) = follower.pass(&there);
                out.extend(there.drain(..pass));
                match stopped {
                    Stopped::Lookup(length) if length <= there.len() => {
                        lookups += 1;
                        out.extend(there.drain(..length));
                    }
                    _ => break,
                }
            }
        }
        assert!(there.is_empty());
        (out, lookups)
    }

    #[test]
    fn answers_are_found_among_other_frames_however_they_come() {
        let lookup = lookup(Some("pulsar+ssl://far:6651"), false);
        // With a payload, which may look like anything.
        let mut message = framed(9, b"\x0a\x02ab");
        let payload = [&b"\0\0"[..], &lookup].concat();
        let length = (message.len() - 4 + payload.len()) as u32;
        message[..4].copy_from_slice(&length.to_be_bytes());
        message.extend(&payload);
        let ping = framed(18, b"");
        let all = [&message, &lookup, &ping, &lookup, &lookup, &message].map(|it| it.as_slice());
        let all = all.concat();
        for at_a_time in [1, 2, 3, 7, 13, 64, all.len()] {
            assert_eq!(followed(&all, at_a_time), (all.clone(), 3), "{at_a_time}");
        }
    }

    #[test]
    fn another_protocol_goes_on_as_it_is() {
        let text = b"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\n";
        assert_eq!(followed(text, 11), (text.to_vec(), 0));
        let tiny = [0, 0, 0, 1, 0, 0, 0, 0, 8, 24, 1, 2, 3];
        assert_eq!(followed(&tiny, 13), (tiny.to_vec(), 0));
    }
}
