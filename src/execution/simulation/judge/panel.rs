//! What a panel of judges comes to: a majority of all seats decides, and who does not answer agrees with nobody.

use crate::events::{Agreement, CriterionResult, CriterionStatus, Quote, Vote};
use crate::execution::failure::RunFailure;
use crate::execution::types::{Ballot, Criterion, JudgeAnswer, Judgement};
use crate::text::cut;

use super::evidence::MAX_QUOTES;
use super::verdict::summarize;

/// How much of one judge's reasoning is kept with its vote, in bytes: there may be nine of them for every criterion.
const MAX_VOTE_BYTES: usize = 1024;
/// How much is told of why a judge did not answer, in bytes.
const MAX_ABSENCE_BYTES: usize = 300;
/// Every status, in the order of telling.
const STATUSES: [CriterionStatus; 3] =
    [CriterionStatus::Met, CriterionStatus::Unmet, CriterionStatus::Inconclusive];

/// A round that is over.
pub(in super::super) struct Round {
    /// The models, one a seat.
    pub(in super::super) models: Vec<String>,
    /// Who answered what.
    pub(in super::super) cast: Vec<Ballot>,
    /// Who could not answer, by seat.
    pub(in super::super) failures: Vec<(usize, RunFailure)>,
}

impl Round {
    /// What decides is there, or the first failure is the run's: without a majority nothing can be decided.
    pub(in super::super) fn settled(mut self) -> Result<Self, RunFailure> {
        self.cast.sort_by_key(|ballot| ballot.seat);
        self.failures.sort_by_key(|(seat, _)| *seat);
        if self.cast.len() >= self.majority() || self.failures.is_empty() {
            return Ok(self);
        }
        Err(self.failures.swap_remove(0).1)
    }

    fn majority(&self) -> usize {
        self.models.len() / 2 + 1
    }

    /// Why the conversation goes on; `None` if a majority has heard enough.
    pub(in super::super) fn more_wanted(&self) -> Option<String> {
        let enough = self.cast.iter().filter(|ballot| ballot.answer == JudgeAnswer::Enough).count();
        let why = self.cast.iter().find_map(|ballot| match &ballot.answer {
            JudgeAnswer::GoOn(why) => Some(why.clone()),
            JudgeAnswer::Enough | JudgeAnswer::Verdict(_) => None,
        });
        (enough < self.majority()).then(|| why.unwrap_or_default())
    }

    /// The judgement of all. One judge's is its own.
    pub(in super::super) fn judgement(&self, criteria: &[Criterion]) -> Judgement {
        let given: Vec<(&str, &Judgement)> =
            self.cast.iter().filter_map(|ballot| self.given(ballot)).collect();
        if let ([_], [(_, judgement)]) = (self.models.as_slice(), given.as_slice()) {
            return (*judgement).clone();
        }
        let results: Vec<CriterionResult> =
            criteria.iter().map(|criterion| self.elected(criterion, &votes(criterion, &given))).collect();
        let Judgement { verdict, criteria, .. } = Judgement::derive(results, String::new());
        let agreeing = given.iter().find(|(_, judgement)| judgement.verdict == verdict);
        let summary =
            agreeing.map_or_else(|| summarize(&criteria), |(_, judgement)| judgement.reasoning.clone());
        Judgement { verdict, criteria, reasoning: self.with_absences(summary) }
    }

    fn given<'a>(&'a self, ballot: &'a Ballot) -> Option<(&'a str, &'a Judgement)> {
        match &ballot.answer {
            JudgeAnswer::Verdict(judgement) => Some((self.models.get(ballot.seat)?.as_str(), judgement)),
            JudgeAnswer::GoOn(_) | JudgeAnswer::Enough => None,
        }
    }

    fn with_absences(&self, mut summary: String) -> String {
        for (seat, failure) in &self.failures {
            let model = self.models.get(*seat).map(String::as_str).unwrap_or_default();
            summary =
                format!("{summary} [{model} did not answer: {}]", cut(&failure.message, MAX_ABSENCE_BYTES));
        }
        summary
    }

    fn elected(&self, criterion: &Criterion, votes: &[(&str, &CriterionResult)]) -> CriterionResult {
        let count = |status| votes.iter().filter(|(_, vote)| vote.status == status).count();
        let winner = STATUSES.into_iter().find(|status| count(*status) >= self.majority());
        let status = winner.unwrap_or(CriterionStatus::Inconclusive);
        let agreeing = || votes.iter().map(|(_, vote)| *vote).filter(|vote| vote.status == status);
        let reasoning = match winner.and_then(|_| agreeing().next()) {
            Some(vote) => vote.reasoning.clone(),
            None => no_majority(STATUSES.map(count), self.models.len()),
        };
        CriterionResult {
            evidence: merged(agreeing()),
            agreement: Some(Agreement { agreeing: small(count(status)), judges: small(self.models.len()) }),
            votes: votes.iter().map(|(model, vote)| as_vote(model, vote)).collect(),
            ..CriterionResult::new(&criterion.id, &criterion.text, status, reasoning)
        }
    }
}

/// What each judge said of one criterion, matched by its id.
fn votes<'a>(
    criterion: &Criterion,
    given: &[(&'a str, &'a Judgement)],
) -> Vec<(&'a str, &'a CriterionResult)> {
    let of_criterion =
        |judgement: &'a Judgement| judgement.criteria.iter().find(|result| result.id == criterion.id);
    given.iter().filter_map(|(model, judgement)| Some((*model, of_criterion(judgement)?))).collect()
}

fn as_vote(model: &str, vote: &CriterionResult) -> Vote {
    Vote { model: model.to_owned(), status: vote.status, reasoning: cut(&vote.reasoning, MAX_VOTE_BYTES) }
}

fn merged<'a>(agreeing: impl Iterator<Item = &'a CriterionResult>) -> Vec<Quote> {
    let mut quotes: Vec<Quote> = Vec::new();
    for quote in agreeing.flat_map(|vote| &vote.evidence) {
        if quotes.len() < MAX_QUOTES && !quotes.contains(quote) {
            quotes.push(quote.clone());
        }
    }
    quotes
}

fn no_majority([met, unmet, inconclusive]: [usize; 3], seats: usize) -> String {
    let silent = seats - met - unmet - inconclusive;
    format!(
        "No majority of {seats} judges: {met} say met, {unmet} unmet, {inconclusive} inconclusive, {silent} did not answer."
    )
}

/// A count of seats, of which there are few.
fn small(count: usize) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}
