//! Who is told of the runs of a project.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::events::ProjectId;
use crate::execution::failure::Unavailable;
use crate::execution::ports::ProjectRepository;
use crate::telemetry::export::{Destination, InvalidDestination};

/// How long a project's definition is good for: every event of every project asks for it.
const GOOD_FOR: Duration = Duration::from_secs(3);
/// Projects that are remembered before those that are out of date are forgotten.
const MANY: usize = 1_024;

/// Where a project's platform is, or why it cannot be called. Each project has its own, with its own key.
pub(super) type Platform = Arc<Result<Destination, InvalidDestination>>;

/// Looks projects up, and remembers them for a moment.
pub(super) struct Platforms {
    projects: Arc<dyn ProjectRepository>,
    known: Mutex<HashMap<ProjectId, Looked>>,
}

/// What was found when a project was looked up.
#[derive(Clone)]
struct Looked {
    good_until: Instant,
    platform: Option<Platform>,
}

impl Platforms {
    pub(super) fn new(projects: Arc<dyn ProjectRepository>) -> Self {
        Self { projects, known: Mutex::default() }
    }

    /// Who is told of the runs of `project`, if anybody is.
    ///
    /// # Errors
    /// [`Unavailable`] if the store does not answer.
    pub(super) async fn of(&self, project: &ProjectId) -> Result<Option<Platform>, Unavailable> {
        if let Some(Looked { platform, .. }) = self.known(project) {
            return Ok(platform);
        }
        let definition = self.projects.project(project).await?;
        let platform = definition.and_then(|project| project.telemetry?.platform());
        let platform = platform.map(|platform| Arc::new(Destination::of_events(&platform)));
        self.remember(project, platform.clone());
        Ok(platform)
    }

    fn known(&self, project: &ProjectId) -> Option<Looked> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(project).filter(|looked| looked.good_until > Instant::now()).cloned()
    }

    fn remember(&self, project: &ProjectId, platform: Option<Platform>) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            known.retain(|_, looked| looked.good_until > now);
        }
        known.insert(project.clone(), Looked { good_until: now + GOOD_FOR, platform });
    }
}
