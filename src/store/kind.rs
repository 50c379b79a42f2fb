//! The kinds of definitions that are kept.

use std::fmt;

use serde::Serialize;

/// What a definition is. It serializes as the key of its list in a definition file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// A project.
    #[serde(rename = "projects")]
    Project,
    /// A model provider.
    #[serde(rename = "providers")]
    Provider,
    /// A secret.
    #[serde(rename = "secrets")]
    Secret,
    /// A prompt.
    #[serde(rename = "prompts")]
    Prompt,
    /// An agent under test.
    #[serde(rename = "agents")]
    Agent,
    /// A scenario.
    #[serde(rename = "scenarios")]
    Scenario,
}

impl Kind {
    /// Every kind, the project first.
    pub const ALL: [Self; 6] =
        [Self::Project, Self::Provider, Self::Secret, Self::Prompt, Self::Agent, Self::Scenario];

    /// Whether its definitions may hold credentials, anywhere in them: those are sealed as a whole.
    #[must_use]
    pub fn holds_credentials(self) -> bool {
        matches!(self, Self::Project | Self::Provider | Self::Secret | Self::Agent)
    }

    /// One of the kind, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Provider => "provider",
            Self::Secret => "secret",
            Self::Prompt => "prompt",
            Self::Agent => "agent",
            Self::Scenario => "scenario",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
