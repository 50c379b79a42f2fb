//! How much longer than its run a process may take: as long as what can still come of it, and no longer.

use std::time::Duration;

use tokio::time::Instant;

use crate::events::MessageRole;
use crate::execution::types::Conversation;

/// How soon a process says something when the time of its run is up: it stores the ending, or tells that it got on. It
/// does so every second; the rest is for a busy machine.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// How long a process may take to start before the time of its run counts all the same. It took 80 ms in a build for debugging.
const SLOWEST_START: Duration = Duration::from_secs(10);

/// How long a run may take in its process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How much of the run's time is left.
    pub(super) left: Duration,
    /// How long it may say nothing.
    pub(super) silence: Duration,
    /// How long judging may take when the run's time is up; nothing where such runs are not judged.
    pub(super) judgement: Duration,
    /// How long ending a session may take.
    pub(super) session_end: Duration,
    /// How long the last delivery of spans may take.
    pub(super) delivery: Duration,
    /// How long it may take to end.
    pub(super) grace: Duration,
}

impl Times {
    /// How long a run takes at most that has its ending: its session, its spans.
    pub(super) fn closing(&self, said: Option<&Conversation>) -> Duration {
        let is_open = said.is_some_and(|said| said.session.is_some());
        let session_end = if is_open { self.session_end } else { Duration::ZERO };
        session_end + self.delivery + self.grace
    }

    /// How long a run takes at most whose time is up. A run in which the agent never answered is not judged.
    fn ending(&self, said: Option<&Conversation>) -> Duration {
        let is_answer =
            |said: &Conversation| said.messages.iter().any(|said| said.role == MessageRole::Assistant);
        let judgement = if said.is_some_and(is_answer) { self.judgement } else { Duration::ZERO };
        judgement + self.closing(said)
    }
}

/// What is known of a run whose time may be up.
pub(super) struct Overtime {
    /// When its process was started.
    started: Instant,
    /// How much of its time was left then.
    left: Duration,
    /// When its time is up.
    over: Instant,
    /// Since when the process has to see to what comes then: the time that the worker takes is not its own.
    from: Instant,
    has_spoken: bool,
    has_spoken_since: bool,
    has_ended: bool,
}

impl Overtime {
    /// A run that has so much time `left` and has `said` that much, as its process is started.
    pub(super) fn new(left: Duration, said: Option<&Conversation>, now: Instant) -> Self {
        let over = now + left;
        Self {
            started: now,
            left,
            over,
            from: over,
            has_spoken: false,
            has_spoken_since: false,
            has_ended: has_ending(said),
        }
    }

    /// The process said something. The time of a run begins when its process is there.
    pub(super) fn heard(&mut self, now: Instant) {
        if !self.has_spoken {
            self.has_spoken = true;
            self.over = now.min(self.started + SLOWEST_START) + self.left;
            self.from = self.over;
        }
        self.has_spoken_since |= now >= self.over;
    }

    /// The process got its answer, and has `said` that much.
    pub(super) fn answered(&mut self, said: Option<&Conversation>, now: Instant) {
        let ends = has_ending(said) && !self.has_ended;
        // Whoever asks again and again does not get more time by that.
        if ends || !self.has_spoken_since {
            self.from = self.from.max(now);
        }
        self.has_ended |= ends;
    }

    /// When the process has to have ended by itself.
    pub(super) fn until(&self, times: &Times, said: Option<&Conversation>) -> Instant {
        let start = if self.has_spoken { Duration::ZERO } else { SLOWEST_START };
        let more = match (self.has_ended, self.has_spoken_since) {
            (true, _) => times.closing(said),
            (false, true) => times.ending(said),
            (false, false) => Duration::ZERO,
        };
        self.from + start + FIRST_WORD + more
    }
}

fn has_ending(said: Option<&Conversation>) -> bool {
    said.is_some_and(|said| said.ending.is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TIMES: Times = Times {
        left: seconds(100),
        silence: seconds(600),
        judgement: seconds(60),
        session_end: seconds(10),
        delivery: seconds(20),
        grace: seconds(3),
    };

    fn said(more: Value) -> Conversation {
        let mut all = serde_json::to_value(Conversation::default()).unwrap();
        let Value::Object(more) = more else { panic!("an object") };
        all.as_object_mut().unwrap().extend(more);
        serde_json::from_value(all).unwrap()
    }

    fn answered() -> Value {
        let message =
            json!({ "turn": 1, "role": "assistant", "content": "hi", "at": "2026-01-01T00:00:00Z" });
        json!({ "messages": [message] })
    }

    fn ended() -> Conversation {
        said(json!({ "ending": { "cancelled": "by somebody" } }))
    }

    /// Seconds until which the process has time that spoke at these seconds, when it has said this.
    fn until(spoke: &[u64], said: &Conversation, times: &Times) -> u64 {
        let start = Instant::now();
        let mut overtime = Overtime::new(times.left, Some(&Conversation::default()), start);
        for at in spoke {
            overtime.heard(start + seconds(*at));
        }
        (overtime.until(times, Some(said)) - start).as_secs()
    }

    #[test]
    fn who_says_nothing_when_the_time_is_up_gets_no_time_for_what_might_come() {
        assert_eq!(until(&[], &said(answered()), &TIMES), 100 + 10 + 5, "it never started");
        assert_eq!(until(&[0, 99], &said(answered()), &TIMES), 100 + 5);
        assert_eq!(until(&[2], &said(answered()), &TIMES), 102 + 5, "its time begins when it is there");
        assert_eq!(until(&[99], &said(answered()), &TIMES), 110 + 5, "and soon at the latest");
    }

    #[test]
    fn who_goes_on_gets_the_time_of_what_can_still_come_and_no_more() {
        let no_judge = Times { judgement: Duration::ZERO, ..TIMES };
        let in_session = |mut more: Value| {
            more["session"] = json!("s1");
            said(more)
        };
        for (times, said, seconds) in [
            (&TIMES, said(json!({})), 20 + 3),
            (&TIMES, in_session(json!({})), 10 + 20 + 3),
            (&TIMES, said(answered()), 60 + 20 + 3),
            (&TIMES, in_session(answered()), 60 + 10 + 20 + 3),
            (&no_judge, said(answered()), 20 + 3),
        ] {
            assert_eq!(until(&[0, 101], &said, times), 100 + 5 + seconds, "{said:?}");
            assert_eq!(until(&[0, 101, 102, 150], &said, times), 100 + 5 + seconds, "{said:?}");
        }
    }

    #[test]
    fn an_ending_begins_the_time_of_what_comes_behind_it_and_only_the_first_one_does() {
        let start = Instant::now();
        let mut overtime = Overtime::new(seconds(100), None, start);
        overtime.heard(start);
        overtime.heard(start + seconds(101));
        overtime.answered(Some(&said(answered())), start + seconds(110));
        assert_eq!(overtime.until(&TIMES, Some(&said(answered()))), start + seconds(100 + 5 + 60 + 20 + 3));
        for at in [150, 160] {
            overtime.answered(Some(&ended()), start + seconds(at));
            assert_eq!(overtime.until(&TIMES, Some(&ended())), start + seconds(150 + 5 + 20 + 3));
        }
    }

    #[test]
    fn a_run_that_ended_before_its_time_was_up_has_the_rest_of_it() {
        let start = Instant::now();
        let mut overtime = Overtime::new(seconds(100), None, start);
        overtime.heard(start);
        overtime.answered(Some(&ended()), start + seconds(10));
        assert_eq!(overtime.until(&TIMES, Some(&ended())), start + seconds(100 + 5 + 20 + 3));
    }

    #[test]
    fn what_the_worker_takes_to_store_is_not_the_processs_time() {
        let start = Instant::now();
        let mut overtime = Overtime::new(seconds(100), None, start);
        overtime.heard(start);
        overtime.answered(None, start + seconds(130));
        assert_eq!(overtime.until(&TIMES, None), start + seconds(130 + 5));
    }
}
