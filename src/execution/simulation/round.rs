//! A round of questions: every judge is asked the same, all at once, and each answer is kept as soon as it is there.

use std::collections::VecDeque;
use std::pin::pin;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};

use super::judge::panel::Round;
use super::judge::{Asked, Case, Judge};
use super::watched::WatchedModel;
use super::{Simulation, SimulationStop};
use crate::execution::cassette::judge_lane;
use crate::execution::failure::RunFailure;
use crate::execution::ports::JournalError;
use crate::execution::types::{Ballot, Ballots, Conversation, FormKind, Question};

/// What came of asking the judge in a seat.
type Answer = (usize, Asked);

impl Simulation<'_> {
    /// Asks every judge who has not answered yet. One who fails abstains, as long as a majority answers.
    pub(super) async fn ask_all(
        &self,
        conversation: &mut Conversation,
        case: &Case<'_>,
        question: Question,
    ) -> Result<Round, SimulationStop> {
        let purse = self.purse(conversation);
        let models: Vec<WatchedModel<'_>> =
            self.plan.judges.iter().map(|model| self.watched(model, &purse)).collect();
        let failures = self.hear_each(conversation, case, question, &models).await?;
        self.release_lanes(0..models.len());
        let answers = conversation.ballots.take().map(|ballots| ballots.cast).unwrap_or_default();
        let models = self.plan.judges.iter().map(|model| model.name().to_string()).collect();
        Ok(Round { models, cast: answers, failures }.settled()?)
    }

    async fn hear_each(
        &self,
        conversation: &mut Conversation,
        case: &Case<'_>,
        question: Question,
        models: &[WatchedModel<'_>],
    ) -> Result<Vec<(usize, RunFailure)>, SimulationStop> {
        let judges = judges(conversation, case, question, models);
        self.hold_lanes(judges.iter().map(|(seat, _)| *seat));
        let asking = judges.into_iter().map(|(seat, judge)| ask(seat, judge, question));
        let mut asked: FuturesUnordered<_> = asking.collect();
        let (mut failures, mut come) = (Vec::new(), VecDeque::new());
        while let Some((seat, answer)) = next(&mut come, &mut asked).await {
            failures.extend(self.heard(conversation, seat, answer).map(|failure| (seat, failure)));
            if !(come.is_empty() && asked.is_empty()) {
                self.record_meanwhile(conversation, &mut come, &mut asked).await?;
            }
        }
        Ok(failures)
    }

    /// A judge who has not answered when the run changes its worker is asked anew, from its first call on.
    fn hold_lanes(&self, seats: impl IntoIterator<Item = usize>) {
        let Some(tape) = &self.plan.tape else { return };
        seats.into_iter().for_each(|seat| tape.hold(judge_lane(seat)));
    }

    fn release_lanes(&self, seats: impl IntoIterator<Item = usize>) {
        let Some(tape) = &self.plan.tape else { return };
        seats.into_iter().for_each(|seat| tape.release(&judge_lane(seat)));
    }

    /// Records while the other judges go on: a slow record must not let an answer that is there already time out.
    async fn record_meanwhile(
        &self,
        conversation: &mut Conversation,
        come: &mut VecDeque<Answer>,
        asked: &mut (impl Stream<Item = Answer> + Unpin),
    ) -> Result<(), JournalError> {
        let mut recorded = pin!(self.record(conversation));
        loop {
            tokio::select! {
                biased;
                result = &mut recorded => return result,
                Some(answer) = asked.next() => come.push_back(answer),
            }
        }
    }

    /// Keeps what came of asking the judge in `seat`, and tells the failure if that is what came.
    fn heard(&self, conversation: &mut Conversation, seat: usize, asked: Asked) -> Option<RunFailure> {
        let Asked { answer, form, usage } = asked;
        conversation.usage.judge.add(usage);
        if let Some(form) = form.filter(|form| *form != FormKind::default()) {
            conversation.answer_forms.insert(self.plan.judges[seat].name().to_string(), form);
        }
        let cast = conversation.ballots.as_mut().map(|ballots| &mut ballots.cast);
        match (answer, cast) {
            (Ok(answer), Some(cast)) => {
                cast.push(Ballot { seat, answer });
                self.release_lanes([seat]);
            }
            (Err(failure), _) => return Some(failure),
            (Ok(_), None) => {}
        }
        None
    }
}

async fn ask(seat: usize, judge: Judge<'_>, question: Question) -> Answer {
    (seat, judge.ask(question).await)
}

/// The next answer: one that came meanwhile, else the first that comes.
async fn next(
    come: &mut VecDeque<Answer>,
    asked: &mut (impl Stream<Item = Answer> + Unpin),
) -> Option<Answer> {
    match come.pop_front() {
        Some(answer) => Some(answer),
        None => asked.next().await,
    }
}

/// The judges who are to be asked. What others have answered in this very round before stays answered.
fn judges<'a>(
    conversation: &mut Conversation,
    case: &'a Case<'a>,
    question: Question,
    models: &'a [WatchedModel<'a>],
) -> Vec<(usize, Judge<'a>)> {
    let forms = conversation.answer_forms.clone();
    let fresh = Ballots { forms, ..Ballots::open(question, case.messages.len(), case.criteria) };
    let kept = conversation.ballots.take().filter(|kept| kept.is_round_of(&fresh));
    let ballots = kept.unwrap_or_else(|| Box::new(fresh));
    let form = |model: &WatchedModel<'_>| {
        ballots.forms.get(&model.model.name().to_string()).copied().unwrap_or_default()
    };
    let has_answered = |seat: usize| ballots.cast.iter().any(|ballot| ballot.seat == seat);
    let open = models.iter().enumerate().filter(|(seat, _)| !has_answered(*seat));
    let judges = open.map(|(seat, model)| (seat, Judge { model, form: form(model), case })).collect();
    conversation.ballots = Some(ballots);
    judges
}
