//! Sharing out, with the time as an argument.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_000_000 * SECOND;
const LEASE: i64 = 30 * SECOND;

fn rate(requests_per_minute: u32) -> CallLimits {
    CallLimits { requests_per_minute: Some(requests_per_minute), max_in_flight: None }
}

fn places(max_in_flight: u32) -> CallLimits {
    CallLimits { requests_per_minute: None, max_in_flight: Some(max_in_flight) }
}

/// A worker with `in_use` calls under way, and `wanted` that lack everything that is limited.
fn need(limits: CallLimits, worker: &str, in_use: u32, wanted: u32) -> Need<'_> {
    let (places, ready) = if limits.max_in_flight.is_some() { (wanted, 0) } else { (0, wanted) };
    Need { limits, worker, in_use, places, ready, moments: 0, lease: LEASE, refusals: &[] }
}

#[test]
fn no_minute_has_more_moments_than_the_limit_and_none_is_left_out() {
    const RATE: u32 = 30;
    let (mut state, mut booked) = (ScopeState::default(), Vec::new());
    for (step, worker) in (0..1_000).zip(["a", "b", "c"].into_iter().cycle()) {
        // Three workers that look at times of their own, each with more calls than there are moments.
        let now = NOW + step * SECOND / 4;
        booked.extend(state.share_out(&need(rate(RATE), worker, 0, 5), now).moments);
    }
    assert!(booked.is_sorted());
    for window in booked.windows(RATE as usize + 1) {
        assert!(window[RATE as usize] - window[0] >= 60 * SECOND, "{window:?}");
    }
    assert!(booked.len() >= 120, "{} in 250 s at 30 a minute", booked.len());
}

#[test]
fn only_what_is_near_is_booked_and_it_is_said_when_there_is_more() {
    let mut state = ScopeState::default();
    let share = state.share_out(&need(rate(60), "a", 0, 100), NOW);
    assert_eq!(share.moments, [NOW, NOW + SECOND]);
    assert_eq!(share.bookable_at, NOW + SECOND, "the moment two seconds from now");
    assert!(state.share_out(&need(rate(60), "b", 0, 1), NOW).moments.is_empty());
    let later = state.share_out(&need(rate(60), "b", 0, 1), share.bookable_at);
    assert_eq!(later.moments, [NOW + 2 * SECOND]);
}

#[test]
fn who_has_no_place_books_no_moment() {
    let limits = CallLimits { requests_per_minute: Some(600), max_in_flight: Some(1) };
    let mut state = ScopeState::default();
    assert_eq!(state.share_out(&need(limits, "a", 0, 3), NOW).moments.len(), 1);
    assert!(state.share_out(&need(limits, "b", 0, 3), NOW).moments.is_empty());
}

#[test]
fn places_are_never_more_than_the_limit() {
    let mut state = ScopeState::default();
    let a = state.share_out(&need(places(3), "a", 0, 2), NOW);
    let b = state.share_out(&need(places(3), "b", 0, 5), NOW);
    assert_eq!((a.held, b.held), (2, 1));
    let a = state.share_out(&need(places(3), "a", 2, 0), NOW);
    assert_eq!((a.held, a.over, a.starving), (2, 0, false), "b waits for more, but has its part");
}

#[test]
fn places_that_nobody_uses_go_back() {
    let mut state = ScopeState::default();
    state.share_out(&need(places(3), "a", 0, 3), NOW);
    assert_eq!(state.share_out(&need(places(3), "a", 1, 0), NOW).held, 1);
    assert_eq!(state.share_out(&need(places(3), "b", 0, 3), NOW).held, 2);
}

#[test]
fn nobody_gets_more_than_an_even_part_while_others_wait() {
    let mut state = ScopeState::default();
    state.share_out(&need(places(4), "a", 0, 10), NOW);
    assert_eq!(state.share_out(&need(places(4), "b", 0, 10), NOW).held, 0);
    let told = state.share_out(&need(places(4), "a", 4, 6), NOW);
    assert_eq!((told.over, told.starving), (2, true));
    // Two of a's calls end: it takes no third place, so that b gets two.
    assert_eq!(state.share_out(&need(places(4), "a", 2, 10), NOW + 1).held, 2);
    assert_eq!(state.share_out(&need(places(4), "b", 0, 10), NOW + 2).held, 2);
}

#[test]
fn who_has_waited_longest_is_next() {
    let mut state = ScopeState::default();
    state.share_out(&need(places(1), "a", 0, 1), NOW);
    for (worker, at) in [("b", 1), ("c", 2)] {
        assert_eq!(state.share_out(&need(places(1), worker, 0, 1), NOW + at).held, 0);
    }
    // a's call ends and it wants another one at once.
    assert_eq!(state.share_out(&need(places(1), "a", 0, 1), NOW + 3).held, 0);
    assert_eq!(state.share_out(&need(places(1), "c", 0, 1), NOW + 4).held, 0);
    assert_eq!(state.share_out(&need(places(1), "b", 0, 1), NOW + 5).held, 1);
}

#[test]
fn the_part_of_a_worker_that_says_nothing_is_over_in_time() {
    let mut state = ScopeState::default();
    state.share_out(&need(places(2), "lost", 0, 2), NOW);
    let early = NOW + LEASE - 1;
    assert_eq!(state.share_out(&need(places(2), "b", 0, 2), early).held, 0);
    assert_eq!(state.share_out(&need(places(2), "b", 0, 2), NOW + LEASE).held, 2);
}

#[test]
fn a_worker_whose_part_was_lost_says_it_again() {
    let mut state = ScopeState::default();
    assert_eq!(state.share_out(&need(places(2), "a", 2, 1), NOW).held, 2, "no third place");
    assert_eq!(state.share_out(&need(places(2), "b", 0, 1), NOW).held, 0);
}

#[test]
fn a_refusal_slows_everybody_down_and_the_pause_holds_for_all() {
    let refusals = [Refused { began: NOW - SECOND, retry_after: 5 * SECOND }];
    let limits = CallLimits { requests_per_minute: Some(600), max_in_flight: Some(8) };
    let mut state = ScopeState::default();
    let told = state.share_out(&Need { refusals: &refusals, ..need(limits, "a", 1, 4) }, NOW);
    assert_eq!((told.held, told.paused_until), (1, NOW + 5 * SECOND));
    assert_eq!(state.share_out(&need(limits, "b", 0, 1), NOW + SECOND).held, 0);
    let after = NOW + 5 * SECOND;
    let b = state.share_out(&need(limits, "b", 0, 8), after);
    assert_eq!(b.held, 2, "four of eight places, of which a has one and waits for more");
    let spacing = b.moments[1] - b.moments[0];
    assert!((180_000..200_000).contains(&spacing), "half as fast, and a little faster already: {spacing}");
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let mut state = ScopeState::default();
    state.share_out(&need(places(2), "a", 0, 1), NOW);
    let says_the_same = |need: &Need<'_>, now| {
        let mut next = state.clone();
        next.share_out(need, now);
        next.says_the_same(&state, "a", now, LEASE)
    };
    assert!(says_the_same(&need(places(2), "a", 1, 0), NOW + SECOND));
    assert!(!says_the_same(&need(places(2), "a", 0, 0), NOW + SECOND), "a place goes back");
    assert!(!says_the_same(&need(places(2), "a", 1, 0), NOW + LEASE / 2), "half of its time is over");
}

#[test]
fn a_state_survives_its_writing() {
    let mut state = ScopeState::default();
    state.share_out(
        &need(CallLimits { requests_per_minute: Some(7), max_in_flight: Some(2) }, "a", 0, 9),
        NOW,
    );
    let read: ScopeState = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
    assert_eq!(read, state);
}

proptest! {
    /// However calls begin and end: places are never more than the limit, and none is left empty while somebody waits.
    #[test]
    fn places_are_neither_overbooked_nor_forgotten(
        limit in 1_u32..6,
        steps in proptest::collection::vec((0_usize..3, 0_u32..4, any::<bool>()), 1..60),
    ) {
        let (mut state, mut now) = (ScopeState::default(), NOW);
        let mut workers: [(&str, u32, u32); 3] = [("a", 0, 0), ("b", 0, 0), ("c", 0, 0)];
        let mut ask = |worker: &mut (&'static str, u32, u32)| {
            let (name, in_use, waiting) = *worker;
            now += 1;
            let share = state.share_out(&need(places(limit), name, in_use, waiting), now);
            *worker = (name, share.held, waiting - (share.held - in_use));
        };
        for (number, calls, ends) in steps {
            let (_, in_use, waiting) = &mut workers[number];
            if ends { *in_use = in_use.saturating_sub(calls) } else { *waiting += calls }
            ask(&mut workers[number]);
            prop_assert!(workers.iter().map(|worker| worker.1).sum::<u32>() <= limit);
        }
        for _ in 0..limit {
            workers.iter_mut().for_each(&mut ask);
        }
        let taken: u32 = workers.iter().map(|worker| worker.1).sum();
        prop_assert!(taken == limit || workers.iter().all(|worker| worker.2 == 0), "{workers:?}");
    }
}
