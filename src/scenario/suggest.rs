//! The nearest known word to a mistyped one.

/// The known word that `word` was most likely meant to be, if any is near enough to offer.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (closeness(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(closeness, _)| *closeness >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. A word that merely lacks its beginning or end (`redis` for `redis-streams`) is near.
fn closeness(wanted: &str, candidate: &str) -> f64 {
    let whole = strsim::damerau_levenshtein(wanted, candidate);
    let longer = wanted.chars().count().max(candidate.chars().count()).max(1);
    let edits = 1.0 - whole as f64 / longer as f64;
    let contained = wanted.chars().count() >= 3
        && (candidate.starts_with(wanted) || wanted.starts_with(candidate));
    let swapped = wanted.replace(['_', ' '], "-") == candidate.replace(['_', ' '], "-");
    if swapped {
        1.0
    } else if contained {
        edits.max(0.75)
    } else if edits > 0.5 {
        strsim::jaro_winkler(wanted, candidate).min(0.99)
    } else {
        0.0
    }
}

/// `did you mean …?`, or the list of what there is.
pub fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).collect();
    match all.len() {
        0 => None,
        1..=12 => Some(format!("known: {}", all.join(", "))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_its_neighbour() {
        let known = ["prefetch", "queue", "partitions"];
        assert_eq!(nearest("prefech", known), Some("prefetch"));
        assert_eq!(nearest("Queue", known), Some("queue"));
        assert_eq!(nearest("elephant", known), None);
        assert_eq!(
            nearest("redis", ["redis-streams", "nats"]),
            Some("redis-streams")
        );
        assert_eq!(
            nearest("at_most_once", ["at-least-once", "at-most-once"]),
            Some("at-most-once")
        );
    }

    #[test]
    fn without_a_neighbour_the_few_known_words_are_listed() {
        assert_eq!(did_you_mean("x", ["a", "b"]).unwrap(), "known: `a`, `b`");
        assert_eq!(did_you_mean("x", []), None);
    }
}
