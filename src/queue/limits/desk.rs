//! One worker's part in a scope: who waits here, what is in stock, and when to ask for more. It takes the time as an
//! argument; times are microseconds of the shared clock.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::pace::{Refused, SECOND};
use super::permit::Pass;
use super::state::{Need, Share};
use crate::definitions::CallLimits;

/// How late a moment may be used; one that nobody was there for is gone, or calls would bunch.
pub(super) const LATENESS: i64 = SECOND / 4;
/// How long a place is passed on here while somebody waits elsewhere who has none: handing it over takes a while.
const TURN: i64 = SECOND / 2;
/// How long a place that nobody wants is kept for the next call here.
const LINGER: i64 = SECOND / 10;
/// The least time between two requests to the others while calls wait, so that many calls are one request.
const BREATH: i64 = SECOND / 50;
/// How often a worker with a part in the places says so, and hears whether others wait.
const PERIOD: i64 = SECOND;
/// A part lasts for at least this many periods, so that one that is said late is not lost.
const PERIODS_PER_LEASE: i64 = 4;

/// A call that waits.
pub(super) struct Asked {
    /// Whether it needs a place; one that is made another time has it already.
    pub(super) place: bool,
    pub(super) reply: oneshot::Sender<Pass>,
}

/// What a worker has of a scope.
pub(super) struct Desk {
    limits: CallLimits,
    /// For how long a part in the places lasts.
    lease: i64,
    waiting: VecDeque<Asked>,
    /// Calls that are made another time and have their place.
    again: VecDeque<Asked>,
    in_use: u32,
    share: Share,
    moments: VecDeque<i64>,
    refusals: Vec<Refused>,
    lease_until: i64,
    told_at: i64,
    /// More is asked for then, not before.
    ask_at: i64,
    /// A place came free that others wait for.
    owed: bool,
    free_since: Option<i64>,
    /// Since when it has the places that it has.
    turn_at: i64,
}

impl Desk {
    pub(super) fn new(limits: CallLimits, lease: i64) -> Self {
        Self {
            limits,
            lease,
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            in_use: 0,
            share: Share::default(),
            moments: VecDeque::new(),
            refusals: Vec::new(),
            lease_until: 0,
            told_at: 0,
            ask_at: 0,
            owed: false,
            free_since: None,
            turn_at: 0,
        }
    }

    /// Definitions may have changed.
    pub(super) fn limit(&mut self, limits: CallLimits) {
        if limits != self.limits {
            (self.limits, self.ask_at) = (limits, 0);
        }
    }

    /// Who has nobody before it is asked for at once, and others with those before them.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.waiting.is_empty() && self.again.is_empty() {
            self.ask_at = 0;
        }
        if asked.place { self.waiting.push_back(asked) } else { self.again.push_back(asked) }
    }

    pub(super) fn release(&mut self, now: i64) {
        self.in_use = self.in_use.saturating_sub(1);
        let turn_is_over = self.waiting.is_empty() || now - self.turn_at >= TURN;
        if self.share.over > 0 || (self.share.starving && turn_is_over) {
            self.share.held = self.share.held.saturating_sub(1).max(self.in_use);
            self.share.over = self.share.over.saturating_sub(1);
            self.owed = true;
        }
        self.free_since = Some(now);
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.refusals.push(refused);
        self.moments.clear();
    }

    /// Lets calls through for as long as there is something in stock. Who has its place already goes first: it holds
    /// others up.
    pub(super) fn hand_out(&mut self, now: i64, pass: impl Fn(bool, i64) -> Pass) {
        while self.moments.front().is_some_and(|moment| moment + LATENESS < now) {
            self.moments.pop_front();
        }
        while self.may_begin(now) {
            let Some((asked, place)) = self.next() else { return };
            if asked.reply.is_closed() {
                continue;
            }
            let moment = if self.is_paced() { self.moments.pop_front() } else { None };
            self.in_use += u32::from(place);
            // A pass that is not taken comes back as a release.
            drop(asked.reply.send(pass(place, moment.unwrap_or(now))));
        }
    }

    /// Forgets who has given up.
    pub(super) fn prune(&mut self) {
        for queue in [&mut self.waiting, &mut self.again] {
            queue.retain(|asked| !asked.reply.is_closed());
        }
    }

    /// Who is next, and whether it takes a place.
    fn next(&mut self) -> Option<(Asked, bool)> {
        let again = self.again.pop_front().map(|asked| (asked, false));
        again.or_else(|| self.waiting.pop_front().map(|asked| (asked, self.limits.max_in_flight.is_some())))
    }

    /// Whether the one who is next lacks a place.
    fn lacks_place(&self, now: i64) -> bool {
        self.again.is_empty() && self.limits.max_in_flight.is_some() && self.free(now) == 0
    }

    fn is_paced(&self) -> bool {
        self.limits.requests_per_minute.is_some()
    }

    fn may_begin(&self, now: i64) -> bool {
        let moment = !self.is_paced() || self.moments.front().is_some_and(|moment| *moment <= now);
        // A refusal that the others do not know of yet stops this worker at least.
        let paused = now < self.share.paused_until || !self.refusals.is_empty();
        moment && !paused && !self.lacks_place(now)
    }

    /// When there is something to do, if nobody says anything before.
    pub(super) fn due(&self, now: i64) -> Option<i64> {
        let somebody = !(self.waiting.is_empty() && self.again.is_empty());
        let moment = if self.is_paced() { self.moments.front().copied() } else { Some(now) };
        // A refusal has to be told first.
        let goes = somebody && !self.lacks_place(now) && self.refusals.is_empty();
        let ripe = moment.filter(|_| goes).map(|moment| moment.max(self.share.paused_until));
        ripe.into_iter().chain(self.ask_due(now)).min()
    }

    /// When the others have to be asked, or told something.
    pub(super) fn ask_due(&self, now: i64) -> Option<i64> {
        // Others must not leave a place for somebody who has given up.
        let gone = self.share.wanted > 0 && self.places_wanted() == 0;
        let told = (!self.refusals.is_empty() || self.owed || gone).then_some(now);
        let lacking = (self.lacking_places(now) > 0 || self.lacking_moments(now) > 0).then_some(now);
        let idle = self.waiting.is_empty() && self.share.held > self.in_use;
        let surplus = self.free_since.filter(|_| idle).map(|since| since + LINGER);
        let part = (self.share.held > 0).then_some(self.told_at + PERIOD.min(self.lease / PERIODS_PER_LEASE));
        let due = [told, lacking, surplus, part].into_iter().flatten().min()?;
        Some(due.max(self.ask_at))
    }

    fn places_wanted(&self) -> u32 {
        if self.limits.max_in_flight.is_some() { count(&self.waiting) } else { 0 }
    }

    fn lacking_places(&self, now: i64) -> u32 {
        self.places_wanted().saturating_sub(self.free(now))
    }

    /// Places that it has and no call is in.
    fn free(&self, now: i64) -> u32 {
        if now < self.lease_until { self.share.held.saturating_sub(self.in_use) } else { 0 }
    }

    /// Calls that lack nothing but a moment.
    fn ready(&self) -> u32 {
        let unplaced = if self.limits.max_in_flight.is_some() { 0 } else { count(&self.waiting) };
        unplaced + count(&self.again)
    }

    fn lacking_moments(&self, now: i64) -> u32 {
        if !self.is_paced() {
            return 0;
        }
        let in_stock = count(&self.moments);
        (self.ready() + self.places_wanted().min(self.free(now))).saturating_sub(in_stock)
    }

    /// What to ask for.
    pub(super) fn need<'a>(&'a self, worker: &'a str) -> Need<'a> {
        Need {
            limits: self.limits,
            worker,
            in_use: self.in_use,
            places: self.places_wanted(),
            ready: self.ready(),
            moments: count(&self.moments),
            lease: self.lease,
            refusals: &self.refusals,
        }
    }

    /// What came of it, `asked_at` some time before. What is lacking still is asked for after `pause`, or as soon as it
    /// can be had.
    pub(super) fn granted(&mut self, share: Share, asked_at: i64, now: i64, pause: i64) {
        self.refusals.clear();
        self.moments.extend(&share.moments);
        // A part is said again when half of its time is over, so half is certain.
        (self.told_at, self.lease_until, self.owed) = (now, asked_at + self.lease / 2, false);
        let bookable = share.bookable_at;
        if share.held > self.share.held {
            self.turn_at = now;
        }
        self.share = share;
        let places = (self.lacking_places(now) > 0).then_some(now + pause);
        let moments = (self.lacking_moments(now) > 0).then_some(bookable + pause);
        let lacking = places.into_iter().chain(moments).min().unwrap_or(0);
        // Calls that come in the meantime are asked for together.
        self.ask_at = lacking.max(now + BREATH);
        self.free_since = Some(now);
    }

    /// The others cannot be asked; they are again after `pause`.
    pub(super) fn failed(&mut self, now: i64, pause: i64) {
        self.ask_at = now + pause;
    }

    /// Whether nobody waits and nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        let Share { held, wanted, .. } = self.share;
        let nobody = self.waiting.is_empty() && self.again.is_empty();
        nobody && self.in_use == 0 && held == 0 && wanted == 0 && self.refusals.is_empty()
    }
}

fn count<T>(queue: &VecDeque<T>) -> u32 {
    u32::try_from(queue.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
