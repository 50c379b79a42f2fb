//! Failures of a run, as values: each becomes an outcome.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::envelope;
use super::limits::Throttled;
use crate::events::{Attribution, RunError};

/// Stable codes of the failures that the execution room itself knows.
pub mod code {
    /// The request names a scenario that the project does not have.
    pub const SCENARIO_NOT_FOUND: &str = "scenario_not_found";
    /// The request names a project that the store does not have.
    pub const PROJECT_NOT_FOUND: &str = "project_not_found";
    /// A role has no model and the project has no default.
    pub const DEFAULT_MODEL_NOT_CONFIGURED: &str = "default_model_not_configured";
    /// A model name is not `provider/model`.
    pub const INVALID_MODEL_FORMAT: &str = "invalid_model_format";
    /// A model's provider is not in the project.
    pub const PROVIDER_NOT_FOUND: &str = "provider_not_found";
    /// A model's provider is switched off.
    pub const PROVIDER_NOT_ENABLED: &str = "provider_not_enabled";
    /// A model's provider lacks what it needs.
    pub const MISSING_PARAMS: &str = "missing_params";
    /// No adapter is registered for the target's type.
    pub const UNKNOWN_TARGET_TYPE: &str = "unknown_target_type";
    /// The target's prompt or agent does not exist.
    pub const TARGET_NOT_FOUND: &str = "target_not_found";
    /// The target's definition cannot work.
    pub const INVALID_TARGET: &str = "invalid_target";
    /// `minTurns` of one source is above `maxTurns` of another.
    pub const INVALID_TURNS: &str = "invalid_turns";
    /// The request gives parameters that the scenario does not declare.
    pub const PARAMETER_UNKNOWN: &str = "scenario_parameter_unknown";
    /// A text of the scenario reads a parameter that has no value.
    pub const PARAMETER_MISSING: &str = "scenario_parameter_missing";
    /// A parameter's value, or all of them together, are not what they may be.
    pub const PARAMETER_INVALID: &str = "scenario_parameter_invalid";
    /// A text of the scenario is a template that cannot be read or filled in.
    pub const PARAMETER_TEMPLATE_INVALID: &str = "scenario_parameter_template_invalid";
    /// The request leaves out a secret that the scenario declares.
    pub const SECRET_PARAMETER_MISSING: &str = "scenario_secret_parameter_missing";
    /// The scenario declares a parameter both as a secret and as something that definitions show.
    pub const SECRET_PARAMETER_CONFLICT: &str = "scenario_secret_parameter_conflict";
    /// A text of the scenario reads a secret.
    pub const SECRET_PARAMETER_IN_TEXT: &str = "scenario_secret_parameter_in_text";
    /// A model's provider refused or failed.
    pub const MODEL_PROVIDER_ERROR: &str = "model_provider_error";
    /// The customer had nothing to say, several times.
    pub const USER_SIMULATOR_EMPTY: &str = "user_simulator_empty";
    /// The customer gave no line of a customer, several times.
    pub const USER_SIMULATOR_INVALID: &str = "user_simulator_invalid";
    /// The judge did not answer with its tool.
    pub const JUDGE_NO_VERDICT: &str = "judge_no_verdict";
    /// The conversation is larger than what can be recorded.
    pub const TRANSCRIPT_TOO_LARGE: &str = "transcript_too_large";
    /// The outcome is larger than what can be published.
    pub const OUTCOME_TOO_LARGE: &str = "outcome_too_large";
    /// The run took longer than it may.
    pub const EXECUTION_TIMEOUT: &str = "execution_timeout";
    /// The run finished no step for too long.
    pub const EXECUTION_STALLED: &str = "execution_stalled";
    /// A call of the target was under way when its worker was lost, and the definition forbids to make it again.
    pub const TARGET_CALL_UNKNOWN: &str = "target_call_unknown";
    /// The worker has a bug.
    pub const WORKER_PANIC: &str = "worker_panic";
    /// The process of the run ended before the run did.
    pub const CHILD_CRASHED: &str = "child_crashed";
    /// The process of the run needed more memory than it may have.
    pub const CHILD_OUT_OF_MEMORY: &str = "child_out_of_memory";
    /// The process of the run said what cannot be understood, or may not be said.
    pub const CHILD_PROTOCOL: &str = "child_protocol";
    /// The cassette that is to be replayed holds nothing.
    pub const CASSETTE_NOT_FOUND: &str = "cassette_not_found";
    /// The run is not the one that the cassette was recorded of.
    pub const CASSETTE_DIFFERS: &str = "cassette_differs";
    /// The cassette cannot be written or read.
    pub const CASSETTE_BROKEN: &str = "cassette_broken";
    /// A definition asks for an address that may not be called.
    pub const EGRESS_REFUSED: &str = "egress_refused";
    /// The run may not cost any more.
    pub const BUDGET_EXCEEDED: &str = "budget_exceeded";
    /// Whether the run keeps to its budget cannot be told.
    pub const BUDGET_UNMEASURED: &str = "budget_unmeasured";
    /// What is stored of the run cannot be read, or not any more.
    pub const STATE_UNREADABLE: &str = "state_unreadable";
    /// The run's execution was lost too often.
    pub const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";
    /// The target answered with an error.
    pub const TARGET_STATUS: &str = "http_status";
    /// No connection to the target came about.
    pub const TARGET_UNREACHABLE: &str = "http_unreachable";
    /// Whoever was called has a certificate that is not trusted.
    pub const UNTRUSTED_CERTIFICATE: &str = "untrusted_certificate";
    /// A model does not take tools together with reasoning.
    pub const MODEL_TOOL_REASONING_CONFLICT: &str = "model_tool_reasoning_conflict";
    /// A model may not be used for what it was asked.
    pub const MODEL_NOT_ALLOWED_FOR_SURFACE: &str = "model_not_allowed_for_surface";
    /// What plays the run could not be started.
    pub const RUNNER_UNAVAILABLE: &str = "runner_unavailable";
    /// The target's development tunnel leads nowhere.
    pub const DEV_TUNNEL_UNREACHABLE: &str = "agent_dev_tunnel_unreachable";
    /// Something that was called could not be reached.
    pub const ENDPOINT_UNREACHABLE: &str = "endpoint_unreachable";
    /// Nothing more precise is known. What happened is read off the message when the failure is reported.
    pub const UNCLASSIFIED: &str = "infra_error";
}

/// Why a run could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct RunFailure {
    /// Stable code for programs.
    pub code: Cow<'static, str>,
    /// What happened, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Who it is put down to.
    pub attributed_to: Attribution,
    /// Whoever was asked understood the request and refuses its form: asked in another form they may answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Whoever was called has had too many calls.
    #[serde(skip)]
    pub throttled: Option<Throttled>,
}

impl RunFailure {
    /// A failure without a hint.
    #[must_use]
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        attributed_to: Attribution,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            attributed_to,
            refused: false,
            throttled: None,
        }
    }

    /// Marks it as a refusal of the request's form.
    #[must_use]
    pub fn refusing(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Says that whoever was called has had too many calls.
    #[must_use]
    pub fn throttling(mut self, throttled: Option<Throttled>) -> Self {
        self.throttled = throttled;
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A call of a target that must not be called twice was cut off: the worker `was` stopped, or lost.
    #[must_use]
    pub fn target_call_unknown(was: &str) -> Self {
        let message = format!(
            "The worker was {was} while the agent was asked; whether the agent did its work is unknown"
        );
        Self::new(code::TARGET_CALL_UNKNOWN, Attribution::Worker, message)
            .with_hint("Set `onUnknown: retry` in the agent's definition if it can be asked again.")
    }

    /// A failure of a definition, which whoever wrote it can mend.
    #[must_use]
    pub fn definition(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Attribution::Definition, message)
    }

    /// The failure as outcome and spans carry it: as precise as is known, and without internals.
    #[must_use]
    pub fn to_error(&self) -> RunError {
        envelope::seal(self)
    }
}

/// Something that the worker runs on did not answer. It is no outcome: the run waits for better times.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} failed")]
pub struct Unavailable {
    /// What was attempted, in a few words.
    pub attempted: String,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Unavailable {
    /// Says what was attempted and why it failed.
    pub fn new(
        attempted: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { attempted: attempted.into(), source: source.into() }
    }
}

/// Why a run could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It never can be: an outcome.
    #[error(transparent)]
    Failure(#[from] RunFailure),
    /// Not now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
