//! The end of a run as the platform is told it.

use serde::Serialize;

use super::wire::Results;
use crate::events::{RunCompleted, RunError, RunStatus, Verdict};
use crate::execution::failure::code;

/// The platform's codes for those of ours that mean the same. It shows no error whose code it does not know, so every other
/// one is [`ANY_ERROR`].
const CODES: [(&str, &str); 10] = [
    (code::UNTRUSTED_CERTIFICATE, "scenario_untrusted_certificate"),
    (code::MODEL_TOOL_REASONING_CONFLICT, "scenario_model_tool_reasoning_conflict"),
    (code::MODEL_NOT_ALLOWED_FOR_SURFACE, "scenario_model_not_allowed_for_surface"),
    (code::MODEL_PROVIDER_ERROR, "scenario_model_provider_error"),
    (code::RUNNER_UNAVAILABLE, "scenario_runner_unavailable"),
    (code::EXECUTION_TIMEOUT, "scenario_execution_timeout"),
    (code::EXECUTION_STALLED, "scenario_execution_timeout"),
    (code::DEV_TUNNEL_UNREACHABLE, "agent_dev_tunnel_unreachable"),
    (code::ENDPOINT_UNREACHABLE, "scenario_platform_unreachable"),
    (code::TARGET_UNREACHABLE, "scenario_platform_unreachable"),
];
/// The platform's code for every other error.
const ANY_ERROR: &str = "scenario_infra_error";

/// An error as the platform reads it: JSON within a text.
#[derive(Serialize)]
struct Envelope<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// What came of the run. One that was not judged has failed, as far as the platform's verdicts go.
pub(super) fn results(completed: &RunCompleted) -> Results<'_> {
    let cancelled = (completed.status == RunStatus::Cancelled).then(|| completed.reasoning.clone());
    Results {
        verdict: completed.verdict.unwrap_or(Verdict::Failure),
        reasoning: &completed.reasoning,
        met_criteria: &completed.met_criteria,
        unmet_criteria: &completed.unmet_criteria,
        error: completed.error.as_ref().map(envelope).or(cancelled),
    }
}

fn envelope(error: &RunError) -> String {
    let known = CODES.iter().find(|(ours, _)| *ours == error.code);
    let (message, hint) = (error.message.as_str(), error.hint.as_deref());
    let envelope = Envelope { code: known.map_or(ANY_ERROR, |(_, theirs)| *theirs), message, hint };
    // Three texts are always JSON.
    serde_json::to_string(&envelope).unwrap_or_default()
}
