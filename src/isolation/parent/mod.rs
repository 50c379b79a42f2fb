//! The worker's side: it resolves, starts, relays, and says what became of the run.

mod desk;
mod failures;
mod log;
mod overtime;
mod permits;
mod process;
mod received;
mod relay;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use self::log::Log;
use self::overtime::Times;
use self::permits::Permits;
use self::process::{Death, Process};
use self::relay::{Finish, Relay};
use super::Snapshot;
use super::frames::{ToChild, VERSION};
use super::plan::{Plan, PlanSettings};
use crate::definitions::Secret;
use crate::events::RunRequest;
use crate::execution::cassette::CassetteLibrary;
use crate::execution::failure::{RunFailure, Unavailable};
use crate::execution::limits::Limiter;
use crate::execution::orchestrator::{
    Interruption, LAST_JUDGEMENT, Orchestrator, Player, RunContext, RunEnd, told,
};
use crate::execution::parameters;
use crate::execution::signals::StopReason;
use crate::execution::types::Conversation;
use crate::telemetry::ingress::Hub;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::run::trace_id;
use crate::telemetry::spool::SpanSpool;

pub use process::Launcher;
pub use shelf::Shelf;

/// Plays each run in a process of its own.
pub struct Processes {
    /// How processes are started.
    pub launcher: Launcher,
    /// Where definitions are found.
    pub shelf: Shelf,
    /// Where cassettes are kept.
    pub library: Arc<dyn CassetteLibrary>,
    /// Keeps spans that no endpoint has taken; `None` if they are not to be kept.
    pub spool: Option<Arc<dyn SpanSpool>>,
    /// Where spans of targets come in.
    pub hub: Hub,
    /// Keeps the limits of calls.
    pub limiter: Arc<dyn Limiter>,
    /// Ends runs that no process ends, and the sessions of their targets.
    pub orchestrator: Orchestrator,
    /// What the runs are played with.
    pub settings: PlanSettings,
    /// What is counted.
    pub metrics: Metrics,
    /// Fires when the worker has no time left for deliveries of spans.
    pub hurry: CancellationToken,
}

/// What is left when a process is gone.
struct Remains {
    finish: Finish,
    death: Death,
    said: Option<Conversation>,
    refused: Option<Interruption>,
}

#[async_trait]
impl Player for Processes {
    async fn perform(&self, request: &Arc<RunRequest>, context: RunContext<'_>) -> RunEnd {
        let is_reported = |said: &Conversation| said.ending.is_some() && said.report.is_some();
        if context.resumed.as_ref().is_some_and(is_reported) {
            return self.orchestrator.run(request, context).await;
        }
        match self.plan(request, &context).await {
            Ok(Ok(plan)) => Box::pin(self.play(request, plan, context)).await,
            Ok(Err(unavailable)) => self.orchestrator.interrupt(request, unavailable.into(), context).await,
            Err(reason) => self.orchestrator.stop(request, reason, context).await,
        }
    }
}

impl Processes {
    async fn plan(
        &self,
        request: &RunRequest,
        context: &RunContext<'_>,
    ) -> Result<Result<Plan, Unavailable>, StopReason> {
        let definitions = self.definitions(request, context).await?;
        let (request, attempt) = (request.clone(), context.attempt);
        let (resumed, settings) = (context.resumed.clone(), self.settings.clone());
        Ok(definitions.map(|definitions| Plan {
            version: VERSION,
            request,
            attempt,
            resumed,
            definitions,
            settings,
        }))
    }

    /// Finds what the run needs, unless it is told to stop first.
    async fn definitions(
        &self,
        request: &RunRequest,
        context: &RunContext<'_>,
    ) -> Result<Result<Snapshot, Unavailable>, StopReason> {
        tokio::select! {
            biased;
            reason = context.stopped_off_stage() => Err(reason),
            found = self.shelf.snapshot(request, context.resumed.as_ref()) => Ok(found),
        }
    }

    async fn play(&self, request: &Arc<RunRequest>, plan: Plan, context: RunContext<'_>) -> RunEnd {
        let process = match self.launcher.start() {
            Ok(process) => process,
            Err(error) => return self.unstarted(request, error, context).await,
        };
        let log = Log::new(request.key.clone(), &plan.definitions, &secret_parameters(&plan));
        let desk = Desk::new(request, &context, self.library.as_ref(), self.spool.as_deref());
        let scopes = permits::scopes_of(request, &plan.definitions);
        let permits = Permits::new(self.limiter.as_ref(), scopes);
        let (doorstep, handovers) = received::doorstep();
        let receives = self.settings.receives.is_some();
        let _registration = receives.then(|| self.hub.register(trace_id(request), Arc::new(doorstep)));
        let mut relay = Relay::new(desk, permits, handovers, &self.metrics, process, self.times(&plan), log);
        let finish = match relay.process.tell(&ToChild::Plan(Box::new(plan))) {
            Ok(()) => relay.talk(&context, &self.hurry).await,
            Err(error) => Finish::Nonsense(error.to_string()),
        };
        let remains = self.clear_away(relay, finish).await;
        self.conclude(request, remains, context).await
    }

    /// Nothing of a process is left when its run goes on: neither the process nor what it wrote.
    async fn clear_away(&self, relay: Relay<'_>, finish: Finish) -> Remains {
        let Relay { desk, process, times, log, refused, tally, .. } = relay;
        self.metrics.add_span_tally(&tally);
        let death = end(process, &finish, times).await;
        log.output(&death.output, desk.session());
        Remains { finish, death, said: desk.said().cloned(), refused }
    }

    fn times(&self, plan: &Plan) -> Times {
        let run = &self.settings.run;
        let (delivery, grace) = (self.settings.telemetry.deadline(), run.process.kill_grace());
        let judgement = if run.judge_on_timeout { LAST_JUDGEMENT } else { Duration::ZERO };
        let began = plan.resumed.as_ref().and_then(|said| said.started_at);
        let spent = began.map_or(time::Duration::ZERO, |began| self.orchestrator.clock.now() - began);
        let timeout = plan.request.timeout.unwrap_or(run.timeout());
        Times {
            left: timeout.saturating_sub(spent.try_into().unwrap_or_default()),
            silence: run.stall_timeout() + judgement + run.session_end() + delivery + grace,
            judgement,
            session_end: run.session_end(),
            delivery,
            grace,
        }
    }

    /// A machine that has no process left has one later; a program that is not there comes to nothing.
    async fn unstarted(
        &self,
        request: &RunRequest,
        error: std::io::Error,
        context: RunContext<'_>,
    ) -> RunEnd {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let is_for_good = matches!(error.kind(), NotFound | PermissionDenied);
        let program = self.launcher.program.display();
        let unavailable = Unavailable::new(format!("starting a process for a run from {program}"), error);
        if is_for_good {
            tracing::error!(run = %request.key, error = %crate::text::chain(&unavailable), "no run can be played");
            return self.orchestrator.give_up(request, failures::unstarted(), context).await;
        }
        self.orchestrator.interrupt(request, unavailable.into(), context).await
    }

    async fn conclude(&self, request: &RunRequest, remains: Remains, context: RunContext<'_>) -> RunEnd {
        let Remains { finish, death, said, refused } = remains;
        let reason = context.stop.reason();
        let context = RunContext { resumed: said, ..context };
        let outcome = || told(request, context.attempt, context.resumed.as_ref()?);
        match (finish, refused, reason) {
            (Finish::Outcome, None, _) if let Some(end) = outcome() => end,
            (Finish::Interrupted(spans), Some(why), _) => RunEnd::Interrupted { why, spans },
            (Finish::Interrupted(spans), None, Some(reason)) if let Some(why) = interruption(reason) => {
                RunEnd::Interrupted { why, spans }
            }
            (Finish::Gone, Some(why), _) => self.orchestrator.interrupt(request, why, context).await,
            (Finish::Gone | Finish::Overdue, _, Some(reason)) => self.stop(request, reason, context).await,
            (finish, ..) => {
                let failure = failures::of(&finish, &death, self.settings.run.process.memory_bytes);
                self.fail(request, failure, context).await
            }
        }
    }

    async fn stop(&self, request: &RunRequest, reason: StopReason, context: RunContext<'_>) -> RunEnd {
        tracing::warn!(run = %request.key, ?reason, "a process of a run did not stop by itself");
        self.orchestrator.stop(request, reason, context).await
    }

    async fn fail(&self, request: &RunRequest, failure: RunFailure, context: RunContext<'_>) -> RunEnd {
        tracing::warn!(run = %request.key, code = %failure.code, reason = %failure.message, "a process of a run failed");
        self.orchestrator.give_up(request, failure, context).await
    }
}

/// A process that has come to its end ends by itself; any other is made to.
async fn end(process: Process, finish: &Finish, times: Times) -> Death {
    match finish {
        Finish::Outcome | Finish::Interrupted(_) | Finish::Gone => process.ended(times.grace).await,
        _ => process.end(times.grace).await,
    }
}

fn interruption(reason: StopReason) -> Option<Interruption> {
    match reason {
        StopReason::Cancelled => None,
        StopReason::LeaseLost => Some(Interruption::LeaseLost),
        StopReason::HandBack => Some(Interruption::HandBack),
    }
}

fn secret_parameters(plan: &Plan) -> Vec<String> {
    let scenario = plan.definitions.scenario.as_ref();
    let secrets = scenario.and_then(|scenario| parameters::secrets(scenario, &plan.request.parameters).ok());
    secrets.unwrap_or_default().values().map(|secret: &Secret| secret.expose().to_owned()).collect()
}
