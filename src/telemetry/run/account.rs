//! What became of one run's spans on this worker, and why.

use tokio::time::Instant;

use crate::events::{DeliveryFailure, DeliveryFailureKind, MAX_DELIVERY_FAILURES};
use crate::execution::types::SpanCounts;
use crate::telemetry::export::ExportError;

/// Counts and reasons. Every span that is not there has a reason.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) exported: u64,
    pub(super) rejected: u64,
    pub(super) spooled: u64,
    /// Time ran out while they were being kept for later: nobody knows whether they are.
    pub(super) in_doubt: u64,
    /// Why the last attempt failed. It is the reason of whatever is left when there are no more attempts.
    last: Option<DeliveryFailure>,
    failures: Vec<DeliveryFailure>,
    pub(super) paused_until: Option<Instant>,
}

/// What became of the spans in the end.
pub(super) struct Delivered {
    pub(super) counts: SpanCounts,
    pub(super) failures: Vec<DeliveryFailure>,
}

impl Account {
    /// Remembers why an attempt failed; true if it is the first that did.
    pub(super) fn attempt_failed(&mut self, error: &ExportError) -> bool {
        self.last.replace(reason(error)).is_none()
    }

    /// An attempt was cut off for a reason that is not the endpoint's; what that said before says more.
    pub(super) fn cut_off(&mut self, failure: DeliveryFailure) {
        self.last.get_or_insert(failure);
    }

    /// `spans` spans are not there because of `failure`.
    pub(super) fn blame(&mut self, failure: DeliveryFailure, spans: u64) {
        if spans == 0 {
            return;
        }
        let is_full = self.failures.len() == MAX_DELIVERY_FAILURES;
        let same = self.failures.iter_mut().find(|f| (f.kind, f.status) == (failure.kind, failure.status));
        match same {
            Some(same) => *same = DeliveryFailure { spans: same.spans + spans, ..failure },
            None if is_full => {
                self.failures.iter_mut().last().into_iter().for_each(|last| last.spans += spans);
            }
            None => self.failures.push(DeliveryFailure { spans, ..failure }),
        }
    }

    /// `spans` spans are left, and there are no more attempts.
    pub(super) fn blame_last(&mut self, spans: u64) {
        let last = self.last.clone().unwrap_or_else(|| {
            failure(DeliveryFailureKind::Deadline, "no time was left to send the spans".to_owned())
        });
        self.blame(last, spans);
    }

    /// The end of the account. Whatever nobody has taken is undelivered, unless that is in doubt.
    pub(super) fn close(&mut self, made: u64) -> Delivered {
        let &mut Self { exported, rejected, spooled, in_doubt, .. } = self;
        let undelivered = made.saturating_sub(exported + rejected + spooled + in_doubt);
        let (failures, received) = (std::mem::take(&mut self.failures), 0);
        Delivered {
            counts: SpanCounts { made, received, exported, rejected, spooled, undelivered },
            failures,
        }
    }
}

/// What a receipt says of `error`.
pub(super) fn reason(error: &ExportError) -> DeliveryFailure {
    DeliveryFailure { status: error.status(), ..failure(error.kind(), error.describe()) }
}

/// A reason that is not the endpoint's.
pub(super) fn failure(kind: DeliveryFailureKind, message: String) -> DeliveryFailure {
    DeliveryFailure { kind, status: None, message, spans: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> DeliveryFailure {
        DeliveryFailure { status: Some(status), ..failure(DeliveryFailureKind::Status, format!("{status}")) }
    }

    #[test]
    fn one_reason_is_told_once_with_all_its_spans_and_the_list_ends() {
        let mut account = Account::default();
        for given in [401, 401, 402] {
            account.blame(status(given), 2);
        }
        account.blame(status(500), 0);
        for given in 600..620 {
            account.blame(status(given), 1);
        }
        let Delivered { counts, failures } = account.close(30);
        assert_eq!((failures[0].spans, failures[1].spans), (4, 2));
        assert_eq!(failures.len(), MAX_DELIVERY_FAILURES);
        assert_eq!(failures.iter().map(|f| f.spans).sum::<u64>(), 26);
        assert_eq!(counts.undelivered, 30);
    }

    #[test]
    fn what_the_endpoint_said_is_the_reason_and_not_that_time_ran_out_later() {
        let mut account = Account::default();
        let error =
            ExportError::Status { url: "u".into(), status: 503, body: String::new(), retry_after: None };
        assert!(account.attempt_failed(&error));
        account.cut_off(failure(DeliveryFailureKind::WorkerStops, "stopped".into()));
        account.blame_last(3);
        assert_eq!(account.close(3).failures[0].status, Some(503));
        let mut account = Account::default();
        account.blame_last(1);
        assert_eq!(account.close(1).failures[0].kind, DeliveryFailureKind::Deadline);
    }
}
