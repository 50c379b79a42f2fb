//! Answers that are errors: headers of NATS micro, a body for programs, and the service's count of them.

use async_nats::client::PublishError;
use async_nats::service::{Request, error::Error as CountedError};
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;

use crate::events::{ErrorReply, Receipt, ReceiptError, RequestRejection, subjects};
use crate::execution::failure::Unavailable;
use crate::queue::ScheduleError;
use crate::text::chain;

/// Number of an error that is the caller's.
const BAD_REQUEST: u16 = 400;
/// Number of an error that passes.
const UNAVAILABLE: u16 = 503;
/// Code of an error that passes.
const UNAVAILABLE_CODE: &str = "unavailable";

/// Why there is no answer but an error.
#[derive(Debug)]
pub(super) struct Refusal {
    /// As in HTTP: 400 is the caller's mistake, 503 passes.
    number: u16,
    error: ReceiptError,
    /// Whether it is told as a receipt.
    is_receipt: bool,
}

impl Refusal {
    /// A request to schedule that cannot be read.
    pub(super) fn receipt(rejection: RequestRejection) -> Self {
        Self { is_receipt: true, ..rejection.into() }
    }

    /// A receipt that refuses.
    pub(super) fn of_receipt(error: ReceiptError) -> Self {
        Self { number: BAD_REQUEST, error, is_receipt: true }
    }

    fn passing(message: String) -> Self {
        let error = ReceiptError::new(UNAVAILABLE_CODE, message);
        Self { number: UNAVAILABLE, error, is_receipt: false }
    }

    /// Answers `request`, and has the service count an error.
    pub(super) async fn answer(self, client: &Client, mut request: Request) -> Result<(), PublishError> {
        let Some(place) = request.message.reply.take() else { return Ok(()) };
        // The library counts an error only when it answers itself, and then without a body. Without a subject it
        // counts, and its own answer goes nowhere.
        request.message.reply = Some(Subject::from_static(""));
        let counted = CountedError { status: self.error.code.clone(), code: self.number.into() };
        let _nowhere = request.respond(Err(counted)).await;
        let (body, headers) = self.written();
        client.publish_with_headers(place, headers, body).await
    }

    /// The error as a payload, and as the headers of NATS micro (ADR-32).
    fn written(self) -> (Bytes, HeaderMap) {
        let mut headers = HeaderMap::new();
        headers.insert(subjects::HEADER_SERVICE_ERROR, self.error.code.as_str());
        headers.insert(subjects::HEADER_SERVICE_ERROR_CODE, self.number.to_string());
        let body = if self.is_receipt {
            serde_json::to_vec(&Receipt::Refused { scheduled: false, error: self.error })
        } else {
            serde_json::to_vec(&ErrorReply { error: self.error })
        };
        (body.unwrap_or_default().into(), headers)
    }
}

impl From<RequestRejection> for Refusal {
    fn from(RequestRejection { code, reason }: RequestRejection) -> Self {
        let error = ReceiptError::new(code.as_str(), reason);
        Self { number: BAD_REQUEST, error, is_receipt: false }
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::passing(chain(&error))
    }
}

impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        Self::passing(chain(&error))
    }
}
