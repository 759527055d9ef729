//! The answers of Redis in which entries of streams come, without a copy.
//!
//! The client's typed replies would build maps of every entry, which costs a third of the throughput;
//! a walk over the raw value copies nothing.

use redis::Value;

/// Hands out stream, id and message of every entry in the answer to `XREADGROUP`.
pub(super) fn of_read(answer: Value, mut each: impl FnMut(&[u8], Vec<u8>, Option<&[u8]>)) {
    let mut stream = |name: Value, entries: Value| {
        if let (Value::BulkString(name), Value::Array(entries)) = (name, entries) {
            walk(entries, |id, message| each(&name, id, message));
        }
    };
    match answer {
        Value::Array(streams) => {
            for pair in streams {
                if let Value::Array(pair) = pair
                    && let Ok([name, entries]) = <[Value; 2]>::try_from(pair)
                {
                    stream(name, entries);
                }
            }
        }
        // RESP3 answers with a map.
        Value::Map(streams) => {
            for (name, entries) in streams {
                stream(name, entries);
            }
        }
        // Nothing came in time.
        _ => {}
    }
}

/// Hands out id and message of every entry in the answer to `XAUTOCLAIM`, and returns from where to go on;
/// `None` where that was all. (The answer is that place, the entries, and the ids of deleted ones.)
pub(super) fn of_claim(answer: Value, each: impl FnMut(Vec<u8>, Option<&[u8]>)) -> Option<Vec<u8>> {
    let Value::Array(parts) = answer else {
        return None;
    };
    let mut parts = parts.into_iter();
    let next = parts.next();
    if let Some(Value::Array(entries)) = parts.next() {
        walk(entries, each);
    }
    match next {
        Some(Value::BulkString(next)) if next != b"0-0" => Some(next),
        _ => None,
    }
}

/// Entries are pairs of an id and a flat list of fields and values; the message is the first value. Of one
/// that was deleted after it was handed out only the id is left.
fn walk(entries: Vec<Value>, mut each: impl FnMut(Vec<u8>, Option<&[u8]>)) {
    for entry in entries {
        if let Value::Array(pair) = entry
            && let Ok([Value::BulkString(id), fields]) = <[Value; 2]>::try_from(pair)
        {
            match &fields {
                Value::Array(fields) => {
                    if let Some(Value::BulkString(message)) = fields.get(1) {
                        each(id, Some(message));
                    }
                }
                _ => each(id, None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, message: &str) -> Value {
        Value::Array(vec![text(id), Value::Array(vec![text("m"), text(message)])])
    }

    fn read(answer: Value) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        of_read(answer, |stream, id, message| {
            let message = message.unwrap_or(b"deleted");
            found.push((owned(stream), owned(&id), owned(message)));
        });
        found
    }

    #[test]
    fn both_shapes_of_an_answer_are_walked() {
        let entries = Value::Array(vec![entry("1-0", "a"), entry("1-1", "b")]);
        let expected = [("s", "1-0", "a"), ("s", "1-1", "b")];
        let expected = expected.map(|(s, i, m)| (s.to_owned(), i.to_owned(), m.to_owned()));
        let array = Value::Array(vec![Value::Array(vec![text("s"), entries.clone()])]);
        assert_eq!(read(array), expected);
        assert_eq!(read(Value::Map(vec![(text("s"), entries)])), expected);
        assert_eq!(read(Value::Nil), []);
    }

    #[test]
    fn of_an_entry_that_was_deleted_the_id_is_left() {
        let gone = Value::Array(vec![text("1-0"), Value::Nil]);
        let claim = |next: &str| {
            Value::Array(vec![
                text(next),
                Value::Array(vec![gone.clone(), entry("1-1", "b")]),
                Value::Array(vec![]),
            ])
        };
        let mut seen = Vec::new();
        let next = of_claim(claim("1-2"), |id, message| {
            seen.push((id, message.map(<[u8]>::to_vec)));
        });
        assert_eq!(next, Some(b"1-2".to_vec()));
        let expected = [
            (b"1-0".to_vec(), None),
            (b"1-1".to_vec(), Some(b"b".to_vec())),
        ];
        assert_eq!(seen, expected);
        assert_eq!(of_claim(claim("0-0"), |_, _| {}), None);
    }
}
