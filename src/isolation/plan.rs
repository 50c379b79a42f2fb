//! Everything that a process has to know to play one run. This is the one place where credentials are written down.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::snapshot::Snapshot;
use crate::events::{
    BatchRunId, Budget, CassetteRequest, ModelOverrides, ProjectId, RunId, RunKey, RunRequest, ScenarioId,
    SetId, TargetRef, TraceContext, TraceContextMode,
};
use crate::execution::types::Conversation;
use crate::settings::{EgressSettings, RunSettings, RunTelemetrySettings};

/// One run, as its process gets it. `Debug` names the run only: the rest may hold credentials.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// Which form all messages have.
    pub(super) version: u32,
    /// What was asked for.
    #[serde(with = "WrittenRequest")]
    pub(super) request: RunRequest,
    /// Which delivery this is, from 1.
    pub(super) attempt: u32,
    /// Where an earlier delivery left off.
    pub(super) resumed: Option<Conversation>,
    /// The definitions that the run needs.
    pub(super) definitions: Snapshot,
    /// What applies to every run of this worker.
    pub(super) settings: PlanSettings,
}

/// The settings that a run is played with.
#[derive(Clone, Serialize, Deserialize)]
pub struct PlanSettings {
    /// Defaults of runs.
    pub run: RunSettings,
    /// What runs may reach.
    pub egress: EgressSettings,
    /// Where their spans go.
    pub telemetry: RunTelemetrySettings,
    /// Whether spans are kept that do not get there.
    pub spools: bool,
    /// How long the run waits for spans that its target sends for one call; `None` if it takes none.
    pub receives: Option<Duration>,
}

impl Plan {
    /// The definitions that the run needs.
    #[must_use]
    pub fn definitions(&self) -> Snapshot {
        self.definitions.clone()
    }

    /// What applies to every run of this worker.
    #[must_use]
    pub fn settings(&self) -> &PlanSettings {
        &self.settings
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("run", &self.request.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for PlanSettings {
    /// An address of a proxy may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanSettings").finish_non_exhaustive()
    }
}

/// How a request is written down; its parameters may be secrets.
#[derive(Serialize, Deserialize)]
#[serde(remote = "RunRequest")]
struct WrittenRequest {
    #[serde(with = "WrittenKey")]
    key: RunKey,
    scenario_id: ScenarioId,
    target: TargetRef,
    batch_run_id: BatchRunId,
    set_id: SetId,
    parameters: Map<String, Value>,
    models: ModelOverrides,
    max_turns: Option<u32>,
    min_turns: Option<u32>,
    timeout: Option<Duration>,
    trace_context_mode: TraceContextMode,
    parent: Option<TraceContext>,
    budget: Budget,
    cassette: Option<CassetteRequest>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunKey")]
struct WrittenKey {
    project: ProjectId,
    run: RunId,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::events::{RequestIdentity, RequestPayload};
    use crate::isolation::frames::{ToChild, VERSION, decode, encode};
    use crate::settings::Settings;

    const CANARIES: [&str; 7] = [
        "canary-secret",
        "canary-hidden",
        "canary-key",
        "canary-traces",
        "canary-agent",
        "canary-parameter",
        "canary-proxy",
    ];

    fn request() -> RunRequest {
        let payload = json!({
            "projectId": "acme", "scenarioId": "refund", "target": { "type": "http", "referenceId": "shop" },
            "parameters": { "token": "canary-parameter" }, "timeoutSeconds": 7, "cassette": "record",
        });
        let identity = RequestIdentity {
            subject: "scenario.run.requested",
            message_id: Some("acme:1"),
            stored_as: "1",
            trace_context: None,
        };
        let payload = RequestPayload::decode(payload.to_string().as_bytes()).unwrap();
        payload.resolve(identity, &SetId::parse("default").unwrap()).unwrap()
    }

    fn plan() -> Plan {
        let definitions = json!({
            "project": { "id": "acme", "telemetry": { "endpoint": "http://t", "apiKey": "canary-traces" } },
            "scenario": null,
            "providers": [{ "id": "openai", "kind": "openai", "apiKey": "canary-key" }],
            "prompt": null,
            "agent": { "id": "shop", "type": "http", "auth": { "type": "bearer", "token": "canary-agent" } },
            "secrets": { "SHOP": "canary-secret" }, "hidden": { "BANK": "canary-hidden" },
        });
        let Settings { run, mut egress, telemetry, .. } = Settings::default();
        egress.proxy = Some("http://user:canary-proxy@proxy.example".to_owned());
        Plan {
            version: VERSION,
            request: request(),
            attempt: 2,
            resumed: Some(Conversation::default()),
            definitions: serde_json::from_value(definitions).unwrap(),
            settings: PlanSettings { run, egress, telemetry: telemetry.run, spools: true, receives: None },
        }
    }

    #[test]
    fn a_plan_arrives_as_it_was_written_credentials_included() {
        let written = encode(&ToChild::Plan(Box::new(plan()))).unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        assert!(CANARIES.iter().all(|canary| text.contains(canary)), "{text}");
        let Ok(ToChild::Plan(read)) = decode(&written) else { panic!("no plan: {text}") };
        assert_eq!((&read.request, read.attempt), (&request(), 2));
        assert_eq!(encode(&ToChild::Plan(read)).unwrap(), written);
    }

    #[test]
    fn a_plan_prints_no_credential() {
        let plan = plan();
        let printed = format!("{plan:?} {:?} {:?}", plan.definitions, plan.settings);
        assert!(printed.contains("acme") && !printed.contains("canary"), "{printed}");
    }

    #[test]
    fn what_the_log_must_not_show_is_everything_that_may_be_a_credential() {
        let known = plan().definitions.credentials();
        for canary in &CANARIES[..5] {
            assert!(known.iter().any(|value| value == canary), "{canary} is missing in {known:?}");
        }
    }
}
