//! Spans that the target of a run sends, on their way to the run's process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{mpsc, oneshot};

use crate::isolation::frames::ToChild;
use crate::telemetry::ingress::{Bundle, Reception, Recipient, Refusal};

/// Bundles that a process is given before it says what became of the first of them.
const MOST_UNANSWERED: usize = 4;
/// Bundles that wait for that.
const MOST_WAITING: usize = 4;
/// How long whoever sends spans waits for the process.
const PATIENCE: Duration = Duration::from_secs(3);

/// A bundle, and who is told what became of it.
type Handover = (Arc<Bundle>, oneshot::Sender<Option<Reception>>);

/// Takes spans for a run that has a process.
pub(super) struct Doorstep(mpsc::Sender<Handover>);

/// The spans that wait there, and those of which the process has not said yet what became of them.
pub(super) struct Handovers {
    waiting: mpsc::Receiver<Handover>,
    unanswered: HashMap<u64, oneshot::Sender<Option<Reception>>>,
    last: u64,
}

/// Both ends.
pub(super) fn doorstep() -> (Doorstep, Handovers) {
    let (sender, waiting) = mpsc::channel(MOST_WAITING);
    (Doorstep(sender), Handovers { waiting, unanswered: HashMap::new(), last: 0 })
}

#[async_trait]
impl Recipient for Doorstep {
    async fn receive(&self, bundle: Arc<Bundle>) -> Option<Reception> {
        let spans = bundle.spans();
        let (told, said) = oneshot::channel();
        let handing_over = async {
            self.0.send((bundle, told)).await.ok()?;
            said.await.ok()?
        };
        let late = |_| Some(Reception::refusal(Refusal::Busy, spans));
        tokio::time::timeout(PATIENCE, handing_over).await.unwrap_or_else(late)
    }
}

impl Handovers {
    /// The next spans for the process; for ever nothing while it has not said what became of others. It may be dropped and
    /// called again.
    pub(super) async fn next(&mut self) -> ToChild {
        loop {
            if self.unanswered.len() >= MOST_UNANSWERED {
                return std::future::pending().await;
            }
            let Some((bundle, told)) = self.waiting.recv().await else { return std::future::pending().await };
            if told.is_closed() {
                continue;
            }
            self.last += 1;
            self.unanswered.insert(self.last, told);
            return ToChild::Received { number: self.last, spans: STANDARD.encode(bundle.encode()) };
        }
    }

    /// The process said what became of some.
    pub(super) fn took(&mut self, number: u64, reception: Option<Reception>) {
        if let Some(told) = self.unanswered.remove(&number) {
            // Whoever asked may not wait any more.
            drop(told.send(reception));
        }
    }
}
