//! The demo's own nats-server: found, started on a free port, stopped with the demo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// Where `deploy/nats-server` puts what it fetches.
const FETCHED: &str = ".tools/nats-server";
/// How long the server may take to be ready.
const START_LIMIT: Duration = Duration::from_secs(10);
/// What the server says when it takes connections, before their address.
const LISTENING: &str = "Listening for client connections on ";
/// What it says when everything else is ready, too.
const READY: &str = "Server is ready";

/// A nats-server that could not be found or started.
#[derive(Debug, thiserror::Error)]
pub(super) enum NatsServerError {
    /// There is none.
    #[error(
        "no nats-server found: run `deploy/nats-server`, which fetches one, or set NATS_SERVER to its path"
    )]
    NotFound,
    /// It does not run.
    #[error("{} cannot be started", .0.display())]
    Start(PathBuf, #[source] std::io::Error),
    /// It ran, but did not get ready.
    #[error("{} did not get ready within {} s; its last words: {last}", .program.display(), START_LIMIT.as_secs())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// The last line of its log.
        last: String,
    },
}

/// A server's process; it ends at the latest when this is dropped.
pub(super) struct NatsServer {
    program: PathBuf,
    child: Child,
}

impl NatsServer {
    /// Starts a server whose streams are kept in `folder`. It is a process group of its own: a Ctrl-C at the terminal
    /// must not take it away from the worker that is about to stop.
    pub(super) fn start(given: Option<PathBuf>, folder: &Path) -> Result<Self, NatsServerError> {
        let program = find(given).ok_or(NatsServerError::NotFound)?;
        let child = Command::new(&program)
            .args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| NatsServerError::Start(program.clone(), error))?;
        Ok(Self { program, child })
    }

    /// Waits until it is ready; the URL of where it takes connections.
    pub(super) async fn ready(&mut self) -> Result<String, NatsServerError> {
        let mut last = String::new();
        let lines = self.child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        let ready = async { until_ready(lines?, &mut last).await };
        match tokio::time::timeout(START_LIMIT, ready).await {
            Ok(Some(address)) => Ok(format!("nats://{address}")),
            _ => Err(NatsServerError::NotReady { program: self.program.clone(), last }),
        }
    }

    /// Kills it, and waits until it is gone.
    pub(super) async fn kill(mut self) -> std::io::Result<()> {
        self.child.kill().await
    }
}

/// The address that the server listens on. Its log is read on to the end, so that it never blocks on a full pipe.
async fn until_ready(mut lines: Lines<BufReader<ChildStderr>>, last: &mut String) -> Option<String> {
    let mut address = None;
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, found)) = line.split_once(LISTENING) {
            address = Some(found.trim().to_owned());
        }
        if line.contains(READY) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return address;
        }
        *last = line;
    }
    None
}

fn find(given: Option<PathBuf>) -> Option<PathBuf> {
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file())
    };
    let fetched = || Some(PathBuf::from(FETCHED)).filter(|file| file.is_file());
    given.or_else(fetched).or_else(on_path)
}
