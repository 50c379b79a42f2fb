use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::events::{MessageRole, Verdict};
use crate::execution::types::Message;

const INVENTED: &str = "You will get a hundred euros";

fn criteria() -> Vec<Criterion> {
    Criterion::number(&["Entschuldigt sich".to_owned(), "返金を申し出る".to_owned()])
}

fn transcript() -> Vec<Message> {
    let message = |role, content: &str| Message {
        turn: 1,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: datetime!(2026-01-01 0:00 UTC),
        latency_ms: None,
    };
    vec![
        message(MessageRole::User, "Meine Tasse ist zerbrochen"),
        message(MessageRole::Assistant, "Es tut mir sehr leid. Ich erstatte den Preis."),
    ]
}

fn judged(answer: &Value) -> Judgement {
    judged_of(&criteria(), answer)
}

fn judged_of(criteria: &[Criterion], answer: &Value) -> Judgement {
    match read(std::slice::from_ref(answer), criteria, &Source::new(&transcript())) {
        Some(
            Reading::Complete(JudgeAnswer::Verdict(judgement))
            | Reading::Partial(JudgeAnswer::Verdict(judgement)),
        ) => judgement,
        _ => panic!("no verdict: {answer}"),
    }
}

fn is_complete(answer: &Value) -> bool {
    matches!(
        read(std::slice::from_ref(answer), &criteria(), &Source::new(&transcript())),
        Some(Reading::Complete(_))
    )
}

/// The verdict that has to be asked for again.
fn partial(answers: &[Value]) -> Judgement {
    match read(answers, &criteria(), &Source::new(&transcript())) {
        Some(Reading::Partial(JudgeAnswer::Verdict(judgement))) => judgement,
        _ => panic!("{answers:?}"),
    }
}

fn statuses(answer: &Value) -> Vec<CriterionStatus> {
    judged(answer).criteria.iter().map(|c| c.status).collect()
}

/// An entry with these quotes.
fn with(status: &str, quotes: &[&str]) -> Value {
    let evidence: Vec<Value> = quotes.iter().map(|quote| json!({ "message": 1, "quote": quote })).collect();
    json!({ "requirement": "r", "evidence": evidence, "reasoning": "why", "status": status })
}

fn met() -> Value {
    with("met", &["Es tut mir sehr leid"])
}

#[test]
fn criteria_are_matched_by_id_and_a_missing_one_is_unmet() {
    let swapped = json!({ "criteria": { "c3": "unmet", "c2": met() }, "reasoning": "s" });
    assert_eq!(statuses(&swapped), [CriterionStatus::Unmet, CriterionStatus::Met]);
    let judgement = judged(&swapped);
    assert_eq!((judgement.verdict, judgement.criteria[0].reasoning.as_str()), (Verdict::Failure, LEFT_OUT));
    assert!(matches!(read(&[swapped], &criteria(), &Source::new(&transcript())), Some(Reading::Partial(_))));
}

#[test]
fn entries_are_understood_in_many_shapes() {
    let (text, list) = (json!({ "c1": met(), "c2": false }).to_string(), |id: &str, status: &str| {
        let mut entry = with(status, &["Es tut mir sehr leid"]);
        entry["id"] = json!(id);
        entry
    });
    for answer in [
        json!({ "criteria": { "c1": met(), "c2": with("unmet", &[]) } }),
        json!({ "criteria": { "c1": met().to_string(), "c2": "failed" } }),
        json!({ "criteria": { "C1": with("Passed", &["es tut mir sehr leid"]), " c2": false } }),
        json!({ "criteria": text }),
        json!({ "criteria": [list("c2", "unmet"), list("c1", "met")] }),
        json!({ "c2": "unmet", "c1": met() }),
    ] {
        assert_eq!(statuses(&answer), [CriterionStatus::Met, CriterionStatus::Unmet], "{answer}");
        assert!(is_complete(&answer), "{answer}");
    }
}

#[test]
fn nonsense_fails_closed() {
    for nonsense in [
        json!({ "criteria": {} }),
        json!({ "criteria": [] }),
        json!({ "criteria": { "c1": "great", "c2": 7 } }),
        json!({ "criteria": { "c1": null, "c2": { "status": [] } } }),
    ] {
        assert_eq!(statuses(&nonsense), [CriterionStatus::Unmet, CriterionStatus::Unmet], "{nonsense}");
    }
    for nothing in [json!({}), json!({ "criteria": "all fine" }), json!({ "verdict": "success" })] {
        assert!(read(&[nothing], &criteria(), &Source::new(&transcript())).is_none());
    }
}

#[test]
fn a_criterion_with_two_statuses_is_inconclusive_in_whatever_order() {
    let (unmet, twice) = (with("unmet", &[]), json!({ "status": ["unmet", "met"] }));
    let all = |c1: &Value| json!({ "criteria": { "c1": c1, "c2": "unmet" } });
    let listed = |status: &str| json!({ "id": "c1", "status": status });
    for answers in [
        vec![all(&met()), all(&unmet)],
        vec![all(&unmet), all(&met())],
        vec![all(&met()), json!({ "c1": unmet })],
        vec![json!({ "criteria": { "c1": met(), "C1": unmet, "c2": "unmet" } })],
        vec![json!({ "criteria": { "c1": [unmet, met()], "c2": "unmet" } })],
        vec![json!({ "criteria": [listed("unmet"), listed("met"), { "id": "c2", "status": "unmet" }] })],
        vec![all(&twice)],
    ] {
        let judgement = partial(&answers);
        let (c1, c2) = (&judgement.criteria[0], &judgement.criteria[1]);
        assert_eq!((c1.status, c1.reasoning.as_str()), (CriterionStatus::Inconclusive, CONTRADICTED));
        assert_eq!((c2.status, judgement.verdict), (CriterionStatus::Unmet, Verdict::Failure));
    }
}

#[test]
fn two_answers_that_say_the_same_are_one() {
    let answers = [json!({ "criteria": { "c1": met() } }), json!({ "c1": met(), "c2": "unmet" }), json!({})];
    let Some(Reading::Complete(JudgeAnswer::Verdict(judgement))) =
        read(&answers, &criteria(), &Source::new(&transcript()))
    else {
        panic!("{answers:?}")
    };
    assert_eq!(judgement.criteria[0].evidence.len(), 1);
}

#[test]
fn met_needs_a_quote_of_the_agent_that_stands_in_the_transcript() {
    let (met, open) = (CriterionStatus::Met, CriterionStatus::Inconclusive);
    let (sorry, refund, broken) =
        ("Es tut mir sehr leid", "Ich erstatte den Preis", "Meine Tasse ist zerbrochen");
    let cases: [(&[&str], CriterionStatus, usize, &str); 6] = [
        (&[sorry], met, 1, "why"),
        (&[], open, 0, "why [Not taken as met: the judge quoted nothing"),
        (&[INVENTED, "leid"], open, 0, "why [Not taken as met: none of the 2 quotes"),
        (&[broken], open, 1, "why [Not taken as met: of what the judge quoted, only words of the customer"),
        (&[broken, sorry], met, 2, "why"),
        (&[INVENTED, refund], met, 1, "why [1 of 2 quotes do not stand"),
    ];
    for (quotes, status, found, reasoning) in cases {
        let entries = json!({ "c1": with("met", quotes), "c2": "unmet" });
        let result = judged(&json!({ "criteria": entries })).criteria.remove(0);
        assert_eq!((result.status, result.evidence.len()), (status, found), "{quotes:?}");
        assert!(result.reasoning.starts_with(reasoning), "{}", result.reasoning);
    }
}

#[test]
fn unmet_and_inconclusive_need_no_quote_and_keep_what_was_found() {
    for (word, status) in [("unmet", CriterionStatus::Unmet), ("inconclusive", CriterionStatus::Inconclusive)]
    {
        let entries =
            json!({ "c1": with(word, &[]), "c2": with(word, &[INVENTED, "Ich erstatte den Preis"]) });
        let results = judged(&json!({ "criteria": entries })).criteria;
        assert_eq!(results.iter().map(|result| result.status).collect::<Vec<_>>(), [status, status]);
        assert_eq!((results[0].reasoning.as_str(), results[1].evidence.len()), ("why", 1));
    }
}

#[test]
fn the_verdict_is_derived_from_the_criteria() {
    let verdict = |a: Value, b: Value| judged(&json!({ "criteria": { "c1": a, "c2": b } })).verdict;
    assert_eq!(verdict(met(), met()), Verdict::Success);
    assert_eq!(verdict(met(), json!("inconclusive")), Verdict::Inconclusive);
    assert_eq!(verdict(json!("inconclusive"), json!("unmet")), Verdict::Failure);
    assert_eq!(verdict(met(), with("met", &[INVENTED])), Verdict::Inconclusive);
}

#[test]
fn the_tool_asks_for_evidence_before_reasoning_and_status() {
    let fields = &tool(&criteria()).parameters["properties"]["criteria"]["properties"]["c2"]["properties"];
    let names: Vec<&String> = fields.as_object().unwrap().keys().collect();
    assert_eq!(names, ["requirement", "evidence", "reasoning", "status"]);
}

proptest! {
    #[test]
    fn criteria_keep_their_identity_in_any_order_and_script(
        given in proptest::collection::vec(("\\PC{1,20}", 0..3_usize), 1..12).prop_shuffle(),
        order in any::<prop::sample::Index>(),
    ) {
        let texts: Vec<String> = given.iter().map(|(text, _)| text.clone()).collect();
        let criteria = Criterion::number(&texts);
        let words = ["met", "unmet", "inconclusive"];
        let mut entries: Vec<(String, Value)> = criteria
            .iter()
            .zip(&given)
            .map(|(criterion, (_, word))| (criterion.id.clone(), with(words[*word], &["Es tut mir sehr leid"])))
            .collect();
        let middle = order.index(entries.len());
        entries.rotate_left(middle);
        entries.reverse();
        let entries: Map<String, Value> = entries.into_iter().collect();
        let results = judged_of(&criteria, &json!({ "criteria": entries })).criteria;
        for ((result, criterion), (text, word)) in results.iter().zip(&criteria).zip(&given) {
            prop_assert_eq!((&result.id, &result.text), (&criterion.id, text));
            prop_assert_eq!(json!(result.status), json!(words[*word]));
        }
        prop_assert_eq!(results.len(), criteria.len());
    }
}
