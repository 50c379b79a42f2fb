//! Programs that stand where the process of a run would be.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use scenario_worker::definitions::{AgentDefinition, Project, Prompt, Provider, Scenario, Secrets};
use scenario_worker::events::{ProjectId, ReferenceId, RunCompleted, RunRequest, ScenarioId};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::orchestrator::RunEnd;
use scenario_worker::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, ScenarioRepository,
    SecretRepository,
};
use scenario_worker::isolation::{Launcher, PlanSettings, Processes, Shelf};
use scenario_worker::settings::Settings;
use scenario_worker::telemetry::ingress::Hub;
use scenario_worker::telemetry::metrics::Metrics;
use scenario_worker::telemetry::spool::SpanSpool;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use crate::support::limits::Doorkeeper;
use crate::support::play::{self, Stage};
use crate::support::span_spool::MemorySpool;

/// The shell with a script.
pub(super) fn shell(script: &str) -> Launcher {
    let arguments = ["-c", script].map(OsString::from).into();
    Launcher { program: "/bin/sh".into(), arguments }
}

/// A program that says these messages, and then what `script` does.
pub(super) fn says(frames: &[Value], script: &str) -> (NamedTempFile, Launcher) {
    let mut file = NamedTempFile::new().unwrap();
    for frame in frames {
        let json = frame.to_string();
        file.write_all(&u32::try_from(json.len()).unwrap().to_be_bytes()).unwrap();
        file.write_all(json.as_bytes()).unwrap();
    }
    let launcher = shell(&format!("cat {}; {script}", shown(file.path())));
    (file, launcher)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A conversation as processes send it, with these entries too.
pub(super) fn conversation(more: &Value) -> Value {
    let none = json!({ "inputTokens": 0, "outputTokens": 0, "calls": 0 });
    let usage = json!({ "userSimulator": none, "target": none, "judge": none });
    let mut all = json!({ "messages": [], "turn": 0, "next": "user_simulator", "usage": usage });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// The call that stores a conversation.
pub(super) fn advanced(id: u64, more: &Value) -> Value {
    let entry = json!({ "conversation": conversation(more), "trace_id": "0af7651916cd43dd8448eb211c80319c" });
    json!({ "call": { "id": id, "call": { "advanced": entry } } })
}

/// Plays a run of the minimal request with a program instead of the run's process.
pub(super) async fn played(stage: Stage, launcher: Launcher) -> RunEnd {
    let request = play::request(&json!({}));
    played_as(stage, &request, launcher).await
}

/// As [`played`]; its limits are kept by `doorkeeper`.
pub(super) async fn played_behind(doorkeeper: &Doorkeeper, stage: Stage, launcher: Launcher) -> RunEnd {
    let request = play::request(&json!({}));
    let around = Around { limiter: Arc::new(doorkeeper.clone()), ..Around::default() };
    played_by(stage, &request, launcher, around).await
}

pub(super) async fn played_as(stage: Stage, request: &Arc<RunRequest>, launcher: Launcher) -> RunEnd {
    played_by(stage, request, launcher, Around::default()).await
}

/// As [`played_as`]; late spans are kept in `spool`.
pub(super) async fn played_spooling(
    spool: &Arc<MemorySpool>,
    stage: Stage,
    request: &Arc<RunRequest>,
    launcher: Launcher,
) -> RunEnd {
    let spool: Arc<dyn SpanSpool> = spool.clone();
    played_by(stage, request, launcher, Around { spool: Some(spool), ..Around::default() }).await
}

/// What is around a process.
#[derive(Default)]
struct Around {
    limiter: Arc<Doorkeeper>,
    spool: Option<Arc<dyn SpanSpool>>,
}

async fn played_by(
    stage: Stage,
    request: &Arc<RunRequest>,
    launcher: Launcher,
    Around { limiter, spool }: Around,
) -> RunEnd {
    let definitions =
        Arc::new(Definitions { scenario: stage.scenario.clone(), project: stage.project.clone() });
    let player = |orchestrator: scenario_worker::execution::orchestrator::Orchestrator| {
        let library = orchestrator.planner.cassettes.clone();
        let shelf = Shelf {
            scenarios: definitions.clone(),
            projects: definitions.clone(),
            providers: definitions.clone(),
            prompts: definitions.clone(),
            agents: definitions.clone(),
            secrets: definitions,
            default_model: None,
        };
        let Settings { mut run, egress, telemetry, .. } = Settings::default();
        run.process.kill_grace_seconds = 1;
        let settings =
            PlanSettings { run, egress, telemetry: telemetry.run, spools: spool.is_some(), receives: None };
        let (metrics, hurry) = (Metrics::new().unwrap(), CancellationToken::new());
        let processes = Processes {
            launcher,
            shelf,
            library,
            limiter,
            spool,
            hub: Hub::default(),
            orchestrator,
            settings,
            metrics,
            hurry,
        };
        Arc::new(processes) as Arc<_>
    };
    stage.play_by(request, player).await
}

/// The outcome, which there has to be.
pub(super) fn outcome(end: RunEnd) -> Box<RunCompleted> {
    match end {
        RunEnd::Outcome { completed, .. } => completed,
        RunEnd::Interrupted { why, .. } => panic!("the run has no outcome: {why}"),
    }
}

/// Code and message of the error that the run ended with, which is put down to the worker.
pub(super) fn error(end: RunEnd) -> (String, String) {
    let error = outcome(end).error.expect("it is an error");
    assert_eq!(error.attributed_to, scenario_worker::events::Attribution::Worker);
    (error.code, error.message)
}

/// Scenario and project, and nothing else.
struct Definitions {
    scenario: Option<Scenario>,
    project: Option<Project>,
}

#[async_trait]
impl ScenarioRepository for Definitions {
    async fn scenario(&self, _: &ProjectId, _: &ScenarioId) -> Result<Option<Scenario>, Unavailable> {
        Ok(self.scenario.clone())
    }
}

#[async_trait]
impl ProjectRepository for Definitions {
    async fn project(&self, _: &ProjectId) -> Result<Option<Project>, Unavailable> {
        Ok(self.project.clone())
    }
}

#[async_trait]
impl ProviderRepository for Definitions {
    async fn providers(&self, _: &ProjectId) -> Result<Vec<Provider>, Unavailable> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl PromptRepository for Definitions {
    async fn prompt(&self, _: &ProjectId, _: &ReferenceId) -> Result<Option<Prompt>, Unavailable> {
        Ok(None)
    }
}

#[async_trait]
impl AgentRepository for Definitions {
    async fn agent(&self, _: &ProjectId, _: &ReferenceId) -> Result<Option<AgentDefinition>, Unavailable> {
        Ok(None)
    }
}

#[async_trait]
impl SecretRepository for Definitions {
    async fn secrets(&self, _: &ProjectId) -> Result<Secrets, Unavailable> {
        Ok(Secrets::new())
    }
}
