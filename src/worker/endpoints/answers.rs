//! What is answered to what.

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde::Serialize;

use super::Endpoints;
use super::refusal::Refusal;
use crate::events::{
    CancelReply, CancelRequest, CancelScope, ProjectId, Receipt, ReportedPhase, RequestPayload, RunKey,
    RunQuery, RunReport, TraceContext, subjects,
};
use crate::execution::failure::Unavailable;
use crate::queue::{RunPhase, RunState, cancellation, headers};

impl Endpoints {
    /// The receipt, as the command line has it; one that refuses is an error, too.
    pub(super) async fn schedule(&self, message: &Message) -> Result<Bytes, Refusal> {
        let payload = RequestPayload::decode(&message.payload).map_err(Refusal::receipt)?;
        let none = HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        let (key, trace) = (idempotency_key(headers, &payload.project_id), self.trace_context(headers));
        match self.scheduler.schedule(payload, key.as_deref(), trace.as_ref()).await? {
            Receipt::Refused { error, .. } => Err(Refusal::of_receipt(error)),
            scheduled @ Receipt::Scheduled { .. } => write(&scheduled),
        }
    }

    /// A run that is over stays as it is; for every other the request is stored before it is called accepted.
    pub(super) async fn cancel(&self, payload: &Bytes) -> Result<Bytes, Refusal> {
        let request = CancelRequest::decode(payload)?;
        let state = match &request.scope {
            CancelScope::Batch { .. } => None,
            CancelScope::Run { scenario_run_id } => {
                let project = request.project_id.clone();
                self.states.status(&RunKey { project, run: scenario_run_id.clone() }).await?
            }
        };
        let phase = phase(state.as_ref());
        if phase != ReportedPhase::Finished {
            cancellation::request_cancel(&self.connection, &request).await?;
        }
        write(&CancelReply { accepted: true, phase, status: state.and_then(|state| state.status) })
    }

    pub(super) async fn status(&self, payload: &Bytes) -> Result<Bytes, Refusal> {
        let run = RunQuery::decode(payload)?;
        let state = self.states.status(&run.key()).await?;
        write(&RunReport {
            run,
            phase: phase(state.as_ref()),
            status: state.as_ref().and_then(|state| state.status),
            attempt: state.as_ref().map(|state| state.attempts),
            turn: state.as_ref().map(|state| state.turn),
            updated_at: state.as_ref().map(|state| state.updated_at),
        })
    }

    /// As on a request that was published: what is in doubt is ignored and counted.
    fn trace_context(&self, headers: &HeaderMap) -> Option<TraceContext> {
        headers::trace_context(headers).unwrap_or_else(|error| {
            self.metrics.invalid_trace_context();
            tracing::info!(%error, "the trace context of a request to schedule is ignored");
            None
        })
    }
}

/// Publishers write `<project>:<key>`, so that is understood as well as the key alone: both are the same request.
fn idempotency_key(headers: &HeaderMap, project: &ProjectId) -> Option<String> {
    let id = headers.get(subjects::HEADER_MESSAGE_ID)?.as_str();
    let key = id.strip_prefix(project.as_str()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(id);
    (!key.is_empty()).then(|| key.to_owned())
}

fn phase(state: Option<&RunState>) -> ReportedPhase {
    match state.map(|state| state.phase) {
        Some(RunPhase::Running) => ReportedPhase::Running,
        Some(RunPhase::HandedBack) => ReportedPhase::Queued,
        Some(RunPhase::Finished) => ReportedPhase::Finished,
        None => ReportedPhase::Unknown,
    }
}

fn write(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    let written = serde_json::to_vec(answer).map(Bytes::from);
    written.map_err(|error| Unavailable::new("writing the answer as JSON", error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_its_project() {
        let acme = ProjectId::parse("acme").unwrap();
        let key = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id);
            idempotency_key(&headers, &acme)
        };
        assert_eq!((key("acme:k"), key("k")), (Some("k".to_owned()), Some("k".to_owned())));
        assert_eq!((key("acmeco:k"), key("")), (Some("acmeco:k".to_owned()), None));
        assert_eq!(idempotency_key(&HeaderMap::new(), &acme), None);
    }
}
