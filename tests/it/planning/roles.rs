//! Which model plays which role: the request's, else the scenario's, else the project's default, else the worker's.

use serde_json::{Value, json};

use super::desk::{Desk, with};

/// Who names a model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named(Vec<&'static str>);

/// Whoever can, the first of them first.
const SOURCES: [&str; 4] = ["request", "scenario", "project", "worker"];
/// Those who name one model for all roles.
const DEFAULTS: [&str; 2] = ["project", "worker"];

impl Named {
    /// Every combination.
    fn all() -> impl Iterator<Item = Self> {
        (0..1_usize << SOURCES.len()).map(|bits| {
            let named = SOURCES.into_iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
            Self(named.map(|(_, source)| source).collect())
        })
    }

    fn by(&self, source: &str) -> bool {
        self.0.contains(&source)
    }

    /// The model that a role gets.
    fn expected(&self, role: &str) -> Option<String> {
        let source = self.0.first()?;
        Some(format!("{source}/{}", if DEFAULTS.contains(source) { "default" } else { role }))
    }

    fn defaults(&self) -> Self {
        Self(self.0.iter().copied().filter(|source| DEFAULTS.contains(source)).collect())
    }
}

fn models(source: &str, simulator: bool, judge: bool) -> Value {
    let mut models = json!({});
    if simulator {
        models = with(models, json!({ "userSimulator": format!("{source}/simulator") }));
    }
    if judge {
        models = with(models, json!({ "judge": format!("{source}/judge") }));
    }
    models
}

fn desk(simulator: &Named, judge: &Named) -> Desk {
    let default = if simulator.by("project") { json!("project/default") } else { Value::Null };
    let desk = Desk {
        project: json!({ "id": "acme", "defaultModel": default }),
        default_model: simulator.by("worker").then(|| "worker/default".to_owned()),
        ..Desk::default()
    };
    desk.with_scenario(
        json!({ "models": models("scenario", simulator.by("scenario"), judge.by("scenario")) }),
    )
}

/// Every way in which both roles can be named: the defaults are the same for both.
fn pairs() -> impl Iterator<Item = (Named, Named)> {
    Named::all().flat_map(|simulator| {
        let judges = Named::all().filter({
            let defaults = simulator.defaults();
            move |judge| judge.defaults() == defaults
        });
        judges.map(move |judge| (simulator.clone(), judge))
    })
}

#[tokio::test]
async fn each_role_has_its_model_by_itself_and_an_http_target_needs_none() {
    for (simulator, judge) in pairs() {
        let desk = desk(&simulator, &judge);
        let asked = json!({ "models": models("request", simulator.by("request"), judge.by("request")) });
        let planned = desk.plan(asked).await.map(drop);
        if let (Some(first), Some(second)) = (simulator.expected("simulator"), judge.expected("judge")) {
            assert!(planned.is_ok(), "{simulator:?} {judge:?}: {planned:?}");
            assert_eq!(desk.asked_for(), [first, second], "{simulator:?} {judge:?}");
        } else {
            let failure = planned.expect_err("a role has no model");
            assert_eq!(failure.code, "default_model_not_configured", "{simulator:?} {judge:?}");
            assert!(desk.asked_for().is_empty());
        }
    }
}

#[tokio::test]
async fn only_a_prompt_has_a_model_for_the_agent_its_own_before_the_default() {
    let both = |named| json!({ "models": models("request", true, true), "target": { "type": named, "referenceId": "x" } });
    for own in [false, true] {
        for named in Named::all().filter(|named| named.by("request") && !named.by("scenario")) {
            let mut desk = desk(&named, &named);
            if own {
                desk.prompt = with(desk.prompt, json!({ "model": "prompt/own" }));
            }
            let agent = if own { Some("prompt/own".to_owned()) } else { named.defaults().expected("target") };
            let planned = desk.plan(both("prompt")).await.map(drop);
            let roles = ["request/simulator", "request/judge"].map(str::to_owned);
            let asked: Vec<String> = roles.iter().cloned().chain(agent.clone()).collect();
            assert_eq!(desk.asked_for(), asked, "{named:?}, own model: {own}");
            match agent {
                Some(_) => assert!(planned.is_ok(), "{named:?}: {planned:?}"),
                None => assert_eq!(planned.unwrap_err().code, "default_model_not_configured"),
            }
            desk.plan(both("http")).await.unwrap();
            assert_eq!(desk.asked_for(), roles, "an HTTP agent has no model");
        }
    }
}

#[tokio::test]
async fn a_panel_comes_from_one_place_as_a_whole() {
    let desk = Desk::default().with_scenario(json!({ "models": { "judge": ["a/1", "a/2"] } }));
    desk.plan(json!({})).await.unwrap();
    assert_eq!(desk.asked_for(), ["openai/default", "a/1", "a/2"]);
    desk.plan(json!({ "models": { "judge": "b/1" } })).await.unwrap();
    assert_eq!(desk.asked_for(), ["openai/default", "b/1"]);
}
