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
