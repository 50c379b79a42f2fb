//! What the worker does for the process of a run, and only for that run: ids are the worker's own, whatever the process says.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::events::{CassetteMode, RunId, RunRequest, RunStarted};
use crate::execution::cassette::{CallCounts, CassetteKey, CassetteLibrary, Exchange, Place, Recording};
use crate::execution::failure::Unavailable;
use crate::execution::orchestrator::RunContext;
use crate::execution::ports::{JournalError, RunJournal, TraceNote};
use crate::execution::types::{Conversation, Session};
use crate::isolation::frames::{Answer, Call, Entry, LateSpans, PermitCall, Refusal};
use crate::telemetry::export::Packed;
use crate::telemetry::spool::{NotKept, Parcel, SpanSpool};

/// Digits of a trace id.
const TRACE_ID_DIGITS: usize = 32;
const NO_TRACE_ID: Violation = Violation("a trace id is not 32 hexadecimal digits");

/// A process asked for what it may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Violation(pub(super) &'static str);

/// What a call is about.
pub(super) enum Work<'a> {
    /// The run's state: one at a time, and a later one counts instead of one that is not done yet.
    Journal(BoxFuture<'a, Result<(), JournalError>>),
    /// Its cassette, or its late spans.
    Call(BoxFuture<'a, Result<Answer, Unavailable>>),
    /// The turn of one of its calls.
    Permit(PermitCall),
}

/// The worker's desk for one run.
pub(super) struct Desk<'a> {
    request: &'a RunRequest,
    attempt: u32,
    journal: &'a dyn RunJournal,
    library: &'a dyn CassetteLibrary,
    /// Where spans wait that no endpoint has taken; `None` if they are not kept.
    spool: Option<&'a dyn SpanSpool>,
    cassette: Option<(CassetteKey, CassetteMode)>,
    /// The run whose recording is replayed, once the process has asked for it.
    recorded: Arc<OnceLock<RunId>>,
    /// How far the run is.
    said: Option<Arc<Conversation>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        request: &'a RunRequest,
        context: &RunContext<'a>,
        library: &'a dyn CassetteLibrary,
        spool: Option<&'a dyn SpanSpool>,
    ) -> Self {
        let asked = request.cassette.as_ref();
        let cassette = asked.map(|asked| (CassetteKey::of(request, asked), asked.mode));
        let said = context.resumed.clone().map(Arc::new);
        let RunContext { attempt, journal, .. } = *context;
        Self { request, attempt, journal, library, spool, cassette, recorded: Arc::default(), said }
    }

    /// How far the run is, as far as the process has said.
    pub(super) fn said(&self) -> Option<&Conversation> {
        self.said.as_deref()
    }

    /// The session of its target that was begun and not ended, as far as the process has said.
    pub(super) fn session(&self) -> Option<&Session> {
        self.said()?.session.as_ref()
    }

    /// Takes a call, if it may be made.
    pub(super) fn take(&mut self, call: Call) -> Result<Work<'a>, Violation> {
        match call {
            Call::Started(entry) => self.started(*entry),
            Call::Advanced(entry) => self.advanced(*entry),
            Call::Recording => self.recording(),
            Call::Publish(calls) => self.publish(calls),
            Call::Keep(place, exchange) => self.keep(place, exchange),
            Call::Recall(place) => self.recall(place),
            Call::Permit(call) => Ok(Work::Permit(call)),
            Call::Spool(late) => self.spool(&late),
        }
    }

    fn started(&mut self, entry: Entry) -> Result<Work<'a>, Violation> {
        let (conversation, note) = self.entered(entry)?;
        let brief = conversation.brief.as_ref().ok_or(Violation("a run began without a scenario"))?;
        let event = RunStarted {
            ids: self.request.ids(),
            target: self.request.target.clone(),
            scenario: brief.summary(),
            parameters: brief.told_parameters(),
            attempt: self.attempt,
            trace_id: note.trace_id.clone(),
            started_at: conversation.started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        };
        let journal = self.journal;
        Ok(Work::Journal(async move { journal.started(&conversation, event, &note).await }.boxed()))
    }

    fn advanced(&mut self, entry: Entry) -> Result<Work<'a>, Violation> {
        let (conversation, note) = self.entered(entry)?;
        let journal = self.journal;
        Ok(Work::Journal(async move { journal.advanced(&conversation, &note).await }.boxed()))
    }

    /// Looks at what is to be stored. What was said once stays said; trace context is for requests that brought one.
    fn entered(&mut self, entry: Entry) -> Result<(Arc<Conversation>, TraceNote), Violation> {
        let Entry { mut conversation, trace_id, mut context } = entry;
        let ids = conversation.trace_id.iter().chain(Some(&trace_id).filter(|id| !id.is_empty()));
        if !ids.into_iter().all(|id| is_trace_id(id)) {
            return Err(NO_TRACE_ID);
        }
        let before = self.said().map_or(&[][..], |said| &said.messages);
        if !conversation.messages.starts_with(before) {
            return Err(Violation("what was said before is said to have been said otherwise"));
        }
        if self.request.parent.is_none() {
            (context, conversation.trace_context) = (None, None);
        }
        let conversation = Arc::new(conversation);
        self.said = Some(Arc::clone(&conversation));
        Ok((conversation, TraceNote { trace_id, context }))
    }

    fn cassette(&self, mode: CassetteMode) -> Result<CassetteKey, Violation> {
        let found = self.cassette.as_ref().filter(|(_, own)| *own == mode);
        found.map(|(key, _)| key.clone()).ok_or(Violation("it is no run with such a cassette"))
    }

    fn recording(&self) -> Result<Work<'a>, Violation> {
        let (cassette, library) = (self.cassette(CassetteMode::Replay)?, self.library);
        let recorded = Arc::clone(&self.recorded);
        let find = async move {
            let found = library.recording(&cassette).await?;
            // A second look that finds another one changes nothing: a replay is of one recording.
            let run = found.as_ref().map(|found| recorded.get_or_init(|| found.run.clone()).clone());
            Ok(Answer::Recording(found.zip(run).map(|(found, run)| Recording { run, ..found })))
        };
        Ok(Work::Call(find.boxed()))
    }

    fn publish(&self, calls: CallCounts) -> Result<Work<'a>, Violation> {
        let (cassette, library) = (self.cassette(CassetteMode::Record)?, self.library);
        let recording = Recording { run: self.request.key.run.clone(), calls };
        let publish = async move { library.publish(&cassette, &recording).await.map(|()| Answer::Done) };
        Ok(Work::Call(publish.boxed()))
    }

    fn keep(&self, place: Place, exchange: Box<Exchange>) -> Result<Work<'a>, Violation> {
        let (cassette, library) = (self.cassette(CassetteMode::Record)?, self.library);
        let run = self.request.key.run.clone();
        let keep = async move {
            library.keep(&cassette.project, &run, &place, &exchange).await.map(|()| Answer::Done)
        };
        Ok(Work::Call(keep.boxed()))
    }

    fn recall(&self, place: Place) -> Result<Work<'a>, Violation> {
        let (cassette, library) = (self.cassette(CassetteMode::Replay)?, self.library);
        let run = self.recorded.get().ok_or(Violation("it recalls what it did not find"))?.clone();
        let recall = async move {
            let found = library.recall(&cassette.project, &run, &place).await?;
            Ok(Answer::Exchange(found.map(Box::new)))
        };
        Ok(Work::Call(recall.boxed()))
    }

    /// A spool that cannot keep spans does not keep a run from its end: the process tells of them in the run's receipt.
    fn spool(&self, late: &LateSpans) -> Result<Work<'a>, Violation> {
        let spool = self.spool.ok_or(Violation("nobody keeps its spans"))?;
        if !is_trace_id(&late.trace_id) {
            return Err(NO_TRACE_ID);
        }
        let body = STANDARD.decode(&late.body).map_err(|_| Violation("late spans are no base64"))?;
        let (parcel, packed) = (self.parcel(late), Packed { body: body.into(), gzip: late.gzip });
        let keep = async move {
            Ok(match spool.keep(&parcel, &packed).await {
                Ok(()) => Answer::Done,
                Err(NotKept::Full { used, most }) => Answer::Full { used, most },
                Err(NotKept::Unavailable(error)) => Answer::Refused(Refusal::from(&error)),
            })
        };
        Ok(Work::Call(keep.boxed()))
    }

    fn parcel(&self, late: &LateSpans) -> Parcel {
        Parcel {
            name: Uuid::new_v4().simple().to_string(),
            ids: self.request.ids(),
            trace_id: late.trace_id.clone(),
            trace_context: late.context.clone().filter(|_| self.request.parent.is_some()),
            spans: late.spans,
            gzip: late.gzip,
            at: late.at,
            not_before: late.not_before,
        }
    }
}

fn is_trace_id(id: &str) -> bool {
    id.len() == TRACE_ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}
