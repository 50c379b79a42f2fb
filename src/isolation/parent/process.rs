//! One process of a run: how it is started, heard, told things and ended.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::task::AbortOnDropHandle;

use crate::isolation::frames::{FrameError, FromChild, MOST_FRAME_BYTES, ToChild, decode, encode};
use crate::text::cut;

/// Variables that a process gets where the worker has them: where certificates are that are trusted (read by rustls).
const PASSED_ON: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// How a process calls itself, whatever file it is started from.
const NAME: &str = "scenario-worker";
/// Messages that wait for a process to read them; one that leaves more unread does not do its work.
const MOST_UNREAD: usize = 64;
/// How much of what a process writes to its standard error is kept, in bytes: the end of it, where the reason is.
const KEPT_OUTPUT: usize = 8 * 1024;
/// What is read of it at once, in bytes.
const OUTPUT_CHUNK: usize = 4 * 1024;
/// How long the rest of its output may take once the process has ended: nobody else should hold the pipe.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);
/// The most of an error about a message, in bytes: it may repeat what the process said.
const MOST_COMPLAINT: usize = 256;

/// How processes are started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// Starts this very program, also if its file was replaced since (Linux: `/proc/self/exe` is what runs).
    #[must_use]
    pub fn of_this_program(memory_bytes: u64) -> Self {
        let itself = PathBuf::from("/proc/self/exe");
        let program = if itself.exists() { itself } else { std::env::current_exe().unwrap_or(itself) };
        let arguments = ["execute-run".to_owned(), format!("--memory-bytes={memory_bytes}")];
        Self { program, arguments: arguments.map(OsString::from).into() }
    }
}

/// A process cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    /// It said something that is no message.
    #[error("it sent what is no message: {0}")]
    Garbage(String),
    /// It does not read what it is told.
    #[error("it does not read what it is told")]
    Deaf,
    /// Something cannot be told.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A process that plays a run. It is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    heard: FramedRead<ChildStdout, LengthDelimitedCodec>,
    told: mpsc::Sender<Bytes>,
    /// Writes what is told; without it the process's input is closed.
    writer: AbortOnDropHandle<()>,
    output: JoinHandle<Vec<u8>>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Death {
    /// Its status; `None` if the system does not say.
    pub(super) status: Option<ExitStatus>,
    /// The end of what it wrote to its standard error.
    pub(super) output: String,
}

impl Launcher {
    /// Starts a process with nothing in its environment. It has a process group of its own, so that a Ctrl-C in a terminal
    /// reaches the worker only.
    pub(super) fn start(&self) -> std::io::Result<Process> {
        let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(&self.program);
        command.arg0(NAME).args(&self.arguments).env_clear().envs(passed_on).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || std::io::Error::other("a pipe of the process is missing");
        let (told, unread) = mpsc::channel(MOST_UNREAD);
        let input = child.stdin.take().ok_or_else(missing)?;
        let heard = FramedRead::new(child.stdout.take().ok_or_else(missing)?, codec());
        let output = tokio::spawn(last_of(child.stderr.take().ok_or_else(missing)?));
        let writer = AbortOnDropHandle::new(tokio::spawn(write_all(input, unread)));
        Ok(Process { child, heard, told, writer, output })
    }
}

impl Process {
    /// The next thing that it says; `None` once it says nothing any more. It may be dropped and called again.
    pub(super) async fn hear(&mut self) -> Option<Result<FromChild, ProcessError>> {
        let complaint =
            |error: &dyn std::fmt::Display| ProcessError::Garbage(cut(&error.to_string(), MOST_COMPLAINT));
        let bytes = match self.heard.next().await? {
            Ok(bytes) => bytes,
            // Half a message and then nothing: whoever dies in the middle of a word has died, and said no nonsense.
            Err(error) if error.kind() == std::io::ErrorKind::Other => return None,
            Err(error) => return Some(Err(complaint(&error))),
        };
        Some(decode(&bytes).map_err(|error| complaint(&error)))
    }

    /// Tells it something, without waiting until it listens.
    pub(super) fn tell(&self, frame: &ToChild) -> Result<(), ProcessError> {
        let bytes = Bytes::from(encode(frame)?);
        match self.told.try_send(bytes) {
            // Whoever has no ears any more is about to be heard of.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ProcessError::Deaf),
        }
    }

    /// Waits until it has ended by itself for `grace`, or makes it end.
    pub(super) async fn ended(mut self, grace: Duration) -> Death {
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            return self.end(grace).await;
        }
        self.death().await
    }

    /// Makes it end: its input is closed and it gets SIGTERM; after `grace` it gets SIGKILL.
    pub(super) async fn end(mut self, grace: Duration) -> Death {
        self.writer.abort();
        self.signal(Signal::TERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            tracing::debug!(process = self.child.id(), "a process that does not end is killed");
            self.signal(Signal::KILL);
            if let Err(error) = self.child.wait().await {
                tracing::warn!(%error, "a process of a run cannot be waited for");
            }
        }
        self.death().await
    }

    /// Signals it and whatever it started: they are a group. It may have ended by itself just now.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(group, signal);
        }
    }

    async fn death(mut self) -> Death {
        let status = self.child.try_wait().ok().flatten();
        let output = tokio::time::timeout(OUTPUT_PATIENCE, &mut self.output).await;
        self.output.abort();
        let mut output = output.ok().and_then(Result::ok).unwrap_or_default();
        // Half a line may begin with half a credential, which nobody would recognise.
        if output.len() == KEPT_OUTPUT {
            let line = output.iter().position(|byte| *byte == b'\n').unwrap_or(output.len());
            output.drain(..line);
        }
        Death { status, output: String::from_utf8_lossy(&output).into_owned() }
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MOST_FRAME_BYTES).new_codec()
}

async fn write_all(input: ChildStdin, mut unread: mpsc::Receiver<Bytes>) {
    let mut input = FramedWrite::new(input, codec());
    while let Some(bytes) = unread.recv().await {
        if let Err(error) = input.send(bytes).await {
            tracing::debug!(%error, "a process of a run listens no more");
            return;
        }
    }
}

/// The end of what is written there. All of it is read, so that a process never waits for a reader.
async fn last_of(mut output: ChildStderr) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::new(), [0; OUTPUT_CHUNK]);
    while let Ok(read @ 1..) = output.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        kept.drain(..kept.len().saturating_sub(KEPT_OUTPUT));
    }
    kept
}
