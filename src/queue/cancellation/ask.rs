//! Cancelling with an answer: a worker says where the run is, and where none listens the request is stored.

use std::time::Duration;

use async_nats::Request;
use tracing::debug;

use super::request_cancel;
use crate::events::{CancelReply, CancelRequest, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::Connection;

/// How long a worker may take to answer before the request is stored without one.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A worker took it.
    Answered(CancelReply),
    /// No worker answered; the next one that there is will find it.
    Stored,
}

/// Asks for a run or a batch to be cancelled, by a worker if there is one. The request is stored in either case, so
/// asking twice does no harm.
///
/// # Errors
/// [`Unavailable`] if no worker answers and the stream does not have it after all retries.
pub async fn ask_to_cancel(connection: &Connection, request: &CancelRequest) -> Result<Asked, Unavailable> {
    if let Some(reply) = ask(connection, request).await? {
        return Ok(Asked::Answered(reply));
    }
    request_cancel(connection, request).await.map(|()| Asked::Stored)
}

/// `None` where nobody listens, nobody answers in time, or the worker could not do it.
async fn ask(connection: &Connection, request: &CancelRequest) -> Result<Option<CancelReply>, Unavailable> {
    let payload = serde_json::to_vec(request)
        .map_err(|error| Unavailable::new("writing a cancel request as JSON", error))?;
    let request = Request::new().payload(payload.into()).timeout(Some(ANSWER_PATIENCE));
    let answer = connection.client.send_request(subjects::SERVICE_CANCEL, request).await;
    let answer = answer.inspect_err(|error| debug!(%error, "no worker answers a cancel request"));
    Ok(answer.ok().and_then(|answer| serde_json::from_slice(&answer.payload).ok()))
}
