//! LangWatch is told of the runs of projects that ask for it, from the events that the stream has.
//!
//! An event only says that there is something to tell. Whoever gets it takes the right to tell of its run, and tells whatever
//! the platform does not know yet, in its order; the other events of the run find that done. So a platform that is away keeps
//! no run waiting, loses none, and hears of each from its beginning when it is back, from whichever worker is there.

mod doors;
mod platforms;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::doors::Doors;
use self::platforms::Platforms;
use self::telling::Telling;
use crate::events::{RunKey, subjects};
use crate::execution::failure::Unavailable;
use crate::execution::ports::{ProjectRepository, ScenarioRepository};
use crate::queue::{ConsumerError, Delivery, SinkLog, spans};
use crate::settings::SinkSettings;
use crate::telemetry::metrics::{Metrics, SinkResult};
use crate::telemetry::sink::SinkSender;
use crate::text::chain;

/// Runs of which this process tells at one time.
const AT_ONCE: usize = 32;
/// The pause before it is looked again whether another worker has told of a run.
const BUSY_PAUSE: Duration = Duration::from_millis(400);
/// The pause while the broker or the store does not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(10);
/// How long something that is told may go on when the worker is told to stop; then another worker tells it.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What [`Sink`] works with.
pub struct SinkParts {
    /// What there is to tell, and what was told.
    pub log: SinkLog,
    /// Posts.
    pub sender: SinkSender,
    /// Knows who is told.
    pub projects: Arc<dyn ProjectRepository>,
    /// Knows what scenarios are called.
    pub scenarios: Arc<dyn ScenarioRepository>,
    /// How long things may take.
    pub settings: SinkSettings,
    /// The time that every outcome is kept.
    pub outcomes_kept: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// Tells platforms of runs.
#[derive(Clone)]
pub struct Sink {
    parts: Arc<SinkParts>,
    platforms: Arc<Platforms>,
    doors: Doors,
}

/// What to do with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Done,
    /// Deliver it again after a while.
    Later(Duration),
}

impl Sink {
    /// Made of its parts.
    #[must_use]
    pub fn new(parts: SinkParts) -> Self {
        let platforms = Arc::new(Platforms::new(Arc::clone(&parts.projects)));
        let doors = Doors::new(parts.settings.retry());
        Self { parts: Arc::new(parts), platforms, doors }
    }

    /// Tells until `stop` fires.
    ///
    /// # Errors
    /// [`ConsumerError`] if the stream of the events is gone. A consumer that is gone is waited for, and made anew.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let take = |notice| {
            let (this, stop) = (self.clone(), stop.clone());
            async move { this.take(notice, stop).await }
        };
        let missed = || self.parts.metrics.sink_post(SinkResult::Retried);
        self.parts.log.notices().work(AT_ONCE, stop.clone(), take, missed).await
    }

    async fn take(&self, notice: Delivery, stop: CancellationToken) {
        let next = self.next(&notice, &stop).await.unwrap_or_else(|error| {
            tracing::warn!(subject = notice.subject(), error = %chain(&error), "the platform has to wait for what a run says");
            spans::failed(notice.processing(), spans::UNAVAILABLE);
            Next::Later(OUTAGE_PAUSE)
        });
        let (sequence, work) = (notice.stream_sequence(), notice.processing().clone());
        let settled = match next {
            Next::Done => notice.ack().await,
            Next::Later(pause) => notice.nak((!pause.is_zero()).then_some(pause)).await,
        };
        if let Err(error) = settled {
            spans::failed(&work, spans::UNSETTLED);
            tracing::debug!(event = sequence, %error, "an event will be looked at again");
        }
    }

    async fn next(&self, notice: &Delivery, stop: &CancellationToken) -> Result<Next, Unavailable> {
        let Some(run) = subjects::event_run(notice.subject()) else { return Ok(Next::Done) };
        let Some(platform) = self.platforms.of(&run.project).await? else { return Ok(Next::Done) };
        if self.parts.log.bookmark(&run).await?.progress.has_told(notice.stream_sequence()) {
            return Ok(Next::Done);
        }
        let door = match self.doors.enter(&run.project) {
            Ok(door) => door,
            Err(pause) => return Ok(Next::Later(pause)),
        };
        let Some(lock) = self.parts.log.lock(&run).await? else { return Ok(Next::Later(BUSY_PAUSE)) };
        let telling = Telling::new(&self.parts, &platform, &door, &run, notice.deliveries());
        let told = unless_late(stop, Box::pin(telling.tell())).await;
        self.parts.log.unlock(lock).await;
        told.unwrap_or(Ok(Next::Later(Duration::ZERO)))
    }
}

/// What is told, unless the worker was told to stop a while ago.
async fn unless_late<T>(stop: &CancellationToken, telling: impl Future<Output = T>) -> Option<T> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        told = telling => Some(told),
        () = late => None,
    }
}

/// How runs are named in the log.
fn ids(run: &RunKey) -> (&str, &str) {
    (run.project.as_str(), run.run.as_str())
}
