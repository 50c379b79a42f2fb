//! Tests of `store`: the same bodies on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod encryption;
mod history;
mod sealing;

use std::error::Error;

use scenario_worker::definitions::{AgentDefinition, Document};
use scenario_worker::events::{ProjectId, ReferenceId, ScenarioId};
use scenario_worker::execution::failure::Unavailable;
use scenario_worker::execution::ports::{
    AgentRepository, ProjectRepository, PromptRepository, ProviderRepository, ScenarioRepository,
    SecretRepository,
};
use scenario_worker::settings::StoreSettings;
use scenario_worker::store::files::{ParsedDocument, SourceFile, parse};
use scenario_worker::store::{AgentCheck, Changes, ImportError, ImportMode, ImportReport, Kind, Store};
use sqlx::{Connection as _, Executor as _};

use crate::support::database::{TestDatabase, on_both_databases};

on_both_databases!(
    migrating_again_changes_nothing,
    many_workers_may_migrate_at_once,
    a_failed_migration_does_not_keep_others_waiting,
    what_is_missing_is_none,
    an_empty_store_is_unavailable_and_says_what_to_do,
    a_store_without_one_of_its_tables_fails_its_check,
    what_was_imported_is_found_again,
    scripts_and_checks_are_found_again_as_they_were_written,
    the_same_ids_in_two_projects_are_two_things,
    a_second_import_changes_nothing,
    an_import_updates_what_differs_and_leaves_the_rest,
    pruning_removes_what_a_named_project_does_not_name,
    documents_of_one_project_in_several_files_belong_together,
    what_two_documents_define_is_refused,
    an_agent_that_cannot_work_keeps_everything_out,
    an_import_that_the_database_refuses_leaves_nothing_behind,
    imports_at_the_same_time_all_arrive,
    a_database_that_is_gone_is_unavailable_and_says_what_was_attempted,
    a_closed_store_gives_no_sign_of_life,
    a_document_that_was_tampered_with_is_unavailable_and_not_shown,
);

const ACME: &str = r#"
project:
  id: acme
  name: Acme
  defaultModel: offline/customer
  telemetry: { endpoint: "https://traces.example", apiKey: "${TRACES_KEY}", protocol: otlp }
providers:
  - { id: offline, kind: scripted, models: { customer: { replies: [ Hello, { when: refund, text: Thanks } ] } } }
  - { id: another, kind: openai, baseUrl: "https://models.example/v1", apiKey: "${MODEL_KEY}", enabled: false }
secrets: { SHOP_TOKEN: "${SHOP_TOKEN}" }
prompts:
  - { id: support, systemPrompt: "You help. 🙂", temperature: 0.2, maxTokens: 800 }
agents:
  - { id: shop, type: http, url: "http://127.0.0.1/chat", auth: { type: bearer, token: "{{ secrets.SHOP_TOKEN }}" } }
scenarios:
  - { id: refund, name: Refund, situation: A broken mug, criteria: [ It apologises ], labels: [ a, b ], maxTurns: 6 }
  - { id: возврат денег, name: Refund, situation: A broken mug, criteria: [ It apologises ] }
"#;

const SECRET_VALUES: [&str; 3] = ["traces-hunter2", "models-hunter2", "shop-hunter2"];

/// How long a statement waits for the write lock, and how long somebody has it.
const WAITING_SECONDS: u64 = 1;
const LOCKED: std::time::Duration = std::time::Duration::from_secs(2);

/// What a process of a shared file is told: its number and the URL of the file.
const SHARED_FILE: &str = "TEST_SHARED_FILE";
/// New files that processes are let loose on: a race that is lost once in a while is lost on one of them.
const SHARED_FILES: usize = 4;
/// Processes that open a file at once.
const SHARING_PROCESSES: usize = 8;
/// How often each of them opens and closes it.
const OPENINGS: usize = 3;

/// A migration that takes longer waits for a lock that nobody gives back.
const STUCK: std::time::Duration = std::time::Duration::from_secs(30);

/// Takes every agent of type `http`.
struct HttpOnly;

impl AgentCheck for HttpOnly {
    fn check(&self, agent: &AgentDefinition) -> Result<(), String> {
        match agent.kind.as_str() {
            "http" => Ok(()),
            other => Err(format!("no adapter is registered for '{other}' in {:?}", agent.config.values())),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    let [traces, models, shop] = SECRET_VALUES;
    let value = match name {
        "TRACES_KEY" => traces,
        "MODEL_KEY" => models,
        "SHOP_TOKEN" => shop,
        _ => return None,
    };
    Some(value.to_owned())
}

fn source(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn parsed(text: &str) -> Vec<ParsedDocument> {
    parse(&[source("acme.yaml", text)], &variable).unwrap()
}

async fn import(store: &Store, text: &str) -> ImportReport {
    store.import(&parsed(text), ImportMode::default(), &HttpOnly).await.unwrap()
}

/// A document that brings one scenario of its own to a project that it shares.
fn one_scenario(worker: impl std::fmt::Display) -> String {
    let scenario = format!("{{ id: s{worker}, name: N, situation: S, criteria: [ C ] }}");
    format!("project: {{ id: acme, name: N{worker} }}\nscenarios: [ {scenario} ]\n")
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

fn scenario(id: &str) -> ScenarioId {
    ScenarioId::parse(id).unwrap()
}

fn reference(id: &str) -> ReferenceId {
    ReferenceId::parse(id).unwrap()
}

fn created(created: usize) -> Changes {
    Changes { created, ..Changes::default() }
}

/// An error with its causes, as it would be logged.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(|error| format!("{error} {error:?}")).collect::<Vec<_>>().join("; ")
}

/// Everything that `store` has of a project, as one document.
async fn stored(store: &Store, of: &Document) -> Document {
    let id = &of.project.id;
    let mut found = Document {
        project: store.project(id).await.unwrap().unwrap(),
        providers: store.providers(id).await.unwrap(),
        secrets: store.secrets(id).await.unwrap(),
        prompts: Vec::new(),
        agents: Vec::new(),
        scenarios: Vec::new(),
    };
    for prompt in &of.prompts {
        found.prompts.extend(store.prompt(id, &reference(&prompt.id)).await.unwrap());
    }
    for agent in &of.agents {
        found.agents.extend(store.agent(id, &reference(&agent.id)).await.unwrap());
    }
    for scenario in &of.scenarios {
        found.scenarios.extend(store.scenario(id, &scenario.id).await.unwrap());
    }
    found
}

async fn migrating_again_changes_nothing(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    store.migrate().await.unwrap();
    let again = database.store().await;
    assert!(again.project(&project("acme")).await.unwrap().is_some());
}

async fn many_workers_may_migrate_at_once(database: &TestDatabase) {
    let url = database.url();
    let workers = (0..8).map(|_| async {
        let store = Store::open(&url).await?;
        store.migrate().await?;
        store.ping().await
    });
    for result in futures::future::join_all(workers).await {
        result.map_err(|error| chain(&error)).unwrap();
    }
    import(&database.store().await, ACME).await;
}

async fn a_failed_migration_does_not_keep_others_waiting(database: &TestDatabase) {
    let first = database.store().await;
    database.execute("DELETE FROM _sqlx_migrations").await;
    let error = chain(&first.migrate().await.unwrap_err());
    assert!(error.contains("migrating ") && error.contains("already exists"), "{error}");
    assert_no_password(database, &error);
    let second = Store::open(&database.url()).await.unwrap();
    let result = tokio::time::timeout(STUCK, second.migrate()).await.expect("the lock is free");
    assert!(result.is_err());
}

async fn what_is_missing_is_none(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    let (acme, nobody) = (project("acme"), project("nobody"));
    assert_eq!(store.project(&nobody).await.unwrap(), None);
    for (project, id) in [(&acme, "missing"), (&nobody, "refund"), (&nobody, "support"), (&nobody, "shop")] {
        assert_eq!(store.scenario(project, &scenario(id)).await.unwrap(), None);
        assert_eq!(store.prompt(project, &reference(id)).await.unwrap(), None);
        assert_eq!(store.agent(project, &reference(id)).await.unwrap(), None);
    }
    assert!(store.providers(&nobody).await.unwrap().is_empty());
    assert!(store.secrets(&nobody).await.unwrap().is_empty());
}

async fn what_was_imported_is_found_again(database: &TestDatabase) {
    let store = database.store().await;
    let report = import(&store, ACME).await;
    let counts = Kind::ALL.map(|kind| report.of(kind).created);
    assert_eq!(counts, [1, 2, 1, 1, 1, 2]);
    let documents = parsed(ACME);
    let mut expected = documents[0].document().clone();
    expected.providers.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(stored(&store, &expected).await, expected);
    assert_eq!(expected.secrets["SHOP_TOKEN"].expose(), "shop-hunter2");
}

async fn scripts_and_checks_are_found_again_as_they_were_written(database: &TestDatabase) {
    let store = database.store().await;
    let example = include_str!("../../config/scripts.yaml").replace("${AGENT_URL}", "http://127.0.0.1/chat");
    import(&store, &example).await;
    let expected = parsed(&example)[0].document().clone();
    assert_eq!(stored(&store, &expected).await, expected);
    assert_eq!(import(&store, &example).await.total().unchanged, 5);
}

async fn the_same_ids_in_two_projects_are_two_things(database: &TestDatabase) {
    let store = database.store().await;
    let other = ACME.replace("id: acme", "id: other").replace("A broken mug", "A late parcel");
    import(&store, &format!("{ACME}---\n{other}")).await;
    for text in [ACME, other.as_str()] {
        let mut expected = parsed(text)[0].document().clone();
        expected.providers.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(stored(&store, &expected).await, expected);
    }
}

async fn a_second_import_changes_nothing(database: &TestDatabase) {
    let store = database.store().await;
    assert_eq!(import(&store, ACME).await.total(), created(8));
    let reordered = ACME
        .replace("type: http, url: \"http://127.0.0.1/chat\"", "url: \"http://127.0.0.1/chat\", type: http");
    for text in [ACME, reordered.as_str()] {
        let again = import(&store, text).await;
        assert_eq!(again.total(), Changes { unchanged: 8, ..Changes::default() });
    }
}

async fn an_import_updates_what_differs_and_leaves_the_rest(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    let text = "
project: { id: acme, name: Acme Two }
scenarios:
  - { id: refund, name: Refund, situation: Another mug, criteria: [ It apologises ] }
  - { id: late, name: Late, situation: A late parcel, criteria: [ It apologises ] }
";
    let report = import(&store, text).await;
    assert_eq!(report.of(Kind::Project), Changes { updated: 1, ..Changes::default() });
    assert_eq!(report.of(Kind::Scenario), Changes { created: 1, updated: 1, ..Changes::default() });
    assert_eq!(report.total(), Changes { created: 1, updated: 2, ..Changes::default() });
    let acme = project("acme");
    let changed = store.scenario(&acme, &scenario("refund")).await.unwrap().unwrap();
    assert_eq!((changed.situation.as_str(), changed.max_turns), ("Another mug", None));
    assert!(store.scenario(&acme, &scenario("возврат денег")).await.unwrap().is_some());
    assert_eq!(store.secrets(&acme).await.unwrap().len(), 1);
}

async fn pruning_removes_what_a_named_project_does_not_name(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, &format!("{ACME}---\n{}", ACME.replace("id: acme", "id: other"))).await;
    let text = "
project: { id: acme }
scenarios:
  - { id: refund, name: Refund, situation: Another mug, criteria: [ It apologises ] }
";
    let prune = ImportMode { prune: true };
    let report = store.import(&parsed(text), prune, &HttpOnly).await.unwrap();
    assert_eq!(report.total(), Changes { created: 0, updated: 2, unchanged: 0, removed: 6 });
    let (acme, other) = (project("acme"), project("other"));
    assert!(
        store.secrets(&acme).await.unwrap().is_empty() && store.providers(&acme).await.unwrap().is_empty()
    );
    assert!(store.scenario(&acme, &scenario("refund")).await.unwrap().is_some());
    assert_eq!(store.scenario(&acme, &scenario("возврат денег")).await.unwrap(), None);
    assert_eq!(store.secrets(&other).await.unwrap().len(), 1);
    assert!(store.agent(&other, &reference("shop")).await.unwrap().is_some());
}

async fn documents_of_one_project_in_several_files_belong_together(database: &TestDatabase) {
    let store = database.store().await;
    let part = |name: &str| {
        let scenario = format!("{{ id: {name}, name: N, situation: S, criteria: [ C ] }}");
        source(name, &format!("project: {{ id: acme }}\nscenarios:\n  - {scenario}\n"))
    };
    let documents = parse(&[part("one"), part("two")], &variable).unwrap();
    let report = store.import(&documents, ImportMode { prune: true }, &HttpOnly).await.unwrap();
    assert_eq!((report.of(Kind::Project), report.of(Kind::Scenario)), (created(1), created(2)));
    assert!(store.scenario(&project("acme"), &scenario("two")).await.unwrap().is_some());
}

async fn what_two_documents_define_is_refused(database: &TestDatabase) {
    let store = database.store().await;
    let files = [
        source("one.yaml", ACME),
        source("two.yaml", "project: { id: acme, name: Other }\nsecrets:\n  SHOP_TOKEN: x"),
    ];
    let documents = parse(&files, &variable).unwrap();
    let error = store.import(&documents, ImportMode::default(), &HttpOnly).await.unwrap_err().to_string();
    assert!(error.contains("two.yaml:1:10: `project`: another document of this import defines"), "{error}");
    assert!(error.contains("two.yaml:3:3: `secrets.SHOP_TOKEN`: another document"), "{error}");
    assert_empty(&store).await;
}

async fn an_agent_that_cannot_work_keeps_everything_out(database: &TestDatabase) {
    let store = database.store().await;
    let bad = "project: { id: other }\nagents:\n  - id: fax\n    type: fax\n    token: ${SHOP_TOKEN}\n";
    let documents = parse(&[source("acme.yaml", ACME), source("other.yaml", bad)], &variable).unwrap();
    let error = store.import(&documents, ImportMode::default(), &HttpOnly).await.unwrap_err();
    assert!(matches!(error, ImportError::Invalid(_)));
    let shown = chain(&error);
    assert!(shown.contains("other.yaml:3:5: `agents[0]`: no adapter is registered for 'fax'"), "{shown}");
    assert!(shown.contains("${SHOP_TOKEN}") && !shown.contains("hunter2"), "{shown}");
    assert_empty(&store).await;
}

async fn an_import_that_the_database_refuses_leaves_nothing_behind(database: &TestDatabase) {
    let store = database.store().await;
    database.execute("DROP TABLE scenarios").await;
    let error = store.import(&parsed(ACME), ImportMode::default(), &HttpOnly).await.unwrap_err();
    assert!(matches!(error, ImportError::Store(_)));
    assert!(error.to_string().contains("importing definitions in"), "{error}");
    assert!(!chain(&error).contains("hunter2"), "{}", chain(&error));
    assert_empty(&store).await;
    assert!(store.secrets(&project("acme")).await.unwrap().is_empty());
}

async fn an_empty_store_is_unavailable_and_says_what_to_do(database: &TestDatabase) {
    let store = database.store().await;
    let (project, scenario) = (project("acme"), scenario("refund"));
    assert_eq!(store.scenario(&project, &scenario).await.unwrap(), None);
    for error in
        [chain(&store.project(&project).await.unwrap_err()), chain(&store.check().await.unwrap_err())]
    {
        assert!(error.contains("nothing was imported into") && error.contains("import FILE"), "{error}");
        assert_no_password(database, &error);
    }
    import(&store, ACME).await;
    store.check().await.unwrap();
}

async fn a_store_without_one_of_its_tables_fails_its_check(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    for (away, back) in [
        ("ALTER TABLE agents RENAME TO agents_away", "ALTER TABLE agents_away RENAME TO agents"),
        ("ALTER TABLE projects RENAME TO projects_away", "ALTER TABLE projects_away RENAME TO projects"),
    ] {
        database.execute(away).await;
        let error = chain(&store.check().await.unwrap_err());
        assert!(error.contains("reading every "), "{error}");
        database.execute(back).await;
        store.check().await.unwrap();
    }
}

async fn imports_at_the_same_time_all_arrive(database: &TestDatabase) {
    let store = database.store().await;
    let workers = (0..6).map(|worker| {
        let url = database.url();
        tokio::spawn(async move {
            let store = Store::open(&url).await.unwrap();
            let documents = parsed(&one_scenario(worker));
            store.import(&documents, ImportMode::default(), &HttpOnly).await.map_err(|error| chain(&error))
        })
    });
    let mut reports = Vec::new();
    for result in futures::future::join_all(workers).await {
        reports.push(result.unwrap().unwrap());
    }
    let first: usize = reports.iter().map(|report| report.of(Kind::Project).created).sum();
    assert_eq!(first, 1, "exactly one import met an empty database");
    for worker in 0..6 {
        let id = scenario(&format!("s{worker}"));
        assert!(store.scenario(&project("acme"), &id).await.unwrap().is_some(), "{id}");
    }
}

async fn a_database_that_is_gone_is_unavailable_and_says_what_was_attempted(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    database.ruin().await;
    let acme = project("acme");
    let error: Unavailable = store.scenario(&acme, &scenario("refund")).await.unwrap_err();
    assert!(error.attempted.starts_with("reading scenario 'refund' of project 'acme' in "), "{error}");
    let error = chain(&store.secrets(&acme).await.unwrap_err());
    assert!(error.contains("reading every secret of project 'acme'"), "{error}");
    assert_no_password(database, &error);
    assert!(store.project(&acme).await.is_err());
}

async fn a_closed_store_gives_no_sign_of_life(database: &TestDatabase) {
    let store = database.store().await;
    store.ping().await.unwrap();
    store.clone().close().await;
    let error = chain(&store.ping().await.unwrap_err());
    assert!(error.contains("asking for a sign of life"), "{error}");
    assert_no_password(database, &format!("{error} {store:?}"));
}

async fn a_document_that_was_tampered_with_is_unavailable_and_not_shown(database: &TestDatabase) {
    let store = database.store().await;
    import(&store, ACME).await;
    database.execute("UPDATE secrets SET document = '918273645'").await;
    database.execute("UPDATE scenarios SET document = '{\"id\": \"refund\", \"name\": 918273645}'").await;
    let acme = project("acme");
    let secrets = chain(&store.secrets(&acme).await.unwrap_err());
    let scenario = chain(&store.scenario(&acme, &scenario("refund")).await.unwrap_err());
    assert!(secrets.contains("reading secret 'SHOP_TOKEN' of project 'acme'"), "{secrets}");
    assert!(scenario.contains("at `name`"), "{scenario}");
    assert!(!format!("{secrets}{scenario}").contains("918273645"));
}

/// A store without any project does not say of one that it is not there.
async fn assert_empty(store: &Store) {
    let error = chain(&store.project(&project("acme")).await.unwrap_err());
    assert!(error.contains("nothing was imported into"), "{error}");
}

fn assert_no_password(database: &TestDatabase, text: &str) {
    if let TestDatabase::Postgres { server, .. } = database {
        let url: url::Url = server.parse().unwrap();
        assert!(url.password().is_none_or(|password| !text.contains(password)), "{text}");
    }
}

#[tokio::test]
async fn a_database_in_memory_is_one_database_for_everyone_who_asks() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    store.migrate().await.unwrap();
    import(&store, ACME).await;
    let id = project("acme");
    let lookups = (0..20).map(|_| store.project(&id));
    for found in futures::future::join_all(lookups).await {
        assert!(found.unwrap().is_some());
    }
    let another = Store::open("sqlite::memory:").await.unwrap();
    another.migrate().await.unwrap();
    let error = chain(&another.project(&id).await.unwrap_err());
    assert!(error.contains("nothing was imported into sqlite::memory:"), "{error}");
}

#[tokio::test]
async fn a_server_out_of_reach_is_named_without_its_password() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hang_up = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let error = Store::open(&format!("postgres://me:hunter2@{address}/app")).await.unwrap_err();
    let shown = chain(&error);
    assert!(shown.contains(&format!("connecting to postgres://{address}/app failed")), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    hang_up.abort();
}

#[tokio::test]
async fn tables_that_are_up_to_date_are_not_locked() {
    let database = TestDatabase::sqlite();
    let store = database.store().await;
    import(&store, ACME).await;
    let _writer = writer(&database).await;
    store.migrate().await.unwrap();
    let another = Store::open_existing(&database.settings()).await.unwrap();
    assert!(another.project(&project("acme")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_migration_waits_for_whoever_has_the_lock_for_longer_than_a_statement_does() {
    let database = TestDatabase::sqlite();
    let settings = StoreSettings { statement_timeout_seconds: WAITING_SECONDS, ..database.settings() };
    let store = Store::open_with(&settings).await.unwrap();
    let writer = writer(&database).await;
    let release = async {
        tokio::time::sleep(LOCKED).await;
        drop(writer);
    };
    let (migrated, ()) = tokio::join!(store.migrate(), release);
    migrated.map_err(|error| chain(&error)).unwrap();
}

/// A connection that writes to the file until it is dropped.
async fn writer(database: &TestDatabase) -> sqlx::AnyConnection {
    let mut connection = sqlx::AnyConnection::connect(&database.url()).await.unwrap();
    connection.execute("BEGIN IMMEDIATE").await.unwrap();
    connection
}

#[tokio::test]
async fn a_file_is_shared_by_processes_from_its_first_moment() {
    for _ in 0..SHARED_FILES {
        let database = TestDatabase::sqlite();
        let processes = (0..SHARING_PROCESSES).map(|process| {
            tokio::process::Command::new(std::env::current_exe().unwrap())
                .args(["store::one_process_of_a_shared_file", "--exact", "--ignored"])
                .env(SHARED_FILE, format!("{process} {}", database.url()))
                .kill_on_drop(true)
                .output()
        });
        for output in futures::future::join_all(processes).await {
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let store = database.store().await;
        for process in 0..SHARING_PROCESSES {
            let id = scenario(&format!("s{process}"));
            assert!(store.scenario(&project("acme"), &id).await.unwrap().is_some(), "{id}");
        }
    }
}

#[tokio::test]
#[ignore = "started by a_file_is_shared_by_processes_from_its_first_moment, several times at once"]
async fn one_process_of_a_shared_file() {
    let Ok(task) = std::env::var(SHARED_FILE) else { return };
    let (process, url) = task.split_once(' ').unwrap();
    for _ in 0..OPENINGS {
        let store = Store::open(url).await.map_err(|error| chain(&error)).unwrap();
        store.migrate().await.map_err(|error| chain(&error)).unwrap();
        import(&store, &one_scenario(process)).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_not_created_for_a_reader_and_is_found_when_it_comes() {
    let database = TestDatabase::sqlite();
    let reader = Store::open_existing(&database.settings()).await.unwrap();
    let error = chain(&reader.check().await.unwrap_err());
    assert!(error.contains("there is no database file") && error.contains("worker.db"), "{error}");
    assert!(reader.project(&project("acme")).await.is_err(), "it is not called missing");
    let error = chain(&reader.check().await.unwrap_err());
    assert!(error.contains("there is no database file"), "asking created none: {error}");
    import(&database.store().await, ACME).await;
    reader.check().await.unwrap();
    assert!(reader.project(&project("acme")).await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a worker.db");
    let store = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
    store.migrate().await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_in_a_folder_that_does_not_exist_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("worker.db");
    let error = Store::open(&format!("sqlite://{}", path.display())).await.unwrap_err();
    assert!(error.to_string().contains(&format!("'{}'", path.display())), "{error}");
}

#[tokio::test]
async fn secrets_are_in_no_debug_output() {
    let documents = parsed(&ACME.replace("{{ secrets.SHOP_TOKEN }}", "${SHOP_TOKEN}"));
    let shown = format!("{documents:?} {:?}", documents[0].document());
    assert!(shown.contains("acme.yaml") && shown.contains("SHOP_TOKEN"), "{shown}");
    for value in SECRET_VALUES {
        assert!(!shown.contains(value), "{shown}");
    }
}

#[test]
fn a_definition_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.yaml");
    let error = SourceFile::read(&path).err().unwrap();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    std::fs::write(&path, "project: { id: acme }").unwrap();
    let file = SourceFile::read(&path).unwrap();
    assert_eq!(parse(&[file], &variable).unwrap()[0].document().project.id, project("acme"));
}
