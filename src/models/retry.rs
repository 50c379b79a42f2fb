//! When a call is tried again, and how long it waits before.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::StatusCode;

use super::transport::CallError;

/// How often a call is tried in all.
const MAX_TRIES: usize = 3;

/// The wait before the second try, to which up to as much again is added at random.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The longest wait that the provider did not ask for, the random part aside.
const MAX_DELAY: Duration = Duration::from_secs(8);

/// The longest wait that a provider is granted by its `Retry-After`: limits are mostly per minute.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Tries `call` until it succeeds, fails for good, or was tried often enough. Says how often it was tried.
pub(super) async fn with_retries<T, F>(call: impl Fn() -> F) -> (Result<T, CallError>, usize)
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut tries = 0;
    let counted = || {
        tries += 1;
        call()
    };
    let result = counted.retry(backoff()).when(CallError::is_transient).adjust(CallError::wait).await;
    (result, tries)
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_max_times(MAX_TRIES - 1)
        .with_jitter()
}

impl CallError {
    /// Whether another try may succeed.
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => is_transient(*status),
            Self::NoConnection(_)
            | Self::Broken(_)
            | Self::TimedOut(_)
            | Self::BrokeOff
            | Self::Silent(_)
            | Self::GaveUp(_) => true,
            _ => false,
        }
    }

    /// The wait before the next try: never less than planned, and as the provider asks within bounds.
    fn wait(&self, planned: Option<Duration>) -> Option<Duration> {
        let asked = match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        planned.map(|planned| planned.max(asked.min(MAX_RETRY_AFTER)))
    }
}

fn is_transient(status: StatusCode) -> bool {
    let transient = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED) || transient.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<Duration>) -> CallError {
        let status = StatusCode::from_u16(status).unwrap();
        CallError::Refused { status, words: String::new(), retry_after, answer: None }
    }

    #[test]
    fn the_wait_honours_the_provider_within_bounds() {
        let planned = Some(Duration::from_secs(1));
        assert_eq!(refused(429, Some(Duration::from_secs(5))).wait(planned), Some(Duration::from_secs(5)));
        assert_eq!(refused(429, Some(Duration::ZERO)).wait(planned), planned);
        assert_eq!(refused(429, Some(Duration::from_hours(24))).wait(planned), Some(MAX_RETRY_AFTER));
        assert_eq!(refused(429, Some(Duration::from_secs(5))).wait(None), None, "the tries are used up");
        assert_eq!(refused(503, None).wait(planned), planned);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(refused(status, None).is_transient(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 413, 422, 501] {
            assert!(!refused(status, None).is_transient(), "{status}");
        }
        assert!(!CallError::TooLarge(1).is_transient());
        assert!(CallError::BrokeOff.is_transient(), "half an answer is none");
    }
}
