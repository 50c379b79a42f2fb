//! W3C baggage that a run tells the agent under test, from a closed set.
//!
//! What came as `baggage` with a request is never passed on: nobody knows what is in it, and agents belong to tenants.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::RunKey;

/// Name of the header (W3C Baggage, section 3.1).
pub const HEADER_BAGGAGE: &str = "baggage";
/// What makes a trace a rehearsal, as LangWatch names it.
const ORIGIN_SIMULATION: &str = "simulation";

/// What an agent may be told as baggage. Its spans can carry it, which is how a tenant tells rehearsals from customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BaggageKey {
    /// `langwatch.origin`: always `simulation`.
    #[serde(rename = "langwatch.origin")]
    Origin,
    /// `langwatch.thread.id`: the run's id, as the thread of the conversation.
    #[serde(rename = "langwatch.thread.id")]
    Thread,
    /// `scenario.project_id`: the project.
    #[serde(rename = "scenario.project_id")]
    Project,
    /// `scenario.run_id`: the run.
    #[serde(rename = "scenario.run_id")]
    Run,
}

impl BaggageKey {
    /// The key as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "langwatch.origin",
            Self::Thread => "langwatch.thread.id",
            Self::Project => "scenario.project_id",
            Self::Run => "scenario.run_id",
        }
    }

    /// Ids are letters, digits, `_` and `-`, which need no escaping (W3C Baggage, section 3.2.1).
    fn value(self, run: &RunKey) -> &str {
        match self {
            Self::Origin => ORIGIN_SIMULATION,
            Self::Thread | Self::Run => run.run.as_str(),
            Self::Project => run.project.as_str(),
        }
    }
}

/// The value of the header with what `allowed` says of `run`; `None` if that is nothing.
#[must_use]
pub fn baggage(allowed: &[BaggageKey], run: &RunKey) -> Option<String> {
    let mut header = String::new();
    for key in allowed {
        let separator = if header.is_empty() { "" } else { "," };
        // Writing to a text does not fail.
        let _ = write!(header, "{separator}{}={}", key.as_str(), key.value(run));
    }
    (!header.is_empty()).then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ProjectId, RunId};

    #[test]
    fn only_what_is_allowed_is_told() {
        let run = RunKey { project: ProjectId::parse("acme").unwrap(), run: RunId::parse("r-1").unwrap() };
        assert_eq!(baggage(&[], &run), None);
        let allowed: Vec<BaggageKey> =
            serde_json::from_str(r#"["langwatch.origin", "scenario.run_id"]"#).unwrap();
        assert_eq!(baggage(&allowed, &run).unwrap(), "langwatch.origin=simulation,scenario.run_id=r-1");
        let every = [BaggageKey::Origin, BaggageKey::Thread, BaggageKey::Project, BaggageKey::Run];
        let told = "langwatch.origin=simulation,langwatch.thread.id=r-1,scenario.project_id=acme,scenario.run_id=r-1";
        assert_eq!(baggage(&every, &run).unwrap(), told);
    }

    #[test]
    fn a_setting_names_a_key_as_it_is_sent() {
        for key in [BaggageKey::Origin, BaggageKey::Thread, BaggageKey::Project, BaggageKey::Run] {
            assert_eq!(serde_json::to_value(key).unwrap(), key.as_str());
        }
        let error = serde_json::from_str::<BaggageKey>("\"user.email\"").unwrap_err().to_string();
        assert!(error.contains("user.email") && error.contains("langwatch.thread.id"), "{error}");
    }
}
