//! What became of spans that somebody sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why spans were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No run has their trace, or it is over.
    UnknownTrace,
    /// The run has taken as many as it takes.
    Full,
    /// The run has no room for more before some of them are delivered.
    Busy,
    /// The request has spans of too many traces.
    TooManyTraces,
    /// They are larger than what can be passed on.
    TooLarge,
    /// Their ids are none.
    Invalid,
    /// A reason of a newer worker.
    #[serde(other)]
    Other,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::UnknownTrace,
        Self::Full,
        Self::Busy,
        Self::TooManyTraces,
        Self::TooLarge,
        Self::Invalid,
        Self::Other,
    ];

    /// The reason as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTrace => "unknown_trace",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::TooManyTraces => "too_many_traces",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }

    /// The reason in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::UnknownTrace => "no run that is under way has their trace",
            Self::Full => "their run takes no more",
            Self::Busy => "their run has no room for them now",
            Self::TooManyTraces => "the request has spans of too many traces",
            Self::TooLarge => "they, or the resource around them, are too large",
            Self::Invalid => "their trace id or span id is none",
            Self::Other => "a newer worker says no",
        }
    }
}

/// What became of some spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reception {
    /// Spans that a run has taken.
    pub taken: u64,
    /// Spans that were refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// The trace is that run's alone, so that nobody else has to be asked.
    #[serde(default)]
    pub owns: bool,
}

impl Reception {
    /// None of `spans` was taken.
    #[must_use]
    pub fn refusal(reason: Refusal, spans: u64) -> Self {
        let mut reception = Self::default();
        reception.refuse(reason, spans);
        reception
    }

    /// `spans` more were refused.
    pub fn refuse(&mut self, reason: Refusal, spans: u64) {
        if spans > 0 {
            *self.refused.entry(reason).or_default() += spans;
        }
    }

    /// Of what two say of the same spans, the better.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        let owns = self.owns || other.owns;
        let better = if other.taken > self.taken { other } else { self };
        Self { owns, ..better }
    }

    /// What two say of different spans.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.taken += other.taken;
        self.owns |= other.owns;
        other.refused.into_iter().for_each(|(reason, spans)| self.refuse(reason, spans));
        self
    }

    /// The same, as far as it can be of `spans` spans: whoever says so need not be believed.
    #[must_use]
    pub fn of(self, spans: u64) -> Self {
        let said = self.refused.values().fold(self.taken, |sum, refused| sum.saturating_add(*refused));
        if said == spans { self } else { Self::refusal(Refusal::Other, spans) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reception_travels_and_a_newer_reason_is_read() {
        let mut reception = Reception { taken: 2, owns: true, ..Reception::default() };
        reception.refuse(Refusal::Full, 1);
        let written = serde_json::to_value(&reception).unwrap();
        assert_eq!(written, json!({ "taken": 2, "refused": { "full": 1 }, "owns": true }));
        assert_eq!(serde_json::from_value::<Reception>(written).unwrap(), reception);
        let newer: Reception =
            serde_json::from_value(json!({ "taken": 0, "refused": { "tired": 3 } })).unwrap();
        assert_eq!(newer, Reception::refusal(Refusal::Other, 3));
        assert_eq!(reception.clone().of(3), reception);
        assert_eq!(reception.of(4), Reception::refusal(Refusal::Other, 4));
    }
}
