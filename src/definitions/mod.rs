//! What people write in definition files: projects, providers, prompts, agents, scenarios.
//!
//! Plain data with its rules. The store keeps it, the worker plays it; nothing here knows either.

mod agent;
mod document;
mod project;
mod prompt;
mod provider;
mod scenario;
mod secret;

pub use agent::AgentDefinition;
pub use document::Document;
pub use project::{Project, TelemetryDestination, TelemetryProtocol};
pub use prompt::{Prompt, PromptMessage, PromptRole};
pub use provider::{Provider, ProviderKind, ScriptedFailure, ScriptedModel, ScriptedReply, ScriptedVerdict};
pub use scenario::{RoleModels, Scenario};
pub use secret::{REDACTED, Secret, Secrets};
