//! Who publishes without asking hears of a mistake in the outcome.

use scenario_worker::definitions::Scenario;
use scenario_worker::events::{Attribution, RunStatus};
use scenario_worker::execution::orchestrator::RunEnd;
use serde_json::json;

use super::desk::with;
use crate::support::play::{Stage, request, scenario};

fn open(parameters: &serde_json::Value) -> Scenario {
    let open = json!({ "situation": "In {{ region }}", "parameters": parameters });
    serde_json::from_value(with(serde_json::to_value(scenario()).unwrap(), open)).unwrap()
}

#[tokio::test]
async fn a_mistake_in_the_parameters_is_an_outcome_that_never_ran() {
    let declared = json!([{ "name": "region" }, { "name": "token", "secret": true }]);
    for (given, code) in [
        (json!({ "region": "eu", "token": "t", "x": 1 }), "scenario_parameter_unknown"),
        (json!({ "token": "t" }), "scenario_parameter_missing"),
        (json!({ "region": ["eu"], "token": "t" }), "scenario_parameter_invalid"),
        (json!({ "region": "eu" }), "scenario_secret_parameter_missing"),
    ] {
        let stage = Stage { scenario: Some(open(&declared)), ..Stage::default() };
        let record = stage.record.clone();
        let RunEnd::Outcome { completed, .. } = stage.play(&request(&json!({ "parameters": given }))).await
        else {
            panic!("the run was interrupted")
        };
        let error = completed.error.unwrap();
        assert_eq!((completed.status, error.code.as_str()), (RunStatus::Error, code));
        assert_eq!((error.attributed_to, completed.verdict), (Attribution::Definition, None));
        assert!(record.started.lock().unwrap().is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_run_keeps_its_filled_in_scenario_and_no_secret() {
    let declared = json!([{ "name": "region" }, { "name": "token", "secret": true }]);
    let stage = Stage { scenario: Some(open(&declared)), ..Stage::default() };
    let record = stage.record.clone();
    let given = json!({ "parameters": { "region": "eu", "token": "hunter2" } });
    let RunEnd::Outcome { completed, .. } = stage.play(&request(&given)).await else {
        panic!("the run was interrupted")
    };
    let kept = record.conversation.lock().unwrap().clone().unwrap();
    assert_eq!(kept.brief.as_ref().unwrap().scenario.situation, "In eu");
    let everything = serde_json::to_string(&(kept, completed)).unwrap();
    assert!(everything.contains("region") && !everything.contains("hunter2"), "{everything}");
}
