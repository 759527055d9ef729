use super::*;

/// Searches a system that holds what `holds` says of a rate, and whether the trial is of full length.
fn search(limits: Limits, closed: f64, holds: impl Fn(f64, bool) -> Answer) -> Search {
    let mut search = Search::new(limits);
    loop {
        let (rate, is_full) = match search.next() {
            Next::Closed => {
                search.reached(Some(closed));
                continue;
            }
            Next::Probe(rate) => (rate, false),
            Next::Confirm(rate) => (rate, true),
            Next::Over => return search,
        };
        search.tell(rate, is_full, holds(rate, is_full), false);
    }
}

const FREE: Limits = Limits {
    lowest: 88.0,
    highest: None,
};

fn below(limit: f64) -> impl Fn(f64, bool) -> Answer {
    move |rate, _| match rate <= limit {
        true => Answer::Held,
        false => Answer::Failed,
    }
}

fn bracket(search: &Search) -> Option<(f64, f64)> {
    match search.finding() {
        Finding::Bracket { low, high } => Some((search.trials[low].rate, search.trials[high].rate)),
        _ => None,
    }
}

#[test]
fn a_sharp_limit_is_bracketed_within_five_percent_wherever_it_is() {
    for limit in [100.0, 999.5, 4_321.0, 50_000.0, 1_234_567.0] {
        for closed in [0.5, 0.9, 1.0, 1.3, 2.5] {
            let found = search(FREE, limit * closed, below(limit));
            let (low, high) =
                bracket(&found).unwrap_or_else(|| panic!("{limit}, {closed}: {found:?}"));
            assert!(
                low <= limit && limit < high && high / low <= WIDEST,
                "{low} to {high}"
            );
            assert!(found.made <= MOST_TRIALS, "{}", found.made);
            let full = found.trials.iter().filter(|it| it.is_full).count();
            assert!(full >= 2, "both ends at full length");
        }
    }
}

#[test]
fn nothing_is_sent_above_a_cap_and_its_holding_is_a_result() {
    let capped = Limits {
        highest: Some(2_000.0),
        ..FREE
    };
    let found = search(capped, 0.0, below(1e9));
    assert!(
        matches!(found.finding(), Finding::AtLeast { .. }),
        "{found:?}"
    );
    assert!(found.trials.iter().all(|it| it.rate <= 2_000.0));
    assert!(found.trials.len() <= 6, "{found:?}");
    let found = search(capped, 0.0, below(1_500.0));
    let (low, high) = bracket(&found).unwrap();
    assert!(low <= 1_500.0 && 1_500.0 < high && high <= 2_000.0);
    // A cap below the lowest rate that would be tried is the only rate there is.
    let found = search(
        Limits {
            highest: Some(50.0),
            ..FREE
        },
        0.0,
        below(1e9),
    );
    assert!(
        matches!(found.finding(), Finding::AtLeast { .. }),
        "{found:?}"
    );
}

#[test]
fn an_objective_that_no_rate_meets_ends_at_the_lowest_one() {
    for closed in [100.0, 5_000.0, 1e6] {
        let found = search(FREE, closed, |_, _| Answer::Failed);
        let Finding::Unmet { high } = found.finding() else {
            panic!("{closed}: {found:?}");
        };
        assert_eq!(
            (found.trials[high].rate, found.trials[high].is_full),
            (88.0, true)
        );
    }
}

#[test]
fn where_the_generator_ends_the_search_ends_too() {
    let found = search(FREE, 50_000.0, |rate, _| match rate <= 60_000.0 {
        true => Answer::Held,
        false => Answer::Void,
    });
    let (low, high) = bracket(&found).unwrap();
    assert!(low <= 60_000.0 && 60_000.0 < high);
}

#[test]
fn what_only_short_trials_hold_is_contradicted_and_found_all_the_same() {
    let found = search(FREE, 9_000.0, |rate, is_full| {
        below(if is_full { 8_000.0 } else { 8_500.0 })(rate, is_full)
    });
    let (low, high) = bracket(&found).unwrap();
    assert!(low <= 8_000.0 && 8_000.0 < high, "{low} to {high}");
}

#[test]
fn one_failure_at_the_upper_end_is_not_believed_alone() {
    let found = search(FREE, 10_000.0, below(9_000.0));
    let Finding::Bracket { low, high } = found.finding() else {
        panic!("{found:?}");
    };
    assert!(found.is_seconded(low, high), "{found:?}");
}

#[test]
fn a_failure_that_others_may_have_caused_moves_the_search_less() {
    let after = |was_disturbed| {
        let mut search = Search::new(FREE);
        search.reached(Some(10_000.0));
        search.tell(8_000.0, false, Answer::Failed, was_disturbed);
        match search.next() {
            Next::Probe(rate) => rate,
            other => panic!("{other:?}"),
        }
    };
    assert!(after(false) < 7_000.0 && after(true) > 1.1 * after(false));
}

#[test]
fn a_system_that_answers_at_random_is_given_up() {
    let turn = std::cell::Cell::new(0u32);
    let found = search(FREE, 10_000.0, |_, is_full| {
        turn.set(turn.get() + 1);
        // Whatever was found is denied at full length.
        match is_full || turn.get().is_multiple_of(2) {
            true => Answer::Failed,
            false => Answer::Held,
        }
    });
    assert_eq!(found.made, MOST_TRIALS);
    assert!(matches!(found.finding(), Finding::Open { .. }), "{found:?}");
}

#[test]
fn without_a_closed_loop_there_is_no_search() {
    let mut found = Search::new(FREE);
    assert_eq!(found.next(), Next::Closed);
    found.reached(None);
    assert_eq!(found.next(), Next::Over);
    assert_eq!(
        found.finding(),
        Finding::Open {
            low: None,
            high: None
        }
    );
}

#[test]
fn rates_have_four_digits() {
    assert_eq!(rounded(12_345.678), 12_350.0);
    assert_eq!(rounded(88.888), 88.89);
    assert_eq!(rounded(0.123_456), 0.1235);
    assert_eq!(rounded(1_234_567.0), 1_235_000.0);
}
