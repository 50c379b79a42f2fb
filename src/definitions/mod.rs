//! What people write in definition files: projects, providers, prompts, agents, scenarios.
//!
//! Plain data with its rules. The store keeps it, the worker plays it; nothing here knows either.

mod agent;
mod call_limits;
mod check;
mod document;
mod field_mapping;
mod parameter;
mod project;
mod prompt;
mod prompt_tool;
mod provider;
mod run_events;
mod sampling;
mod scenario;
mod script;
mod secret;

pub use agent::AgentDefinition;
pub use call_limits::CallLimits;
pub use check::{
    Check, CheckRule, Compile, Compiled, Limit, On, Path, PathTest, Pattern, Range, ReplyRule, ReplyTest,
    Schema, Texts, Times, TokenLimit, ToolCalls, ToolRule, ToolUse, UsageRole, Words,
};
pub use document::Document;
pub use field_mapping::{FieldMapping, FieldMappings, MappingSource, ScenarioField, variable_name_problem};
pub use parameter::{
    MAX_PARAMETER_DESCRIPTION, MAX_PARAMETER_NAME, MAX_PARAMETER_TEXT, MAX_PARAMETERS, ParameterDefinition,
    parameter_value_problem,
};
pub use project::{ContentCapture, Project, TelemetryDestination, TelemetryProtocol};
pub use prompt::{Prompt, PromptMessage, PromptRole};
pub use prompt_tool::{PromptTool, ResponseFormat, ToolChoice};
pub use provider::{
    Price, Provider, ProviderKind, ScriptedFailure, ScriptedForm, ScriptedModel, ScriptedReply,
    ScriptedVerdict,
};
pub use run_events::{Platform, RunEvents};
pub use sampling::Sampling;
pub use scenario::{CustomerForm, CustomerSettings, Opening, RoleModels, Scenario};
pub use script::{JudgeStep, ProceedStep, ScriptMessage, ScriptStep};
pub use secret::{REDACTED, Secret, Secrets};
