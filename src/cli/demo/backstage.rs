//! What has to be gone when the demo is over, however it ends: the worker, the broker's process, the folder.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::nats_server::NatsServer;
use crate::cli::error::CliError;
use crate::settings::Settings;

/// File of the demo's store.
const STORE_FILE: &str = "demo.db";
/// How long runs may go on once the demo ends. Nobody waits for those that an interruption finds unfinished.
const DRAIN_SECONDS: u64 = 1;
/// How long a worker that is interrupted may take to put its runs down.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The demo's folder, broker and worker.
pub(super) struct Backstage {
    folder: TempDir,
    nats: NatsServer,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Backstage {
    /// Makes the folder and starts the broker; nothing is waited for, so that nothing can be left half open.
    pub(super) fn open(nats_server: Option<PathBuf>) -> Result<Self, CliError> {
        let folder = tempfile::tempdir()
            .map_err(|error| CliError::refused(format!("no temporary folder can be made: {error}")))?;
        let nats =
            NatsServer::start(nats_server, folder.path()).map_err(|error| CliError::out_of_reach(&error))?;
        Ok(Self { folder, nats, tasks: TaskTracker::new(), stop: CancellationToken::new() })
    }

    /// Where everything is, once the broker is ready.
    pub(super) async fn settings(&mut self) -> Result<Settings, CliError> {
        let mut settings = Settings::default();
        settings.nats.url = self.nats.ready().await.map_err(|error| CliError::out_of_reach(&error))?;
        settings.store.url = format!("sqlite://{}", self.folder.path().join(STORE_FILE).display());
        settings.worker.drain_seconds = DRAIN_SECONDS;
        Ok(settings)
    }

    /// Runs a worker that stops with the demo, or when the token fires.
    pub(super) fn run<F>(
        &self,
        worker: impl FnOnce(CancellationToken) -> F,
    ) -> (JoinHandle<F::Output>, CancellationToken)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        (self.tasks.spawn(worker(self.stop.clone())), self.stop.clone())
    }

    /// Stops the worker, then the broker, then removes the folder.
    pub(super) async fn clear(self) -> Result<(), CliError> {
        self.stop.cancel();
        self.tasks.close();
        // A worker that takes longer loses its broker, which is no loss: nothing of it is kept.
        let _ = tokio::time::timeout(STOP_LIMIT, self.tasks.wait()).await;
        let failed = |what: &str, error| CliError::refused(format!("{what}: {error}"));
        self.nats.kill().await.map_err(|error| failed("the demo's nats-server cannot be stopped", error))?;
        let path = self.folder.path().display().to_string();
        self.folder
            .close()
            .map_err(|error| failed(&format!("the demo's folder {path} cannot be removed"), error))
    }
}
