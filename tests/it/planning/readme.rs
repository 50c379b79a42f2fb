//! What the README shows can be imported, and planned where it is a scenario.

use std::sync::Arc;

use scenario_worker::adapters::{HttpAdapterFactory, PromptAdapterFactory, Registry, ScenarioTexts};
use scenario_worker::definitions::Secrets;
use scenario_worker::events::{ProjectId, ReferenceId, TargetRef, TargetType};
use scenario_worker::execution::planner::Planner;
use scenario_worker::execution::ports::{ProjectRepository as _, TargetAdapters as _, TargetSpec};
use scenario_worker::models::Factory;
use scenario_worker::store::files::{SourceFile, Surroundings, parse, parse_in};
use scenario_worker::store::{ImportMode, Store};
use serde_json::json;

use super::desk::{defaults, request};
use crate::support::database::TestDatabase;
use crate::support::play::Shelf;

const README: &str = include_str!("../../../README.md");

/// The first YAML below a heading.
fn example(heading: &str) -> &'static str {
    let section = README.split(&format!("### {heading}\n")).nth(1).expect("the README has the section");
    let yaml = section.split("```yaml\n").nth(1).expect("the section has an example");
    yaml.split("```").next().unwrap()
}

fn variable(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-1".to_owned()),
        "CLIENT_SECRET" => Some("client-secret-1".to_owned()),
        "AGENT_URL" => Some("http://127.0.0.1:9/chat".to_owned()),
        _ => None,
    }
}

async fn planner(store: Store, heading: &str) -> Planner {
    let store = Arc::new(store);
    let client = crate::support::egress::open();
    let models = Arc::new(Factory::new(store.clone(), client.clone()));
    let targets = Registry::new()
        .with(PromptAdapterFactory::new(store.clone(), models.clone()))
        .with(HttpAdapterFactory::new(store.clone(), store.clone(), client));
    let file = SourceFile { name: "README.md".to_owned(), text: example(heading).to_owned() };
    let documents = parse(&[file], &variable).unwrap();
    store.import(&documents, ImportMode::default(), &targets).await.unwrap();
    let (targets, texts) = (Arc::new(targets), Arc::new(ScenarioTexts));
    let (cassettes, defaults) = (Arc::new(Shelf::default()), defaults(None));
    Planner { scenarios: store.clone(), projects: store, models, targets, texts, cassettes, defaults }
}

#[tokio::test]
async fn the_example_of_parameters_is_imported_and_planned() {
    let database = TestDatabase::sqlite();
    let planner = planner(database.store().await, "Parameters").await;
    let asked = request(json!({
        "scenarioId": "refund-in-time", "target": { "type": "http", "referenceId": "my-agent" },
        "parameters": { "region": "eu", "customerToken": "t-123" },
    }));
    let plan = planner.plan(&asked, None).await.unwrap();
    let scenario = plan.brief.scenario;
    assert!(scenario.situation.starts_with("You live in eu. "), "{}", scenario.situation);
    assert_eq!(scenario.criteria[0], "The agent says that 30 days are left");
}

#[tokio::test]
async fn the_example_of_http_agents_is_imported() {
    let database = TestDatabase::sqlite();
    let planner = planner(database.store().await, "HTTP agents").await;
    let project = ProjectId::parse("acme").unwrap();
    assert!(planner.projects.project(&project).await.unwrap().is_some());
}

#[tokio::test]
async fn the_example_of_prompts_is_imported_and_planned() {
    let database = TestDatabase::sqlite();
    let store = Arc::new(database.store().await);
    let client = crate::support::egress::open();
    let models = Arc::new(Factory::new(store.clone(), client));
    let targets = Registry::new().with(PromptAdapterFactory::new(store.clone(), models));
    let file = SourceFile { name: "README.md".to_owned(), text: example("Prompts").to_owned() };
    let surroundings = Surroundings { texts: Some(&ScenarioTexts), max_turns: Some(10) };
    let documents = parse_in(&[file], &variable, surroundings).unwrap();
    store.import(&documents, ImportMode::default(), &targets).await.unwrap();
    let project = store.project(&ProjectId::parse("acme").unwrap()).await.unwrap().unwrap();
    let spec = TargetSpec {
        target: TargetRef {
            kind: TargetType::parse("prompt").unwrap(),
            reference_id: ReferenceId::parse("support").unwrap(),
        },
        default_model: project.default_model.clone(),
        project,
        parameters: serde_json::Map::new(),
        secrets: Secrets::new(),
        kept: None,
    };
    targets.adapter(spec).await.unwrap();
}
