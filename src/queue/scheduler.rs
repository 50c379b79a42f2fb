//! Scheduling a run: validate, publish, and only then say so.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use uuid::Uuid;

use super::publish::publish;
use super::{Connection, headers};
use crate::events::{
    DeadLetterCode, Receipt, ReceiptError, RequestIdentity, RequestPayload, RequestRejection, RunRequest,
    SetId, TraceContext, subjects,
};
use crate::execution::failure::{PlanError, Unavailable};
use crate::execution::ports::RequestValidator;

/// The longest idempotency key, in bytes: a header has to hold it with the project.
const MAX_KEY_BYTES: usize = 256;
/// Stands for the message where a request is resolved before it is published; the key is never missing here.
const NOT_STORED_YET: &str = "";

/// Why it is not known whether a request is scheduled. Trying again with the same key is safe.
#[derive(Debug, thiserror::Error)]
#[error("the request may not be scheduled")]
pub struct ScheduleError(#[from] Unavailable);

/// Puts requests into the queue.
#[derive(Clone)]
pub struct Scheduler {
    connection: Connection,
    validator: Arc<dyn RequestValidator>,
    default_set: SetId,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("default_set", &self.default_set).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Schedules through `connection` what `validator` lets pass; `default_set` as the workers have it.
    #[must_use]
    pub fn new(connection: &Connection, validator: Arc<dyn RequestValidator>, default_set: SetId) -> Self {
        Self { connection: connection.clone(), validator, default_set }
    }

    /// Validates and publishes `payload`. The key makes a repetition harmless: the given one, else the given run id,
    /// else a random one.
    ///
    /// # Errors
    /// [`ScheduleError`] if the store or the broker does not answer. A request that can never be run is no error but
    /// a receipt that refuses.
    pub async fn schedule(
        &self,
        payload: RequestPayload,
        idempotency_key: Option<&str>,
        trace: Option<&TraceContext>,
    ) -> Result<Receipt, ScheduleError> {
        let job_id = match job_id(&payload, idempotency_key) {
            Ok(job_id) => job_id,
            Err(rejection) => return Ok(refusal(&rejection)),
        };
        let request = match self.resolve(payload.clone(), &job_id) {
            Ok(request) => request,
            Err(rejection) => return Ok(refusal(&rejection)),
        };
        match self.validator.validate(&request).await {
            Ok(()) => self.publish(&payload, request, job_id, trace).await,
            Err(PlanError::Failure(failure)) => {
                Ok(Receipt::refused(failure.code, failure.message).with_hint(failure.hint))
            }
            Err(PlanError::Unavailable(error)) => Err(error.into()),
        }
    }

    /// Why `payload` would be refused, if it would. Nothing is published.
    ///
    /// # Errors
    /// As [`Scheduler::schedule`].
    pub async fn refusal(
        &self,
        payload: RequestPayload,
        idempotency_key: Option<&str>,
    ) -> Result<Option<ReceiptError>, ScheduleError> {
        let resolved = job_id(&payload, idempotency_key).and_then(|job_id| self.resolve(payload, &job_id));
        let request = match resolved {
            Ok(request) => request,
            Err(rejection) => return Ok(Some(ReceiptError::new(rejection.code.as_str(), rejection.reason))),
        };
        match self.validator.validate(&request).await {
            Ok(()) => Ok(None),
            Err(PlanError::Failure(failure)) => {
                let error = ReceiptError::new(failure.code, failure.message);
                Ok(Some(ReceiptError { hint: failure.hint, ..error }))
            }
            Err(PlanError::Unavailable(error)) => Err(error.into()),
        }
    }

    /// The request exactly as the worker will read it.
    fn resolve(&self, payload: RequestPayload, job_id: &str) -> Result<RunRequest, RequestRejection> {
        let subject = subjects::requested(&payload.project_id);
        let identity = RequestIdentity {
            subject: &subject,
            message_id: Some(job_id),
            stored_as: NOT_STORED_YET,
            trace_context: None,
        };
        payload.resolve(identity, &self.default_set)
    }

    async fn publish(
        &self,
        payload: &RequestPayload,
        request: RunRequest,
        job_id: String,
        trace: Option<&TraceContext>,
    ) -> Result<Receipt, ScheduleError> {
        let subject = subjects::requested(&request.key.project);
        let body = serde_json::to_vec(payload)
            .map_err(|error| Unavailable::new(format!("writing the request {job_id} as JSON"), error))?;
        let headers = request_headers(&job_id, trace);
        match publish(&self.connection.jetstream, &subject, &headers, &Bytes::from(body)).await {
            Ok(ack) => Ok(receipt(request, job_id, &ack)),
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Ok(refusal(&invalid("the request is larger than the server takes".to_owned())))
            }
            Err(error) => Err(Unavailable::new(format!("publishing the request {job_id}"), error).into()),
        }
    }
}

fn receipt(request: RunRequest, job_id: String, ack: &PublishAck) -> Receipt {
    Receipt::Scheduled {
        scheduled: true,
        job_id,
        scenario_run_id: request.key.run,
        batch_run_id: request.batch_run_id,
        set_id: request.set_id,
        duplicate: ack.duplicate,
        stream_sequence: ack.sequence,
    }
}

fn request_headers(job_id: &str, trace: Option<&TraceContext>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(subjects::HEADER_MESSAGE_ID, job_id);
    headers.insert(subjects::HEADER_CONTENT_TYPE, subjects::CONTENT_TYPE_JSON);
    headers::add_trace_context(&mut headers, trace);
    headers
}

/// `<project>:<key>`: the stream's deduplication knows no projects, so the id has to.
fn job_id(payload: &RequestPayload, key: Option<&str>) -> Result<String, RequestRejection> {
    let key = match (key, &payload.scenario_run_id) {
        (Some(key), _) => check_key(key)?.to_owned(),
        (None, Some(run)) => run.to_string(),
        (None, None) => Uuid::new_v4().to_string(),
    };
    Ok(format!("{}:{key}", payload.project_id))
}

fn check_key(key: &str) -> Result<&str, RequestRejection> {
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len());
    if fits && key.trim() == key && !key.chars().any(char::is_control) {
        return Ok(key);
    }
    let shown: String = key.chars().take(MAX_KEY_BYTES).flat_map(char::escape_default).collect();
    Err(invalid(format!(
        "the idempotency key '{shown}' is not valid: 1 to {MAX_KEY_BYTES} bytes, no control character, no space at \
         either end"
    )))
}

fn invalid(reason: String) -> RequestRejection {
    RequestRejection::new(DeadLetterCode::InvalidRequest, reason)
}

fn refusal(rejection: &RequestRejection) -> Receipt {
    Receipt::refused(rejection.code.as_str(), rejection.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> RequestPayload {
        RequestPayload::decode(
            br#"{"projectId":"acme","scenarioId":"s","target":{"type":"http","referenceId":"a"},"scenarioRunId":"r1"}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_job_id_carries_project_and_key() {
        assert_eq!(job_id(&payload(), Some("k")).unwrap(), "acme:k");
        assert_eq!(job_id(&payload(), None).unwrap(), "acme:r1");
        let anonymous = RequestPayload { scenario_run_id: None, ..payload() };
        assert_ne!(job_id(&anonymous, None).unwrap(), job_id(&anonymous, None).unwrap());
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_refused() {
        for bad in ["", "a\r\nb", " a", &"x".repeat(MAX_KEY_BYTES + 1)] {
            assert!(job_id(&payload(), Some(bad)).is_err(), "{bad:?} was accepted");
        }
    }
}
