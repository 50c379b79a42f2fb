//! Telling a platform of one run, as far as it goes.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::doors::Door;
use super::platforms::Platform;
use super::{BUSY_PAUSE, Next, SinkParts, ids};
use crate::events::{DeadLetterCode, RunKey};
use crate::execution::failure::Unavailable;
use crate::queue::{Bookmark, SinkLogError};
use crate::telemetry::metrics::SinkResult;
use crate::telemetry::sink::{Body, NotTaken, Post, Progress, Remedy, Story};
use crate::text::chain;

/// How many requests may take as long as they can before no other is begun: each has to end while the run is this worker's.
const LAST_POST: u32 = 2;
/// Something is given up when it has been there for this part of the time that outcomes are kept, at the latest: what has
/// expired could not even become a dead letter.
const KEPT_PART: f64 = 0.9;

/// The telling of one run by whoever has the right to it.
pub(super) struct Telling<'a> {
    parts: &'a SinkParts,
    platform: &'a Platform,
    door: &'a Door,
    run: &'a RunKey,
    deliveries: u64,
    until: Instant,
}

/// Why the telling stops before its end.
enum Stop {
    Later(Duration),
    Unavailable(Unavailable),
}

impl From<Unavailable> for Stop {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl From<SinkLogError> for Stop {
    fn from(error: SinkLogError) -> Self {
        match error {
            SinkLogError::Overtaken => Self::Later(BUSY_PAUSE),
            SinkLogError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl<'a> Telling<'a> {
    pub(super) fn new(
        parts: &'a SinkParts,
        platform: &'a Platform,
        door: &'a Door,
        run: &'a RunKey,
        deliveries: u64,
    ) -> Self {
        let until = Instant::now() + parts.settings.timeout() * LAST_POST;
        Self { parts, platform, door, run, deliveries, until }
    }

    /// Tells everything that is there and is not told yet.
    pub(super) async fn tell(&self) -> Result<Next, Unavailable> {
        match self.tell_all().await {
            Ok(()) => Ok(Next::Done),
            Err(Stop::Later(pause)) => Ok(Next::Later(pause)),
            Err(Stop::Unavailable(error)) => Err(error),
        }
    }

    async fn tell_all(&self) -> Result<(), Stop> {
        let (mut bookmark, mut story) = (self.parts.log.bookmark(self.run).await?, Story::default());
        loop {
            let read = story.through();
            self.parts.log.read_on(self.run, &mut story).await?;
            if story.through() == read {
                return Ok(());
            }
            self.name(&mut story, &bookmark.progress).await?;
            while let Some(post) = story.next(&bookmark.progress) {
                let progress = self.settle(&story, &post, bookmark.progress).await?;
                bookmark = self.mark(bookmark, progress).await?;
            }
        }
    }

    /// A run that never came to be played has no event that says what its scenario is called.
    async fn name(&self, story: &mut Story, progress: &Progress) -> Result<(), Unavailable> {
        if !story.has_no_beginning() || progress.started || progress.over {
            return Ok(());
        }
        let Some(id) = story.scenario().cloned() else { return Ok(()) };
        if let Some(scenario) = self.parts.scenarios.scenario(&self.run.project, &id).await? {
            story.call(scenario.name);
        }
        Ok(())
    }

    async fn mark(&self, bookmark: Bookmark, progress: Progress) -> Result<Bookmark, Stop> {
        Ok(self.parts.log.mark(self.run, bookmark, progress).await?)
    }

    /// Tells one thing, and answers the progress behind it.
    async fn settle(&self, story: &Story, post: &Post<'_>, progress: Progress) -> Result<Progress, Stop> {
        let age = age(story);
        if age > self.longest() {
            return self.give_up(story, progress).await;
        }
        if Instant::now() > self.until {
            return Err(Stop::Later(Duration::ZERO));
        }
        let Err(error) = self.post(post).await else {
            self.door.opened();
            self.count(SinkResult::Delivered);
            return Ok(progress.behind(post));
        };
        match error.remedy() {
            Remedy::Again => Err(Stop::Later(self.try_later(age, &error))),
            Remedy::Never => self.refuse(post, &error).await.map(|()| progress.behind(post)),
            Remedy::NothingOfTheRun => self.refuse(post, &error).await.map(|()| progress.unwanted()),
        }
    }

    async fn post(&self, post: &Post<'_>) -> Result<(), NotTaken> {
        let destination =
            self.platform.as_ref().as_ref().map_err(|error| NotTaken::Invalid(error.clone()))?;
        self.parts.sender.post(destination, post).await
    }

    fn longest(&self) -> Duration {
        self.parts.settings.retention().min(self.parts.outcomes_kept.mul_f64(KEPT_PART))
    }

    fn try_later(&self, age: Duration, error: &NotTaken) -> Duration {
        let pause = self.door.failed(age, error.retry_after());
        self.count(SinkResult::Retried);
        let (project, run) = ids(self.run);
        tracing::info!(
            project, run, status = error.status(), error = %chain(error), pause_seconds = pause.as_secs(),
            "the platform did not take what a run says; it is told again"
        );
        pause
    }

    /// The platform answered, so it is well.
    async fn refuse(&self, post: &Post<'_>, error: &NotTaken) -> Result<(), Stop> {
        self.door.opened();
        let what = what(post.body);
        let rest = match error.remedy() {
            Remedy::NothingOfTheRun => ", and will not be told more of the run",
            Remedy::Again | Remedy::Never => "",
        };
        let reason = format!("the platform refuses {what} of the run{rest}: {}", chain(error));
        self.bury(post.source, DeadLetterCode::SinkRefused, reason).await?;
        self.count(SinkResult::Refused);
        Ok(())
    }

    /// One letter for all of it: the newest event, which is the outcome where there is one.
    async fn give_up(&self, story: &Story, progress: Progress) -> Result<Progress, Stop> {
        let seconds = self.longest().as_secs();
        let reason = format!("the platform did not take what the run said for {seconds} s, up to this event");
        if let Some(newest) = story.newest() {
            self.bury(newest.sequence, DeadLetterCode::SinkExpired, reason).await?;
        }
        self.count(SinkResult::Expired);
        Ok(progress.without(story))
    }

    async fn bury(&self, sequence: u64, code: DeadLetterCode, reason: String) -> Result<(), Unavailable> {
        let (project, run) = ids(self.run);
        tracing::warn!(project, run, event = sequence, code = code.as_str(), reason, "dead letter");
        self.parts.log.bury(sequence, code, reason, self.deliveries).await
    }

    fn count(&self, result: SinkResult) {
        self.parts.metrics.sink_post(result);
    }
}

/// How long ago the run said something for the last time.
fn age(story: &Story) -> Duration {
    let newest = story.newest().map(|entry| OffsetDateTime::now_utc() - entry.stored_at);
    newest.and_then(|age| age.try_into().ok()).unwrap_or_default()
}

fn what(body: Body<'_>) -> &'static str {
    match body {
        Body::Started(_) | Body::Unplayed { .. } => "the beginning",
        Body::Messages => "the messages",
        Body::Finished(_) => "the end",
    }
}
