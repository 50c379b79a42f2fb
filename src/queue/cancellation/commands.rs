//! Cancel requests become marks.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Cancellations;
use crate::events::{CancelRequest, CancelScope, DeadLetterCode, RequestRejection, RunKey, subjects};
use crate::queue::bucket::WriteError;
use crate::queue::{ConsumerError, Delivery, SettleError, spans};
use crate::text::chain;

/// Requests that this process turns into marks at one time.
const COMMANDS_AT_ONCE: usize = 16;
/// How long a cancel mark is kept: one day, longer than any run takes.
const MARK_TTL: Duration = Duration::from_hours(24);
/// Pause before a request is delivered again whose mark could not be made.
const REDELIVER_AFTER: Duration = Duration::from_secs(2);

impl Cancellations {
    pub(super) async fn take_commands(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let take = |delivery| {
            let this = self.clone();
            async move { this.take(delivery).await }
        };
        self.commands.work(COMMANDS_AT_ONCE, stop, take).await
    }

    async fn take(&self, delivery: Delivery) {
        let (sequence, work) = (delivery.stream_sequence(), delivery.processing().clone());
        let settled = match decode(delivery.payload(), delivery.subject()) {
            Ok(request) => self.mark(delivery, &request).await,
            Err(rejection) => {
                spans::failed(&work, rejection.code.as_str());
                self.reject(delivery, &rejection).await
            }
        };
        if let Err(error) = settled {
            spans::failed(&work, spans::UNSETTLED);
            let error = chain(&error);
            warn!(nats.stream_sequence = sequence, %error, "a cancel request will be delivered again");
        }
    }

    async fn mark(&self, delivery: Delivery, request: &CancelRequest) -> Result<(), SettleError> {
        match self.bucket.write(&key(request), value(request), None, Some(MARK_TTL)).await {
            Ok(_) => delivery.ack().await,
            Err(error) => give_back(delivery, &error).await,
        }
    }

    async fn reject(&self, delivery: Delivery, rejection: &RequestRejection) -> Result<(), SettleError> {
        match self.dead_letters.bury(&delivery, rejection.code, rejection.reason.as_str()).await {
            Ok(()) => delivery.term(&rejection.reason).await,
            Err(error) => give_back(delivery, &WriteError::Unavailable(error)).await,
        }
    }
}

async fn give_back(delivery: Delivery, error: &WriteError) -> Result<(), SettleError> {
    let (sequence, error) = (delivery.stream_sequence(), chain(error));
    warn!(nats.stream_sequence = sequence, %error, "a cancel request has to wait");
    spans::failed(delivery.processing(), spans::UNAVAILABLE);
    delivery.nak(Some(REDELIVER_AFTER)).await
}

fn key(request: &CancelRequest) -> String {
    let project = request.project_id.clone();
    match &request.scope {
        CancelScope::Run { scenario_run_id } => {
            subjects::cancel_key(&RunKey { project, run: scenario_run_id.clone() })
        }
        CancelScope::Batch { batch_run_id } => subjects::cancel_batch_key(&project, batch_run_id),
    }
}

/// What a mark says, for people: the key alone decides. The request's own bytes may be as many as a message can have,
/// which leaves no room for a mark's headers.
fn value(request: &CancelRequest) -> Bytes {
    serde_json::to_vec(request).unwrap_or_default().into()
}

fn decode(bytes: &Bytes, subject: &str) -> Result<CancelRequest, RequestRejection> {
    let request = CancelRequest::decode(bytes)?;
    check_project(&request, subject)?;
    Ok(request)
}

fn check_project(request: &CancelRequest, subject: &str) -> Result<(), RequestRejection> {
    let project = request.project_id.as_str();
    match subjects::cancel_project(subject) {
        Some(token) if token != project => Err(RequestRejection::new(
            DeadLetterCode::ProjectMismatch,
            format!("the subject '{subject}' is of another project than the payload's '{project}'"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(payload: &'static str, subject: &str) -> Result<String, DeadLetterCode> {
        decode(&Bytes::from_static(payload.as_bytes()), subject)
            .map(|request| key(&request))
            .map_err(|rejection| rejection.code)
    }

    #[test]
    fn a_request_names_a_run_or_a_batch_of_its_own_project() {
        let run = r#"{"projectId":"acme","scenarioRunId":"r1"}"#;
        assert_eq!(code(run, "scenario.run.cancel_requested"), Ok("cancel.acme.r1".to_owned()));
        assert_eq!(code(run, "scenario.run.cancel_requested.acme"), Ok("cancel.acme.r1".to_owned()));
        assert_eq!(code(run, "scenario.run.cancel_requested.other"), Err(DeadLetterCode::ProjectMismatch));
        let batch =
            code(r#"{"projectId":"acme","batchRunId":"b 1"}"#, "scenario.run.cancel_requested").unwrap();
        assert!(batch.starts_with("cancelbatch.acme."), "{batch}");
    }

    #[test]
    fn anything_else_is_rejected_with_its_code() {
        let subject = "scenario.run.cancel_requested";
        assert_eq!(code("nonsense", subject), Err(DeadLetterCode::InvalidJson));
        assert_eq!(code(r#"{"projectId":"acme"}"#, subject), Err(DeadLetterCode::InvalidRequest));
        assert_eq!(
            code(r#"{"projectId":"a.b","scenarioRunId":"r"}"#, subject),
            Err(DeadLetterCode::InvalidRequest)
        );
    }
}
