//! When an agent is asked again, and how long that waits.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::status::{RangeDefinition, Statuses};
use crate::execution::ports::OnUnknown;

/// How often a definition may have an agent asked, the first time included: more would follow an agent that is down for
/// longer than any customer waits.
const ATTEMPTS: RangeInclusive<u32> = 2..=10;
/// How often it is asked where the definition only says that it may be asked again.
const DEFAULT_ATTEMPTS: u32 = 3;
/// The pause before the second attempt; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that is chosen here; an agent may ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Where in its interval a pause ends: chosen at random, so that the runs of a worker do not come back together.
pub(super) const JITTER: RangeInclusive<f64> = 0.5..=1.0;

/// Statuses that say that the request was not dealt with.
const NOT_DEALT_WITH: [u16; 2] = [429, 503];
/// Statuses of gateways that do not know whether it was.
const PERHAPS_DEALT_WITH: [u16; 2] = [502, 504];

/// What a definition says of asking again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RetriesDefinition {
    /// How often the agent is asked at most, the first time included.
    #[serde(default = "default_attempts")]
    attempts: u32,
    /// What it is asked again after: statuses, `connect`, `timeout`, `interrupted`.
    #[serde(default)]
    on: Option<Vec<TriggerDefinition>>,
    /// Whether asking twice does what asking once does. Methods other than POST and PATCH promise that.
    #[serde(default)]
    idempotent: Option<bool>,
}

/// Something to ask again after, as it is written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it is no status, and none of connect, timeout, interrupted")]
pub(super) enum TriggerDefinition {
    /// A failure without a status.
    Named(Named),
    /// A status.
    Status(RangeDefinition),
}

/// A failure without a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Named {
    /// No connection came about.
    Connect,
    /// The answer did not begin, or did not go on, in time.
    Timeout,
    /// The connection broke before the answer was complete.
    Interrupted,
}

fn default_attempts() -> u32 {
    DEFAULT_ATTEMPTS
}

#[derive(Debug, PartialEq, Eq)]
enum Trigger {
    Named(Named),
    Status(Statuses),
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A failure without a status.
    Named(Named),
    /// An answer that is none.
    Status(StatusCode),
}

/// When an agent is asked again.
#[derive(Debug, Default)]
pub(super) struct Retries {
    /// How often it is asked at most; 0 and 1 are both once.
    attempts: u32,
    on: Vec<Trigger>,
}

impl Retries {
    /// Reads what a definition says; where it says nothing, nothing is sent twice.
    pub(super) fn read(
        definition: Option<&RetriesDefinition>,
        method: &Method,
        on_unknown: OnUnknown,
    ) -> Result<Self, String> {
        let Some(definition) = definition else { return Ok(Self::default()) };
        let attempts = definition.attempts;
        if !ATTEMPTS.contains(&attempts) {
            let (least, most) = (ATTEMPTS.start(), ATTEMPTS.end());
            return Err(format!("retries.attempts: {attempts} is not {least} to {most}"));
        }
        let on = match &definition.on {
            Some(triggers) => {
                triggers.iter().map(|one| trigger(one, on_unknown)).collect::<Result<_, _>>()?
            }
            None => usual(definition.idempotent.unwrap_or(!changes_something(method)), on_unknown),
        };
        if on.is_empty() {
            return Err("retries.on: it is empty, so nothing would ever be asked again".to_owned());
        }
        Ok(Self { attempts, on })
    }

    /// The pause before the next attempt, `None` if there is none. `asked` is what the agent asks for; `chance`, of
    /// [`JITTER`], says where in its interval the pause ends.
    pub(super) fn pause(
        &self,
        attempts: u32,
        trouble: Trouble,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if attempts >= self.attempts || !self.on.iter().any(|trigger| trigger.is(trouble)) {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(*ATTEMPTS.end());
        let interval = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        Some(interval.mul_f64(chance).max(asked.unwrap_or_default()))
    }
}

impl Trigger {
    fn is(&self, trouble: Trouble) -> bool {
        match (self, trouble) {
            (Self::Named(named), Trouble::Named(happened)) => *named == happened,
            (Self::Status(statuses), Trouble::Status(status)) => statuses.contain(status),
            _ => false,
        }
    }
}

fn changes_something(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}

fn trigger(definition: &TriggerDefinition, on_unknown: OnUnknown) -> Result<Trigger, String> {
    match definition {
        TriggerDefinition::Named(named @ (Named::Timeout | Named::Interrupted))
            if on_unknown == OnUnknown::Fail =>
        {
            let named = if *named == Named::Timeout { "timeout" } else { "interrupted" };
            Err(format!(
                "retries.on: after '{named}' it is unknown whether the agent did its work, and onUnknown: fail forbids to ask it again then"
            ))
        }
        TriggerDefinition::Named(named) => Ok(Trigger::Named(*named)),
        TriggerDefinition::Status(range) => Statuses::parse(range).map(Trigger::Status).ok_or_else(|| {
            format!("retries.on: '{range}' is no status such as 503, 5xx or 502-504, and none of connect, timeout, interrupted")
        }),
    }
}

/// What is asked again after where the definition does not say: failures that leave no doubt and, where asking twice does
/// no harm, those that do.
fn usual(idempotent: bool, on_unknown: OnUnknown) -> Vec<Trigger> {
    let status = |status: &u16| Statuses::parse(&RangeDefinition::One(*status)).map(Trigger::Status);
    let mut on = vec![Trigger::Named(Named::Connect)];
    on.extend(NOT_DEALT_WITH.iter().filter_map(status));
    if idempotent && on_unknown == OnUnknown::Retry {
        on.extend(PERHAPS_DEALT_WITH.iter().filter_map(status));
        on.extend([Trigger::Named(Named::Timeout), Trigger::Named(Named::Interrupted)]);
    }
    on
}

#[cfg(test)]
mod tests;
