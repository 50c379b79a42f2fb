//! The pipe as the process has it. Two threads read and write, so that it works however busy the run is.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::execution::signals::StopSignal;
use crate::isolation::frames::{
    Answer, Call, FrameError, FromChild, MOST_FRAME_BYTES, Refusal, ToChild, VERSION, decode, encode,
};
use crate::isolation::plan::Plan;

/// Exit code of a process whose worker is gone.
const WORKER_GONE: i32 = 3;

/// There is no plan to play.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody sends one.
    #[error("a worker starts `execute-run` and sends it a run on the standard input; reading that failed")]
    Read(#[from] std::io::Error),
    /// What is sent is no plan.
    #[error("the run on the standard input cannot be read: {0}")]
    NoPlan(String),
    /// It is of another version of this program.
    #[error(
        "the run on the standard input is written in version {found} of the pipe; this program knows {VERSION}"
    )]
    Version {
        /// Which one.
        found: u32,
    },
}

/// The pipe to the worker. Clones are the same pipe.
#[derive(Clone)]
pub struct Line(Arc<Shared>);

struct Shared {
    written: mpsc::Sender<Option<Vec<u8>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    stop: StopSignal,
    hurry: CancellationToken,
    received: UnboundedSender<(u64, String)>,
    /// Taken by whoever listens to what the run's target sends.
    receiving: Mutex<Option<UnboundedReceiver<(u64, String)>>>,
}

impl Line {
    /// Reads the plan from the standard input and goes on listening there.
    pub(super) fn open() -> Result<(Plan, Self), OpenError> {
        let mut input = std::io::stdin().lock();
        let first = read(&mut input)?;
        drop(input);
        let line = Self::new();
        match decode(&first) {
            Ok(ToChild::Plan(plan)) => {
                let listening = line.clone();
                std::thread::spawn(move || listening.listen());
                Ok((*plan, line))
            }
            Ok(_) => Err(line.refuse("the first message is not the run")),
            Err(error) => Err(line.refuse(&error.to_string())),
        }
    }

    fn new() -> Self {
        let (written, unwritten) = mpsc::channel();
        let writer = std::thread::spawn(move || write_all(&unwritten));
        let (waiting, stop, hurry) = Default::default();
        let (writer, last) = (Mutex::new(Some(writer)), AtomicU64::new(0));
        // The worker sends no more than a few at a time before it is told what became of them.
        let (received, receiving) = unbounded_channel();
        let receiving = Mutex::new(Some(receiving));
        Self(Arc::new(Shared { written, writer, last, waiting, stop, hurry, received, receiving }))
    }

    fn refuse(&self, reason: &str) -> OpenError {
        let error = OpenError::NoPlan(reason.to_owned());
        self.close(&FromChild::Refused { reason: error.to_string() });
        error
    }

    /// Tells the run to stop when the worker says so.
    #[must_use]
    pub fn stop(&self) -> &StopSignal {
        &self.0.stop
    }

    /// Fires when the worker has no time left.
    #[must_use]
    pub fn hurry(&self) -> CancellationToken {
        self.0.hurry.clone()
    }

    /// Where spans come in that the run's target sends, with their numbers; `None` if somebody listens already.
    pub(super) fn received(&self) -> Option<UnboundedReceiver<(u64, String)>> {
        self.0.receiving.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the worker for something, and waits for its answer.
    pub(super) async fn ask(&self, call: Call) -> Answer {
        let (_, answer) = self.begin(call);
        // Nobody drops the other end unanswered: a worker that is gone ends the process.
        answer.await.unwrap_or_else(|_| Answer::Refused(Refusal::LeaseLost("the worker is gone".to_owned())))
    }

    /// Asks the worker for something: the number of the call, and where its answer comes.
    pub(super) fn begin(&self, call: Call) -> (u64, oneshot::Receiver<Answer>) {
        let id = self.0.last.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        match encode(&FromChild::Call { id, call }) {
            Ok(bytes) => {
                self.waiting().insert(id, answered);
                self.write(Some(bytes));
            }
            // Whoever asks holds the other end.
            Err(error) => drop(answered.send(Answer::Refused(unsendable(&error)))),
        }
        (id, answer)
    }

    /// Nobody waits for the answer of a call any more.
    pub(super) fn forget(&self, call: u64) {
        self.waiting().remove(&call);
    }

    /// Says something that nobody answers.
    pub(super) fn say(&self, frame: &FromChild) {
        if let Ok(bytes) = encode(frame) {
            self.write(Some(bytes));
        }
    }

    /// Says the last word and waits until it is written.
    pub(super) fn close(&self, frame: &FromChild) {
        self.say(frame);
        self.write(None);
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A writer that panicked has written what it could.
        drop(writer.map(JoinHandle::join));
    }

    fn write(&self, bytes: Option<Vec<u8>>) {
        // Nobody writes any more behind the last word.
        drop(self.0.written.send(bytes));
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears the worker until it is gone, and then ends the process, whatever it does: another worker goes on with the run.
    fn listen(&self) {
        let mut input = std::io::stdin().lock();
        while let Ok(Ok(frame)) = read(&mut input).map(|bytes| decode(&bytes)) {
            self.heard(frame);
        }
        std::process::exit(WORKER_GONE);
    }

    fn heard(&self, frame: ToChild) {
        match frame {
            ToChild::Answer { call, answer } => {
                if let Some(waiting) = self.waiting().remove(&call) {
                    // Whoever asked may not wait any more.
                    drop(waiting.send(answer));
                }
            }
            ToChild::Stop(reason) => self.0.stop.stop(reason),
            ToChild::Hurry => self.0.hurry.cancel(),
            // Nobody listens in a run that takes none.
            ToChild::Received { number, spans } => drop(self.0.received.send((number, spans))),
            ToChild::Plan(_) => {}
        }
    }
}

fn unsendable(error: &FrameError) -> Refusal {
    match error {
        FrameError::TooLarge(bytes) => Refusal::TooLarge(*bytes),
        FrameError::Json(error) => {
            Refusal::Unavailable { attempted: "asking the worker".to_owned(), cause: error.to_string() }
        }
    }
}

fn read(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; size_of::<u32>()];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MOST_FRAME_BYTES {
        let problem = format!("a message of {length} bytes is announced; {MOST_FRAME_BYTES} is the most");
        return Err(std::io::Error::new(ErrorKind::InvalidData, problem));
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes up to the last word. A worker that does not read any more is gone.
fn write_all(unwritten: &mpsc::Receiver<Option<Vec<u8>>>) {
    let mut output = std::io::stdout().lock();
    while let Ok(Some(bytes)) = unwritten.recv() {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let written = output.write_all(&length).and_then(|()| output.write_all(&bytes));
        if written.and_then(|()| output.flush()).is_err() {
            std::process::exit(WORKER_GONE);
        }
    }
}
