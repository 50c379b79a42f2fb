//! What all workers know of a scope, and how it is shared out. Times are microseconds of the shared clock.
//!
//! A rate is a row of moments, evenly spaced, at each of which one call may begin; a worker books the next of them. So
//! no minute has more calls than the limit, whoever makes them. Places in flight are held in the worker's name for a
//! while, and again and again as long as it lives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pace::{Pace, Refused, SECOND};
use crate::definitions::CallLimits;

/// One minute, in microseconds.
const MINUTE: f64 = 60e6;
/// How far ahead moments are booked: far enough to book many at once, near enough that a worker that is lost, or told
/// of a refusal, wastes little.
pub(super) const HORIZON: i64 = SECOND;

/// What is kept of a scope.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ScopeState {
    /// The next moment that is free.
    next: i64,
    pace: Pace,
    /// Workers that hold places, or wait for some.
    workers: BTreeMap<String, Holder>,
}

/// A worker's part in the places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// Places that it holds.
    held: u32,
    /// Places that it waits for.
    wanted: u32,
    /// Since when it waits, if it does.
    since: i64,
    /// Its part is over then, unless it says something before.
    until: i64,
}

/// What a worker asks for.
pub(super) struct Need<'a> {
    pub(super) limits: CallLimits,
    pub(super) worker: &'a str,
    /// Places that its calls are in; nobody can take those away.
    pub(super) in_use: u32,
    /// Calls that wait for a place.
    pub(super) places: u32,
    /// Calls that wait for a moment only.
    pub(super) ready: u32,
    /// Moments that it has and did not use yet.
    pub(super) moments: u32,
    /// For how long its part lasts.
    pub(super) lease: i64,
    pub(super) refusals: &'a [Refused],
}

/// What it gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Places that it holds now, those in use included.
    pub(super) held: u32,
    /// Places that it waits for, as the others know.
    pub(super) wanted: u32,
    /// How many of them are more than its even part, while others wait.
    pub(super) over: u32,
    /// Whether somebody waits who has none.
    pub(super) starving: bool,
    /// Moments at which it may begin a call.
    pub(super) moments: Vec<i64>,
    /// When the next moment can be booked, if more are wanted.
    pub(super) bookable_at: i64,
    /// No call may begin before.
    pub(super) paused_until: i64,
}

impl ScopeState {
    /// Shares out what there is.
    pub(super) fn share_out(&mut self, need: &Need<'_>, now: i64) -> Share {
        for refused in need.refusals {
            self.pace.refused(*refused, now);
        }
        self.workers.retain(|_, holder| holder.until > now);
        let (held, wanted) = self.places(need, now);
        // A moment without a place would be wasted.
        let ready = need.ready + (held - held.min(need.in_use));
        let moments = self.moments(need, ready.saturating_sub(need.moments), now);
        let paused_until = self.pace.paused_until();
        Share {
            over: self.over(need, held, now),
            starving: self.others(need.worker).any(|holder| holder.wanted > 0 && holder.held == 0),
            held,
            wanted,
            moments,
            paused_until,
            bookable_at: self.next - HORIZON,
        }
    }

    /// Whether `before` would be written again for nothing but the time that a part in it lasts.
    pub(super) fn says_the_same(&self, before: &Self, worker: &str, now: i64, lease: i64) -> bool {
        let fresh = before.workers.get(worker).is_none_or(|holder| holder.until - now > lease / 2);
        let timeless = |state: &Self| {
            let mut state = state.clone();
            state.workers.values_mut().for_each(|holder| holder.until = 0);
            state
        };
        fresh && timeless(self) == timeless(before)
    }

    fn places(&mut self, need: &Need<'_>, now: i64) -> (u32, u32) {
        let Some(most) = need.limits.max_in_flight else { return (0, 0) };
        let before = self.workers.remove(need.worker).filter(|holder| holder.wanted > 0);
        let since = before.map_or(now, |holder| holder.since);
        let most = portion(most, self.pace.share(now));
        let granted = if now < self.pace.paused_until() { 0 } else { self.free_for(need, most, since) };
        let (held, wanted) = (need.in_use + granted, need.places - granted);
        if held + wanted > 0 {
            // Who got something waits anew, behind those who got nothing.
            let since = if wanted == 0 {
                0
            } else if granted > 0 {
                now
            } else {
                since
            };
            let holder = Holder { held, wanted, since, until: now + need.lease };
            self.workers.insert(need.worker.to_owned(), holder);
        }
        (held, wanted)
    }

    /// How many places more the worker may have. Nobody gets more than an even part while others wait, and one place
    /// is left for each of those who have waited longer and have less than that.
    fn free_for(&self, need: &Need<'_>, most: u32, since: i64) -> u32 {
        let taken: u32 = self.others(need.worker).map(|holder| holder.held).sum();
        let part = self.part(need.worker, most);
        let is_next = |holder: &&Holder| holder.wanted > 0 && holder.held < part && holder.since < since;
        let earlier = self.others(need.worker).filter(is_next).count();
        let free = most.saturating_sub(taken).saturating_sub(need.in_use);
        let free = free.saturating_sub(u32::try_from(earlier).unwrap_or(u32::MAX));
        need.places.min(free).min(part.saturating_sub(need.in_use))
    }

    fn over(&self, need: &Need<'_>, held: u32, now: i64) -> u32 {
        let most = need.limits.max_in_flight.map_or(held, |most| portion(most, self.pace.share(now)));
        held.saturating_sub(self.part(need.worker, most))
    }

    /// The places that the worker may have while others wait; all of them if nobody does.
    fn part(&self, worker: &str, most: u32) -> u32 {
        let keen = self.others(worker).filter(|holder| holder.wanted > 0).count();
        most.div_ceil(u32::try_from(keen).unwrap_or(u32::MAX).saturating_add(1))
    }

    fn others(&self, worker: &str) -> impl Iterator<Item = &Holder> {
        self.workers.iter().filter(move |(name, _)| *name != worker).map(|(_, holder)| holder)
    }

    fn moments(&mut self, need: &Need<'_>, wanted: u32, now: i64) -> Vec<i64> {
        let Some(rate) = need.limits.requests_per_minute else { return Vec::new() };
        #[expect(clippy::cast_possible_truncation, reason = "a spacing is far from the largest number")]
        let spacing = (MINUTE / (f64::from(rate) * self.pace.share(now))).ceil() as i64;
        // A clock that went wrong must not close a scope for ever.
        let next = self.next.min(now + HORIZON + spacing);
        self.next = next.max(now).max(self.pace.paused_until());
        let mut moments = Vec::new();
        while moments.len() < wanted as usize && self.next <= now + HORIZON {
            moments.push(self.next);
            self.next += spacing;
        }
        moments
    }
}

/// The part of a limit that may be used; never nothing.
fn portion(limit: u32, share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is at most 1 and never negative"
    )]
    let portion = (f64::from(limit) * share).floor() as u32;
    portion.max(1)
}

#[cfg(test)]
mod tests;
