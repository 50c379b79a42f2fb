//! What a panel of judges comes to: a majority of all seats decides, and who does not answer agrees with nobody.

use crate::events::{Agreement, Attribution, CriterionResult, CriterionStatus, Quote, Vote};
use crate::execution::failure::{RunFailure, code};
use crate::execution::types::{Ballot, Criterion, JudgeAnswer, Judgement, MAX_QUOTES};
use crate::text::cut;

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
    /// What decides is there, or the first failure is the run's: without a majority nothing can be decided. A failure that
    /// is not the judge's own is the run's however the others voted.
    pub(in super::super) fn settled(mut self) -> Result<Self, RunFailure> {
        self.cast.sort_by_key(|ballot| ballot.seat);
        self.failures.sort_by_key(|(seat, _)| *seat);
        if let Some(at) = self.failures.iter().position(|(_, failure)| ends_run(failure)) {
            return Err(self.failures.swap_remove(at).1);
        }
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
            summary = format!(
                "{summary} [{model} did not answer: {}]",
                cut(&failure.to_error().message, MAX_ABSENCE_BYTES)
            );
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

/// Whether a failure is the run's and no abstention: nobody asked the judge, or nobody may ask any more.
fn ends_run(failure: &RunFailure) -> bool {
    matches!(failure.attributed_to, Attribution::Worker | Attribution::Budget)
        || [code::CASSETTE_DIFFERS, code::CASSETTE_BROKEN].contains(&failure.code.as_ref())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::events::Verdict;

    fn criteria() -> Vec<Criterion> {
        Criterion::number(&["polite".to_owned(), "honest".to_owned()])
    }

    fn status(letter: char) -> CriterionStatus {
        match letter {
            'm' => CriterionStatus::Met,
            'u' => CriterionStatus::Unmet,
            _ => CriterionStatus::Inconclusive,
        }
    }

    /// A ballot that decides the criteria by these letters.
    fn ballot(seat: usize, letters: &str) -> Ballot {
        let decided =
            criteria().into_iter().zip(letters.chars()).map(|(criterion, letter)| CriterionResult {
                evidence: vec![Quote { index: 1, quote: format!("{letter} of {}", criterion.id) }],
                ..CriterionResult::new(
                    criterion.id,
                    criterion.text,
                    status(letter),
                    format!("{letter} by {seat}"),
                )
            });
        let judgement = Judgement::derive(decided.collect(), format!("summary of {seat}"));
        Ballot { seat, answer: JudgeAnswer::Verdict(judgement) }
    }

    /// A round in which the seats decide by these words; a dash is a judge who fails.
    fn round(seats: &[&str]) -> Round {
        let failure =
            |seat| (seat, RunFailure::new("e", Attribution::ModelProvider, format!("failure of {seat}")));
        let cast = |(seat, word): (usize, &&str)| match *word {
            "go on" => Some(Ballot { seat, answer: JudgeAnswer::GoOn(format!("{seat} wants more")) }),
            "enough" => Some(Ballot { seat, answer: JudgeAnswer::Enough }),
            "-" => None,
            letters => Some(ballot(seat, letters)),
        };
        let failed = seats.iter().enumerate().filter(|(_, word)| **word == "-");
        Round {
            models: (0..seats.len()).map(|seat| format!("p/{seat}")).collect(),
            cast: seats.iter().enumerate().filter_map(cast).collect(),
            failures: failed.map(|(seat, _)| failure(seat)).collect(),
        }
    }

    fn decided(seats: &[&str]) -> Vec<(char, u32)> {
        let letter = |result: &CriterionResult| {
            let letter = ['m', 'u', 'i'].into_iter().find(|letter| status(*letter) == result.status);
            (letter.unwrap_or_default(), result.agreement.map_or(0, |agreement| agreement.agreeing))
        };
        round(seats).judgement(&criteria()).criteria.iter().map(letter).collect()
    }

    #[test]
    fn a_majority_of_all_seats_decides_each_criterion() {
        assert_eq!(decided(&["mm", "mu", "uu"]), [('m', 2), ('u', 2)]);
        assert_eq!(decided(&["mm", "ui", "iu"]), [('i', 1), ('i', 1)]);
        assert_eq!(decided(&["mu", "mu"]), [('m', 2), ('u', 2)]);
        assert_eq!(decided(&["mu", "um"]), [('i', 0), ('i', 0)]);
        assert_eq!(decided(&["mm", "mu", "-"]), [('m', 2), ('i', 0)]);
        assert_eq!(decided(&["ii", "ii", "uu"]), [('i', 2), ('i', 2)]);
    }

    #[test]
    fn the_verdict_tells_who_said_what_and_rests_on_those_who_agree() {
        let judgement = round(&["mu", "um", "mm"]).judgement(&criteria());
        assert_eq!((judgement.verdict, judgement.reasoning.as_str()), (Verdict::Success, "summary of 2"));
        let first = &judgement.criteria[0];
        assert_eq!(first.agreement, Some(Agreement { agreeing: 2, judges: 3 }));
        let votes: Vec<_> = first.votes.iter().map(|vote| (vote.model.as_str(), vote.status)).collect();
        let (met, unmet) = (CriterionStatus::Met, CriterionStatus::Unmet);
        assert_eq!(votes, [("p/0", met), ("p/1", unmet), ("p/2", met)]);
        assert_eq!((first.reasoning.as_str(), first.votes[1].reasoning.as_str()), ("m by 0", "u by 1"));
        assert_eq!(first.evidence, [Quote { index: 1, quote: "m of c1".into() }]);
    }

    #[test]
    fn without_a_majority_the_votes_are_counted_in_the_reasoning() {
        let judgement = round(&["mm", "uu", "-"]).judgement(&criteria());
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        let expected = "No majority of 3 judges: 1 say met, 1 unmet, 0 inconclusive, 1 did not answer.";
        assert_eq!(judgement.criteria[0].reasoning, expected);
        assert_eq!(judgement.criteria[0].evidence, []);
        assert_eq!(judgement.reasoning, "0 of 2 criteria are met. [p/2 did not answer: failure of 2]");
    }

    #[test]
    fn one_judge_alone_decides_without_votes() {
        let judgement = round(&["mu"]).judgement(&criteria());
        assert_eq!((judgement.criteria[0].agreement, judgement.criteria[0].votes.len()), (None, 0));
        assert_eq!(judgement.reasoning, "summary of 0");
    }

    #[test]
    fn a_majority_has_to_have_heard_enough() {
        let more = |seats: &[&str]| round(seats).more_wanted();
        assert_eq!(more(&["enough"]), None);
        assert_eq!(more(&["go on"]), Some("0 wants more".into()));
        assert_eq!(more(&["go on", "enough", "enough"]), None);
        assert_eq!(more(&["enough", "go on"]), Some("1 wants more".into()));
        assert_eq!(more(&["enough", "-", "go on"]), Some("2 wants more".into()));
        assert_eq!(more(&["enough", "-", "enough"]), None);
    }

    #[test]
    fn a_round_without_a_majority_fails_by_its_first_failure() {
        assert!(round(&["mm", "-", "mm"]).settled().is_ok());
        for seats in [&["-", "mm", "-"] as &[&str], &["-", "mm"], &["-"]] {
            assert_eq!(round(seats).settled().err().unwrap().message, "failure of 0");
        }
        let mut late = round(&["mm", "-", "-"]);
        late.failures.reverse();
        assert_eq!(late.settled().err().unwrap().message, "failure of 1");
    }

    #[test]
    fn a_failure_that_is_not_the_judges_own_is_no_abstention() {
        let failing = |failure: RunFailure| {
            let mut round = round(&["mm", "-", "-", "mm", "mm"]);
            round.failures[1].1 = failure;
            round.settled()
        };
        let provider = RunFailure::new("e", Attribution::ModelProvider, "down");
        assert!(failing(provider).is_ok());
        for failure in [
            RunFailure::definition(code::CASSETTE_DIFFERS, "differs"),
            RunFailure::new(code::CASSETTE_BROKEN, Attribution::Worker, "broken"),
            RunFailure::new(code::WORKER_PANIC, Attribution::Worker, "a bug"),
            RunFailure::new(code::BUDGET_EXCEEDED, Attribution::Budget, "spent"),
        ] {
            assert_eq!(failing(failure.clone()).err(), Some(failure));
        }
    }

    proptest! {
        #[test]
        fn the_order_in_which_answers_come_changes_nothing(
            seats in proptest::collection::vec(prop::sample::select(vec!["mm", "mu", "um", "iu", "ii", "uu"]), 1..9),
            turn in any::<prop::sample::Index>(),
        ) {
            let all = round(&seats);
            let mut turned = round(&seats);
            turned.cast.rotate_left(turn.index(seats.len()));
            let (all, turned) = (all.settled().unwrap(), turned.settled().unwrap());
            prop_assert_eq!(all.judgement(&criteria()), turned.judgement(&criteria()));
        }
    }
}
