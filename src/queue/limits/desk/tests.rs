//! One worker's part, with the time as an argument.

use tokio::sync::mpsc;

use super::*;
use crate::queue::limits::keeper::Message;

const NOW: i64 = 1_000_000 * SECOND;
const LEASE: i64 = 30 * SECOND;
const PAUSE: i64 = SECOND / 10;

struct Room {
    desk: Desk,
    passes: mpsc::UnboundedSender<Message>,
    returned: mpsc::UnboundedReceiver<Message>,
}

impl Room {
    fn new(requests_per_minute: Option<u32>, max_in_flight: Option<u32>) -> Self {
        let (passes, returned) = mpsc::unbounded_channel();
        let limits = CallLimits { requests_per_minute, max_in_flight };
        Self { desk: Desk::new(limits, LEASE), passes, returned }
    }

    fn ask(&mut self) -> oneshot::Receiver<Pass> {
        let (reply, answer) = oneshot::channel();
        self.desk.ask(Asked { place: true, reply });
        answer
    }

    fn granted(&mut self, share: Share, now: i64) {
        self.desk.granted(share, now, now, PAUSE);
        self.hand_out(now);
    }

    fn hand_out(&mut self, now: i64) {
        let own = self.passes.clone();
        self.desk.hand_out(now, |place, moment| Pass { place, moment, desk: own.clone() });
    }

    fn returned(&mut self) -> usize {
        std::iter::from_fn(|| self.returned.try_recv().ok()).count()
    }
}

fn held(held: u32, starving: bool) -> Share {
    Share { held, starving, ..Share::default() }
}

#[test]
fn calls_go_in_the_order_in_which_they_came() {
    let mut room = Room::new(None, Some(2));
    let mut calls = [room.ask(), room.ask(), room.ask()];
    room.granted(held(2, false), NOW);
    let went = calls.each_mut().map(|call| call.try_recv().ok());
    assert_eq!(went.each_ref().map(Option::is_some), [true, true, false]);
    room.desk.release(NOW);
    room.hand_out(NOW);
    assert!(calls[2].try_recv().is_ok(), "the place of the first goes on to the third");
}

#[test]
fn a_place_that_others_wait_for_is_passed_on_for_a_turn_only() {
    let mut room = Room::new(None, Some(2));
    let (mut first, mut second) = (room.ask(), room.ask());
    room.granted(held(1, true), NOW);
    let _first = first.try_recv().unwrap();
    room.desk.release(NOW + TURN - 1);
    room.hand_out(NOW + TURN - 1);
    let _second = second.try_recv().unwrap();
    let (mut third, later) = (room.ask(), NOW + TURN);
    room.desk.release(later);
    room.hand_out(later);
    assert!(third.try_recv().is_err());
    assert_eq!(room.desk.need("a").in_use, 0);
    assert!(room.desk.ask_due(later).is_some_and(|due| due <= later), "the others are told");
}

#[test]
fn a_place_beyond_the_even_part_is_not_passed_on() {
    let mut room = Room::new(None, Some(2));
    let (mut first, mut second) = (room.ask(), room.ask());
    room.granted(Share { over: 1, ..held(1, false) }, NOW);
    let _first = first.try_recv().unwrap();
    room.desk.release(NOW);
    room.hand_out(NOW);
    assert!(second.try_recv().is_err());
}

#[test]
fn a_call_that_is_given_up_takes_nothing() {
    let mut room = Room::new(Some(60), Some(1));
    drop(room.ask());
    let mut second = room.ask();
    room.granted(Share { moments: vec![NOW], ..held(1, false) }, NOW);
    assert!(second.try_recv().is_ok());
}

#[test]
fn a_pass_that_nobody_takes_comes_back() {
    let mut room = Room::new(None, Some(1));
    let call = room.ask();
    room.granted(held(1, false), NOW);
    drop(call);
    assert_eq!(room.returned(), 1);
}

#[test]
fn a_moment_is_used_when_it_has_come_and_not_long_after() {
    let mut room = Room::new(Some(60), None);
    let mut call = room.ask();
    room.granted(Share { moments: vec![NOW + SECOND], ..Share::default() }, NOW);
    assert_eq!(room.desk.due(NOW), Some(NOW + SECOND));
    assert!(call.try_recv().is_err());
    room.hand_out(NOW + SECOND + LATENESS + 1);
    assert!(call.try_recv().is_err(), "it is gone");
    let now = NOW + 2 * SECOND;
    room.granted(Share { moments: vec![now], ..Share::default() }, now);
    assert_eq!(call.try_recv().unwrap().moment, now);
}

#[test]
fn a_refusal_stops_the_worker_until_the_others_know() {
    let mut room = Room::new(None, Some(2));
    let mut first = room.ask();
    room.granted(held(2, false), NOW);
    let _first = first.try_recv().unwrap();
    room.desk.refuse(Refused { began: NOW, retry_after: 0 });
    let mut second = room.ask();
    room.hand_out(NOW);
    assert!(second.try_recv().is_err());
    assert!(room.desk.ask_due(NOW).is_some_and(|due| due <= NOW + BREATH), "they are told soon");
    room.granted(Share { paused_until: NOW + SECOND, ..held(2, false) }, NOW);
    assert!(second.try_recv().is_err());
    assert_eq!(room.desk.due(NOW), Some(NOW + SECOND));
    room.hand_out(NOW + SECOND);
    assert!(second.try_recv().is_ok());
}

#[test]
fn a_part_that_was_not_said_again_is_not_used() {
    let mut room = Room::new(None, Some(2));
    let mut first = room.ask();
    room.granted(held(2, false), NOW);
    let _first = first.try_recv().unwrap();
    let mut second = room.ask();
    room.hand_out(NOW + LEASE / 2);
    assert!(second.try_recv().is_err());
    assert!(room.desk.ask_due(NOW + LEASE / 2).is_some_and(|due| due <= NOW + LEASE / 2));
}

#[test]
fn in_an_outage_the_others_are_not_asked_all_the_time() {
    let mut room = Room::new(None, Some(1));
    let _call = room.ask();
    assert_eq!(room.desk.ask_due(NOW), Some(NOW));
    room.desk.failed(NOW, SECOND);
    assert_eq!(room.desk.ask_due(NOW), Some(NOW + SECOND));
    let _more = room.ask();
    assert_eq!(room.desk.ask_due(NOW), Some(NOW + SECOND), "one more changes nothing");
}

#[test]
fn a_desk_is_empty_when_its_last_place_is_given_back() {
    let mut room = Room::new(None, Some(1));
    let mut call = room.ask();
    room.granted(held(1, false), NOW);
    let pass = call.try_recv().unwrap();
    assert!(!room.desk.is_empty());
    drop(pass);
    assert_eq!(room.returned(), 1);
    room.desk.release(NOW);
    assert!(!room.desk.is_empty(), "its place is kept for a moment");
    assert_eq!(room.desk.ask_due(NOW), Some(NOW + LINGER));
    room.granted(held(0, false), NOW + LINGER);
    assert!(room.desk.is_empty());
    assert_eq!(room.desk.due(NOW + LINGER), None);
}

#[test]
fn the_others_are_told_when_nobody_waits_any_more() {
    let mut room = Room::new(None, Some(1));
    let call = room.ask();
    room.granted(Share { wanted: 1, ..Share::default() }, NOW);
    drop(call);
    let later = NOW + PAUSE;
    room.desk.prune();
    assert_eq!(room.desk.ask_due(later), Some(later));
    assert_eq!(room.desk.need("a").places, 0);
}

#[test]
fn a_moment_that_came_in_between_is_due_at_once() {
    let mut room = Room::new(Some(60), None);
    let mut call = room.ask();
    room.granted(Share { moments: vec![NOW + 1], ..Share::default() }, NOW);
    let later = NOW + 2;
    assert!(room.desk.due(later).is_some_and(|due| due <= later));
    room.hand_out(later);
    assert!(call.try_recv().is_ok());
}
