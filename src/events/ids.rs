//! Identifiers, validated where they enter.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::schema::{LABEL_PATTERN, TOKEN_PATTERN};

/// The longest identifier that is accepted, in characters.
pub const MAX_ID_CHARS: usize = 128;

/// Bytes of a digest that a derived identifier keeps: 128 bits, as 32 hexadecimal digits.
const DERIVED_ID_BYTES: usize = 16;

/// An identifier that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{value}' is not valid: {rule}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl InvalidId {
    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        let value = value.chars().take(MAX_ID_CHARS).flat_map(char::escape_default).collect();
        Self { what, value, rule }
    }
}

fn is_subject_token(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MAX_ID_CHARS
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_label(value: &str) -> bool {
    !value.is_empty() && value.chars().count() <= MAX_ID_CHARS && !value.chars().any(char::is_control)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $pattern:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("minLength" = 1, "maxLength" = MAX_ID_CHARS, "pattern" = $pattern))]
        pub struct $name(String);

        impl $name {
            /// Checks `value` against the rule for this kind of identifier.
            ///
            /// # Errors
            /// [`InvalidId`] naming the value and the rule that it breaks.
            pub fn parse(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                if $check(&value) { Ok(Self(value)) } else { Err(InvalidId::new($what, &value, $rule)) }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::parse(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// A tenant's project. A subject token, so permissions can follow it.
    ProjectId, "project id", is_subject_token, TOKEN_PATTERN, "1 to 128 of A-Z a-z 0-9 _ -"
);
id!(
    /// One run of a scenario. A subject token; unique only together with its project.
    RunId, "scenario run id", is_subject_token, TOKEN_PATTERN, "1 to 128 of A-Z a-z 0-9 _ -"
);
id!(
    /// The batch that a run was started in.
    BatchRunId, "batch run id", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);
id!(
    /// A scenario's definition.
    ScenarioId, "scenario id", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);
id!(
    /// The set that runs are grouped under.
    SetId, "set id", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);
id!(
    /// What a target points at: a prompt's or an agent's id.
    ReferenceId, "target reference id", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);
id!(
    /// A kind of target, such as `prompt` or `http`; an adapter may or may not exist for it.
    TargetType, "target type", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);
id!(
    /// A recording of what a run said and heard, as its project names it.
    CassetteName, "cassette name", is_label, LABEL_PATTERN, "1 to 128 characters, none of them a control character"
);

impl RunId {
    /// The run id of a request that names none: the same for every delivery and every copy of it.
    #[must_use]
    pub fn derive(project: &ProjectId, idempotency_key: &str) -> Self {
        Self(format!("scenariorun_{}", digest(&[project.as_str(), idempotency_key])))
    }
}

impl BatchRunId {
    /// The batch of a run that was started alone.
    #[must_use]
    pub fn derive(run: &RunId) -> Self {
        Self(format!("scenariobatch_{}", digest(&[run.as_str()])))
    }

    /// The batch as a subject token: a batch id itself may hold any character.
    #[must_use]
    pub fn token(&self) -> String {
        digest(&[self.as_str()])
    }
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..DERIVED_ID_BYTES])
}

/// A run as it is known everywhere: by project and run id together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The tenant's project.
    pub project: ProjectId,
    /// The run inside it.
    pub run: RunId,
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_split_a_subject_is_refused_with_its_value() {
        let error = ProjectId::parse("a.b").unwrap_err().to_string();
        assert!(error.contains("project id 'a.b'"), "{error}");
        for bad in ["", "*", ">", "a b", "a\n", &"x".repeat(129)] {
            assert!(ProjectId::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_label_takes_any_language_but_no_control_character() {
        assert!(ScenarioId::parse("возврат денег").is_ok());
        assert!(ScenarioId::parse("a\u{7}").is_err());
        assert!(ScenarioId::parse("é".repeat(128)).is_ok());
        assert!(ScenarioId::parse("é".repeat(129)).is_err());
    }

    #[test]
    fn a_derived_run_id_depends_on_project_and_key_and_is_a_subject_token() {
        let acme = ProjectId::parse("acme").unwrap();
        let other = ProjectId::parse("acm").unwrap();
        assert_eq!(RunId::derive(&acme, "k"), RunId::derive(&acme, "k"));
        assert_ne!(RunId::derive(&acme, "k"), RunId::derive(&acme, "l"));
        assert_ne!(RunId::derive(&acme, "k"), RunId::derive(&other, "ek"));
        assert!(RunId::parse(RunId::derive(&acme, "k").as_str()).is_ok());
    }
}
