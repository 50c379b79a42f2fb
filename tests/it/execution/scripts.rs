//! Scripts: who is asked in which turn, and how a script ends a run.

use serde_json::{Value, json};

use scenario_worker::events::{CriterionStatus, DecidedBy, RunCompleted, RunStatus, Verdict};

use crate::support::play::{Stage, request, scenario};

/// Plays `script` with at most `max_turns`, before a judge who would always go on; who was asked, and the outcome.
async fn play(script: Value, max_turns: u32, more: Value) -> (String, RunCompleted) {
    play_before(u32::MAX, script, max_turns, more).await
}

/// The same before a judge who has seen enough in turn `verdict_in_turn`.
async fn play_before(
    verdict_in_turn: u32,
    script: Value,
    max_turns: u32,
    more: Value,
) -> (String, RunCompleted) {
    let mut definition = serde_json::to_value(scenario()).unwrap();
    definition["script"] = script;
    definition["maxTurns"] = json!(max_turns);
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let scenario = Some(serde_json::from_value(definition).unwrap());
    let stage = Stage { scenario, verdict_in_turn, ..Stage::default() };
    let record = stage.record.clone();
    let outcome = super::outcome(stage.play(&request(&json!({}))).await);
    let asked = record.asked.lock().unwrap().join(" ");
    (asked, outcome)
}

async fn asked(script: Value, max_turns: u32) -> String {
    play(script, max_turns, json!({})).await.0
}

#[tokio::test]
async fn roles_take_turns_in_the_order_that_people_know() {
    // Facts of the scenario SDKs (Python form), turns counted from 1; what they leave unjudged is judged here at the end.
    let table = [
        (json!([]), 2, "U1 A1 J1 U2 A2 V2"),
        (json!(["proceed"]), 1, "U1 A1 V1"),
        (json!([{ "proceed": 1 }]), 9, "U1 A1 J1 V1"),
        (json!([{ "proceed": 2 }]), 9, "U1 A1 J1 U2 A2 J2 V2"),
        (json!(["user", "agent", { "proceed": 2 }]), 9, "U1 A1 J1 U2 A2 J2 V2"),
        (json!(["user", "user", "agent", "agent"]), 9, "U1 U2 A2 A3 V3"),
        (json!(["agent", "user", "agent"]), 9, "A1 U2 A2 V2"),
        (json!(["user", "agent", "user", "agent", "user", "agent"]), 2, "U1 A1 U2 A2 V2"),
        (json!([{ "user": "Hi" }, "agent", { "user": "Bye" }, "agent"]), 9, "A1 A2 V2"),
        (json!(["user", { "agent": "I am sorry" }, "user", "agent"]), 9, "U1 U2 A2 V2"),
        (json!([{ "message": { "role": "tool", "content": "{}" } }, "user", "agent"]), 9, "U1 A1 V1"),
        (json!(["user", "agent", "judge", "user"]), 9, "U1 A1 V1"),
        (json!([{ "proceed": 3 }]), 2, "U1 A1 J1 U2 A2 V2"),
        (json!([{ "proceed": { "until": { "contains": "sorry" } } }, "user"]), 9, "U1 A1 U2 V2"),
        (
            json!([{ "proceed": { "turns": 2, "until": { "contains": "never said" } } }]),
            9,
            "U1 A1 J1 U2 A2 J2 V2",
        ),
    ];
    for (script, max_turns, expected) in table {
        assert_eq!(asked(script.clone(), max_turns).await, expected, "{script}");
    }
}

#[tokio::test]
async fn the_agent_may_have_the_first_word() {
    let (asked, outcome) = play(json!([]), 2, json!({ "starts": "agent" })).await;
    assert_eq!(asked, "A1 J1 U2 A2 V2");
    assert_eq!(outcome.messages.unwrap()[0].turn, 1);
}

#[tokio::test]
async fn below_min_turns_only_the_end_is_judged() {
    let (asked, _) = play(json!([]), 3, json!({ "minTurns": 3 })).await;
    assert_eq!(asked, "U1 A1 U2 A2 U3 A3 V3");
}

#[tokio::test]
async fn words_of_the_script_are_part_of_the_conversation() {
    let script =
        json!([{ "user": "My cup broke" }, "agent", { "message": { "role": "tool", "content": "{}" } }]);
    let (_, outcome) = play(script, 9, json!({})).await;
    let said: Vec<_> = outcome.messages.unwrap().into_iter().map(|m| (m.turn, m.content)).collect();
    assert_eq!(said, [(1, "My cup broke".into()), (1, "I am sorry".into()), (1, "{}".into())]);
}

#[tokio::test]
async fn criteria_of_a_step_that_are_met_are_remembered_by_their_step() {
    let script = json!(["user", "agent", { "judge": { "criteria": ["The agent is polite"] } }, "succeed"]);
    // The double says nothing of `s3c1`, asked twice, so it is unmet: a missing criterion fails closed.
    let (asked, outcome) = play(script, 9, json!({})).await;
    assert_eq!(asked, "U1 A1 V1 V1");
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Failure)));
    let criteria: Vec<_> = outcome.criteria.iter().map(|c| (c.id.as_str(), c.status)).collect();
    assert_eq!(criteria, [("s3c1", CriterionStatus::Unmet)]);
}

#[tokio::test]
async fn a_check_that_holds_lets_the_script_go_on_and_one_that_does_not_ends_it() {
    let check = |text: &str| json!(["user", "agent", { "check": { "contains": text } }, "agent", "succeed"]);
    let (asked, outcome) = play(check("sorry"), 9, json!({})).await;
    assert_eq!((asked.as_str(), outcome.status), ("U1 A1 A2", RunStatus::Success));
    assert_eq!((outcome.criteria[0].id.as_str(), outcome.criteria[0].decided_by), ("s3", DecidedBy::Check));
    let (asked, outcome) = play(check("refund"), 9, json!({})).await;
    assert_eq!((asked.as_str(), outcome.status), ("U1 A1", RunStatus::Failed));
    assert_eq!(outcome.unmet_criteria.len(), 1);
}

#[tokio::test]
async fn a_script_may_end_the_run_either_way_with_its_reason() {
    for (step, status, reason) in [
        (json!({ "succeed": "seen enough" }), RunStatus::Success, "seen enough"),
        (json!({ "fail": "too slow" }), RunStatus::Failed, "too slow"),
    ] {
        let (_, outcome) = play(json!(["user", "agent", step]), 9, json!({})).await;
        assert_eq!((outcome.status, outcome.reasoning.as_str()), (status, reason));
    }
}

#[tokio::test]
async fn a_scenario_of_checks_alone_asks_no_judge() {
    let only = |text: &str| json!({ "criteria": [], "checks": [{ "contains": text }] });
    let (asked, outcome) = play(json!([]), 2, only("sorry")).await;
    assert_eq!((asked.as_str(), outcome.status), ("U1 A1 U2 A2", RunStatus::Success));
    assert_eq!(outcome.usage.judge.calls, 0);
    let (_, outcome) = play(json!([]), 2, only("refund")).await;
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Failure)));
}

#[tokio::test]
async fn a_required_check_that_fails_saves_the_judge_and_leaves_its_criteria_undecided() {
    let checks = json!({ "checks": [{ "contains": "refund", "required": true, "name": "offers a refund" }] });
    let (asked, outcome) = play(json!(["user", "agent", "judge"]), 9, checks).await;
    assert_eq!(asked, "U1 A1");
    let criteria: Vec<_> = outcome.criteria.iter().map(|c| (c.id.as_str(), c.status)).collect();
    assert_eq!(criteria, [("c1", CriterionStatus::Inconclusive), ("check1", CriterionStatus::Unmet)]);
    assert!(outcome.reasoning.contains("offers a refund"), "{}", outcome.reasoning);
}

#[tokio::test]
async fn checks_count_beside_the_judge() {
    let (asked, outcome) =
        play(json!(["user", "agent", "judge"]), 9, json!({ "checks": [{ "contains": "refund" }] })).await;
    assert_eq!(asked, "U1 A1 V1");
    assert_eq!(outcome.met_criteria, ["The agent apologises"]);
    assert_eq!((outcome.status, outcome.unmet_criteria.len()), (RunStatus::Failed, 1));
}

#[tokio::test]
async fn a_script_that_asks_for_nothing_comes_to_no_conclusion() {
    let (_, outcome) = play(json!(["user", "agent"]), 9, json!({ "criteria": [] })).await;
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Inconclusive)));
    assert!(outcome.reasoning.contains("without conclusion"), "{}", outcome.reasoning);
}

#[tokio::test]
async fn a_conversation_that_is_judged_by_nothing_does_not_pass() {
    for script in [json!(["judge"]), json!([{ "proceed": {} }]), json!([])] {
        let (_, outcome) = play(script, 2, json!({ "criteria": [] })).await;
        assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Inconclusive)));
        assert!(outcome.reasoning.contains("neither criteria nor checks"), "{}", outcome.reasoning);
    }
}

#[tokio::test]
async fn what_the_script_did_not_come_to_is_listed_and_keeps_the_run_from_passing() {
    let never = json!({ "check": { "contains": "THIS IS NEVER SAID", "required": true } });
    let late = json!({ "judge": { "criteria": ["The agent is polite"] } });
    for criteria in [json!([]), json!(["The agent apologises"])] {
        let script = json!(["user", "agent", "user", "agent", "user", never, late]);
        let (_, outcome) = play(script, 2, json!({ "criteria": criteria })).await;
        assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Inconclusive)));
        let open: Vec<_> =
            outcome.criteria.iter().filter(|c| c.status == CriterionStatus::Inconclusive).collect();
        let ids: Vec<_> = open.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["s6", "s7c1"]);
        assert!(outcome.reasoning.contains("THIS IS NEVER SAID"), "{}", outcome.reasoning);
    }
}

#[tokio::test]
async fn a_judge_that_is_content_early_leaves_the_rest_of_the_script_to_be_played() {
    let script = json!([{ "proceed": 5 }, { "check": { "contains": "refund" } }]);
    let (asked, outcome) = play_before(1, script, 9, json!({})).await;
    assert_eq!(asked, "U1 A1 J1 V1");
    assert_eq!((outcome.status, outcome.verdict), (RunStatus::Failed, Some(Verdict::Failure)));
    assert_eq!(outcome.criteria[0].id, "s2");
    let script = json!([{ "proceed": 5 }, { "check": { "contains": "sorry" } }]);
    let (_, outcome) = play_before(1, script, 9, json!({})).await;
    assert_eq!((outcome.status, outcome.criteria.len()), (RunStatus::Success, 2));
}

#[tokio::test]
async fn the_reason_of_a_run_that_failed_names_what_does_not_hold() {
    let checks = json!({ "checks": [{ "contains": "refund" }] });
    for script in [json!(["user", "agent", "succeed"]), json!(["user", "agent", "judge"])] {
        let (_, outcome) = play(script, 9, checks.clone()).await;
        assert_eq!(outcome.status, RunStatus::Failed);
        assert!(outcome.reasoning.contains("is unmet: "), "{}", outcome.reasoning);
    }
}
