//! `scenario.run.requested`: what a client asks for, and what the worker makes of it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::schema::LABEL_PATTERN;
use super::{
    BatchRunId, Budget, CassetteRequest, Cost, DeadLetterCode, InvalidId, JudgeModels, ProjectId,
    ReferenceId, RunId, RunKey, ScenarioId, SetId, TargetType,
};
use super::{MAX_ID_CHARS, RunIds, TraceContext, subjects};
use crate::text::{cut, cut_middle};

/// What a rejection calls the payload.
const WHAT: &str = "the request";

/// The most turns that a request may ask for.
pub const MAX_TURNS_LIMIT: u32 = 100;
/// The longest time that a request may ask for, in seconds: one day.
pub const MAX_TIMEOUT_SECONDS: u64 = 86_400;

/// The target of a run: a kind and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The kind of target, such as `prompt` or `http`.
    #[serde(rename = "type")]
    pub kind: TargetType,
    /// The id of the prompt or agent.
    pub reference_id: ReferenceId,
}

/// Models that a request chooses over the project's default, as `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelOverrides {
    /// Plays the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_simulator: Option<String>,
    /// Decides the criteria: one model or a panel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeModels>,
}

/// How a run's trace relates to the `traceparent` of its request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TraceContextMode {
    /// The run has a trace of its own whose root links to the request's span.
    #[default]
    Link,
    /// The run's root is a child of the request's span.
    Continue,
}

/// The payload of `scenario.run.requested`, as it travels. Its parameters may be secrets, so `Debug` shows their names only.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "The payload of `scenario.run.requested`, and of a request to schedule.")]
pub struct RequestPayload {
    /// The tenant's project.
    pub project_id: ProjectId,
    /// The scenario to play.
    pub scenario_id: ScenarioId,
    /// The agent under test.
    pub target: TargetRef,
    /// The run's id; derived from the message when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario_run_id: Option<RunId>,
    /// The batch; derived from the run id when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_run_id: Option<BatchRunId>,
    /// The set; missing or empty is the configured default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID_CHARS), regex(pattern = LABEL_PATTERN))]
    pub set_id: Option<String>,
    /// Values for the scenario's parameters.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub parameters: Map<String, Value>,
    /// Models chosen for this run.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<ModelOverrides>")]
    pub models: ModelOverrides,
    /// Turns after which the judge must decide, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_TURNS_LIMIT))]
    pub max_turns: Option<u32>,
    /// Turns before which the judge is not asked, 0 to `maxTurns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_TURNS_LIMIT))]
    pub min_turns: Option<u32>,
    /// Time for the whole run in seconds, 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_TIMEOUT_SECONDS))]
    pub timeout_seconds: Option<u64>,
    /// What a `traceparent` on the request means for the run's trace.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schemars(with = "Option<TraceContextMode>")]
    pub trace_context: TraceContextMode,
    /// The most money that the run's calls of models may cost together, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<Cost>,
    /// The most tokens that the run's calls of models may use together, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    /// Whether what the run says and hears is recorded, or replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cassette: Option<CassetteRequest>,
}

/// A field that is null is a field that is missing.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    field: D,
) -> Result<T, D::Error> {
    Option::deserialize(field).map(Option::unwrap_or_default)
}

/// Why a request can never be run: it becomes a dead letter with this code and reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RequestRejection {
    /// What kind of problem it is.
    pub code: DeadLetterCode,
    /// What is wrong and where, for a person.
    pub reason: String,
}

impl RequestRejection {
    /// Longest reason, in bytes. It may repeat what a tenant sent, and goes to logs and letters.
    const MAX_REASON: usize = 1_024;
    /// Longest part of a reason that somebody else words, in bytes: it may repeat a whole value.
    const MAX_QUOTE: usize = 256;

    /// A rejection whose reason is cut where it is too long.
    #[must_use]
    pub fn new(code: DeadLetterCode, reason: impl AsRef<str>) -> Self {
        Self { code, reason: cut(reason.as_ref(), Self::MAX_REASON) }
    }

    /// The JSON object that `bytes` are; `what` is what it should be.
    pub(super) fn unless_object(bytes: &[u8], what: &str) -> Result<Value, Self> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            Self::new(DeadLetterCode::InvalidJson, format!("the payload is not JSON: {error}"))
        })?;
        // An array of the fields' values would be read, too.
        if value.is_object() {
            return Ok(value);
        }
        Err(Self::new(DeadLetterCode::InvalidRequest, format!("{what} is not a JSON object")))
    }

    /// What `value` says.
    pub(super) fn unless_fits<T: DeserializeOwned>(value: Value, what: &str) -> Result<T, Self> {
        serde_path_to_error::deserialize(value)
            .map_err(|error| Self::wrong(what, &error.path().to_string(), error.inner()))
    }

    /// A rejection because of `error`, at the field `place` if that is known.
    #[must_use]
    pub fn wrong(what: &str, place: &str, error: &dyn std::error::Error) -> Self {
        let quote = |text: &str| cut_middle(text, Self::MAX_QUOTE);
        let place = if matches!(place, "" | ".") { String::new() } else { format!(" at `{}`", quote(place)) };
        Self::new(
            DeadLetterCode::InvalidRequest,
            format!("{what} is not valid{place}: {}", quote(&error.to_string())),
        )
    }
}

/// What the message itself says about a request, beside its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdentity<'a> {
    /// The subject that it was published on.
    pub subject: &'a str,
    /// Its `Nats-Msg-Id`, if it has one.
    pub message_id: Option<&'a str>,
    /// Names this message for ever where it has no `Nats-Msg-Id`: stream sequence and storage time.
    pub stored_as: &'a str,
    /// The trace context of its headers, already validated.
    pub trace_context: Option<TraceContext>,
}

/// A request that may run: every id known, every bound kept. Its parameters may be secrets, so `Debug` shows their names only.
#[derive(Clone, PartialEq)]
pub struct RunRequest {
    /// Project and run id.
    pub key: RunKey,
    /// The scenario to play.
    pub scenario_id: ScenarioId,
    /// The agent under test.
    pub target: TargetRef,
    /// The batch.
    pub batch_run_id: BatchRunId,
    /// The set.
    pub set_id: SetId,
    /// Values for the scenario's parameters.
    pub parameters: Map<String, Value>,
    /// Models chosen for this run.
    pub models: ModelOverrides,
    /// Turns after which the judge must decide, if the request says so.
    pub max_turns: Option<u32>,
    /// Turns before which the judge is not asked, if the request says so.
    pub min_turns: Option<u32>,
    /// Time for the whole run, if the request says so.
    pub timeout: Option<Duration>,
    /// What the parent means.
    pub trace_context_mode: TraceContextMode,
    /// The request's own trace context, if it had a valid one.
    pub parent: Option<TraceContext>,
    /// What the run may cost.
    pub budget: Budget,
    /// Whether what the run says and hears is recorded, or replayed.
    pub cassette: Option<CassetteRequest>,
}

impl fmt::Debug for RequestPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestPayload")
            .field("project_id", &self.project_id)
            .field("scenario_id", &self.scenario_id)
            .field("target", &self.target)
            .field("scenario_run_id", &self.scenario_run_id)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RunRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRequest")
            .field("key", &self.key)
            .field("scenario_id", &self.scenario_id)
            .field("target", &self.target)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl RunRequest {
    /// The ids that the run's events begin with.
    #[must_use]
    pub fn ids(&self) -> RunIds {
        RunIds {
            scenario_run_id: self.key.run.clone(),
            project_id: self.key.project.clone(),
            scenario_id: self.scenario_id.clone(),
            batch_run_id: self.batch_run_id.clone(),
            set_id: self.set_id.clone(),
        }
    }
}

impl RequestPayload {
    /// Reads the bytes of a request.
    ///
    /// # Errors
    /// [`RequestRejection`] that says whether the bytes are no JSON, or which field is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestRejection> {
        RequestRejection::unless_object(bytes, WHAT)
            .and_then(|value| RequestRejection::unless_fits(value, WHAT))
    }

    /// Checks the bounds and fills in what the message itself decides.
    ///
    /// # Errors
    /// [`RequestRejection`] naming the field and the value that is out of bounds.
    pub fn resolve(
        self,
        identity: RequestIdentity<'_>,
        default_set: &SetId,
    ) -> Result<RunRequest, RequestRejection> {
        self.check_project(identity.subject)?;
        self.check_bounds()?;
        let set_id = self.resolve_set(default_set)?;
        let run = self.scenario_run_id.clone().unwrap_or_else(|| {
            RunId::derive(&self.project_id, identity.message_id.unwrap_or(identity.stored_as))
        });
        Ok(self.into_request(run, set_id, identity.trace_context))
    }

    fn into_request(self, run: RunId, set_id: SetId, parent: Option<TraceContext>) -> RunRequest {
        RunRequest {
            scenario_id: self.scenario_id,
            target: self.target,
            batch_run_id: self.batch_run_id.unwrap_or_else(|| BatchRunId::derive(&run)),
            key: RunKey { project: self.project_id, run },
            set_id,
            parameters: self.parameters,
            models: self.models,
            max_turns: self.max_turns,
            min_turns: self.min_turns,
            timeout: self.timeout_seconds.map(Duration::from_secs),
            trace_context_mode: self.trace_context,
            parent,
            budget: Budget { max_cost_usd: self.max_cost_usd, max_tokens: self.max_tokens },
            cassette: self.cassette,
        }
    }

    fn check_project(&self, subject: &str) -> Result<(), RequestRejection> {
        match subjects::request_project(subject) {
            Some(token) if token != self.project_id.as_str() => Err(RequestRejection::new(
                DeadLetterCode::ProjectMismatch,
                format!(
                    "the subject '{subject}' is of another project than the payload's '{}'",
                    self.project_id
                ),
            )),
            _ => Ok(()),
        }
    }

    fn check_bounds(&self) -> Result<(), RequestRejection> {
        check_range("maxTurns", self.max_turns.map(u64::from), 1, u64::from(MAX_TURNS_LIMIT))?;
        let most = self.max_turns.unwrap_or(MAX_TURNS_LIMIT);
        check_range("minTurns", self.min_turns.map(u64::from), 0, u64::from(most))?;
        check_range("maxTokens", self.max_tokens, 1, u64::MAX)?;
        check_range("timeoutSeconds", self.timeout_seconds, 1, MAX_TIMEOUT_SECONDS)
    }

    fn resolve_set(&self, default_set: &SetId) -> Result<SetId, RequestRejection> {
        match self.set_id.as_deref() {
            None | Some("") => Ok(default_set.clone()),
            Some(set) => SetId::parse(set).map_err(RequestRejection::from),
        }
    }
}

impl From<InvalidId> for RequestRejection {
    fn from(error: InvalidId) -> Self {
        Self::new(DeadLetterCode::InvalidRequest, error.to_string())
    }
}

fn check_range(field: &str, value: Option<u64>, least: u64, most: u64) -> Result<(), RequestRejection> {
    match value {
        Some(value) if value < least || value > most => Err(RequestRejection::new(
            DeadLetterCode::OutOfBounds,
            format!("`{field}` is {value}; it must be {least} to {most}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(value: &Value) -> Result<RequestPayload, RequestRejection> {
        RequestPayload::decode(value.to_string().as_bytes())
    }

    fn minimal() -> Value {
        json!({ "projectId": "acme", "scenarioId": "refund", "target": { "type": "http", "referenceId": "shop" } })
    }

    fn resolve(
        value: &Value,
        subject: &str,
        message_id: Option<&str>,
    ) -> Result<RunRequest, RequestRejection> {
        let identity = RequestIdentity { subject, message_id, stored_as: "7@1", trace_context: None };
        decode(value)?.resolve(identity, &SetId::parse("default").unwrap())
    }

    #[test]
    fn a_minimal_request_gets_the_same_ids_on_every_delivery() {
        let first = resolve(&minimal(), "scenario.run.requested", None).unwrap();
        let second = resolve(&minimal(), "scenario.run.requested", None).unwrap();
        assert_eq!(first, second);
        assert_eq!(first.set_id.as_str(), "default");
        let keyed = resolve(&minimal(), "scenario.run.requested", Some("acme:k")).unwrap();
        assert_ne!(keyed.key, first.key);
    }

    #[test]
    fn a_parameter_that_may_be_a_secret_does_not_print() {
        let mut request = minimal();
        request["parameters"] = json!({ "token": "hunter2" });
        let payload = format!("{:?}", decode(&request).unwrap());
        let resolved = format!("{:?}", resolve(&request, "scenario.run.requested", None).unwrap());
        for printed in [payload, resolved] {
            assert!(printed.contains("token") && !printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn a_request_of_the_wrong_shape_says_which_field() {
        let mut wrong = minimal();
        wrong["target"]["referenceId"] = json!(5);
        let error = decode(&wrong).unwrap_err();
        assert_eq!(error.code, DeadLetterCode::InvalidRequest);
        assert!(error.reason.contains("`target.referenceId`"), "{error}");
        let missing = decode(&json!({ "projectId": "acme" })).unwrap_err();
        assert!(missing.reason.contains("scenarioId"), "{missing}");
        assert_eq!(RequestPayload::decode(b"\xff\x00").unwrap_err().code, DeadLetterCode::InvalidJson);
        assert!(decode(&json!(["acme", "refund", ["http", "shop"]])).is_err(), "an array is no request");
    }

    #[test]
    fn a_reason_repeats_no_more_than_the_ends_of_a_value() {
        let mut wrong = minimal();
        wrong["maxTurns"] = json!("é".repeat(500_000));
        let error = decode(&wrong).unwrap_err();
        assert!(error.reason.len() <= RequestRejection::MAX_REASON, "{}", error.reason.len());
        assert!(error.reason.contains("`maxTurns`") && error.reason.contains("expected u32"), "{error}");
        let long = RequestRejection::new(DeadLetterCode::InvalidRequest, "x".repeat(5_000));
        assert!(long.reason.len() < 2 * RequestRejection::MAX_REASON);
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        for (field, value) in
            [("maxTurns", 0), ("maxTurns", 101), ("timeoutSeconds", 0), ("timeoutSeconds", 86_401)]
        {
            let mut wrong = minimal();
            wrong[field] = json!(value);
            let error = resolve(&wrong, "scenario.run.requested", None).unwrap_err();
            assert_eq!(error.code, DeadLetterCode::OutOfBounds, "{field}={value}");
            assert!(error.reason.contains(field) && error.reason.contains(&value.to_string()), "{error}");
        }
        let mut inverted = minimal();
        inverted["maxTurns"] = json!(3);
        inverted["minTurns"] = json!(4);
        assert!(resolve(&inverted, "scenario.run.requested", None).is_err());
    }

    #[test]
    fn a_subject_of_another_project_is_a_mismatch() {
        let error = resolve(&minimal(), "scenario.run.requested.other", None).unwrap_err();
        assert_eq!(error.code, DeadLetterCode::ProjectMismatch);
        assert!(resolve(&minimal(), "scenario.run.requested.acme", None).is_ok());
    }

    #[test]
    fn a_field_that_is_null_is_a_field_that_is_missing() {
        let mut request = minimal();
        for field in ["models", "parameters", "setId", "traceContext", "maxTurns", "scenarioRunId"] {
            request[field] = Value::Null;
        }
        assert_eq!(decode(&request).unwrap(), decode(&minimal()).unwrap());
    }

    #[test]
    fn an_empty_set_is_the_default_set() {
        let mut request = minimal();
        request["setId"] = json!("");
        assert_eq!(resolve(&request, "scenario.run.requested", None).unwrap().set_id.as_str(), "default");
    }
}
