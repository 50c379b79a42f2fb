//! The built program as a stranger runs it: a folder, some environment, a process.

use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::nats::{self, NatsAccount, Role};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_scenario-worker");
/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Says where the runs of every worker of the tests execute: `task` or `process`.
const ISOLATION: &str = "SCENARIO_TEST_ISOLATION";

/// How often a condition outside of this process is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A place with a broker account and a SQLite file, where the program is run.
pub(crate) struct Place {
    /// The account of the broker.
    pub(crate) nats: NatsAccount,
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// Whether each user of the broker has an inbox of its own.
    own_inboxes: bool,
}

impl Place {
    /// A new place with an account of its own.
    pub(crate) fn new() -> Self {
        Self::on(nats::account())
    }

    /// A new place whose broker's password can be searched for.
    pub(crate) fn with_secret_password() -> Self {
        Self::on(nats::account().with_secret_password())
    }

    /// A new place on an account.
    pub(crate) fn on(nats: NatsAccount) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { nats, folder, environment: Vec::new(), own_inboxes: false };
        let store = format!("sqlite://{}", place.path("worker.db").display());
        let place = place.with("STORE__URL", &store).with("HTTP__BIND", "127.0.0.1:0");
        match std::env::var(ISOLATION) {
            Ok(isolation) => place.with("RUN__ISOLATION", &isolation),
            Err(_) => place,
        }
    }

    /// A setting, as `SECTION__KEY`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((format!("SCENARIO_WORKER__{name}"), value.to_owned()));
        self
    }

    /// A setting that names a file of the place, with `content`.
    pub(crate) fn with_file(self, name: &str, content: &str) -> Self {
        let file = self.path(name);
        std::fs::write(&file, content).unwrap();
        self.with(name, file.to_str().unwrap())
    }

    /// Each user of the broker has an inbox of its own, which begins with `_INBOX_` and the user's name.
    pub(crate) fn with_own_inboxes(self) -> Self {
        Self { own_inboxes: true, ..self }
    }

    /// A variable of any name.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file of the place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with `arguments`, as the user of the broker that this command is for.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        let user = arguments.first().map_or(Role::Client, |command| role(command));
        command
            .args(arguments)
            .env_clear()
            .env("SCENARIO_WORKER__NATS__URL", self.nats.with_role(user).url)
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path());
        if self.own_inboxes {
            command.env("SCENARIO_WORKER__NATS__INBOX_PREFIX", format!("_INBOX_{}", user.name()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        tokio::time::timeout(PATIENCE, self.command(arguments).output()).await.unwrap().unwrap()
    }

    /// Imports definitions, which have to be good.
    pub(crate) async fn import(&self, definitions: &str) {
        let file = self.path("definitions.yaml");
        std::fs::write(&file, definitions).unwrap();
        let output = self.run(&["import", file.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Starts a worker and waits until it takes requests.
    pub(crate) async fn serve(&self) -> Worker {
        self.serve_until("takes requests", "health").await
    }

    /// Starts a worker and waits until its health server is there.
    pub(crate) async fn begin(&self) -> Worker {
        self.serve_until("health and metrics are served", "address").await
    }

    /// Starts a worker and waits for a line of its log with `words`, which has its address behind `name`.
    async fn serve_until(&self, words: &str, name: &str) -> Worker {
        let mut child = self.command(&["serve"]).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = health_address(&mut log, words, name);
        let (health, said) = tokio::time::timeout(PATIENCE, said).await.unwrap();
        // The rest of the log is read, so that the worker never blocks on a full pipe.
        let rest = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Ok(Some(line)) = log.next_line().await {
                lines.push(line);
            }
            lines
        });
        Worker { child, health, said, rest }
    }
}

/// Whom deploy/nats-permissions.conf means a command for.
fn role(command: &str) -> Role {
    match command {
        "serve" | "config" => Role::Worker,
        "watch" => Role::Watcher,
        "dead-letters" | "rejudge" => Role::Operator,
        _ => Role::Client,
    }
}

/// The address, and what was said before it.
async fn health_address(
    log: &mut Lines<BufReader<ChildStderr>>,
    words: &str,
    name: &str,
) -> (String, Vec<String>) {
    let mut seen = Vec::new();
    while let Some(line) = log.next_line().await.unwrap() {
        if let (true, Some(address)) = (line.contains(words), field(&line, name)) {
            return (address, seen);
        }
        seen.push(line);
    }
    panic!("the worker ended before it said '{words}':\n{}", seen.join("\n"));
}

/// A field of a line of the log, in either format.
fn field(line: &str, name: &str) -> Option<String> {
    if let Ok(object) = serde_json::from_str::<Value>(line) {
        return object[name].as_str().map(str::to_owned);
    }
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// A running worker. It is killed when this is dropped.
pub(crate) struct Worker {
    child: Child,
    health: String,
    /// What it logged before it took requests.
    said: Vec<String>,
    rest: tokio::task::JoinHandle<Vec<String>>,
}

impl Worker {
    /// Kills it, as a crash would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Kills it, as a crash would, and returns what it logged.
    pub(crate) async fn killed(self) -> Vec<String> {
        signal(&self.child, "KILL");
        self.ended().await.1
    }

    /// Asks it to stop, as Kubernetes would.
    pub(crate) fn terminate(&self) {
        signal(&self.child, "TERM");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the worker runs")
    }

    /// Where its health server listens.
    pub(crate) fn health(&self) -> &str {
        &self.health
    }

    /// Where it takes spans of targets.
    pub(crate) fn receiver(&self) -> String {
        let line = self.said.iter().find(|line| line.contains("spans of targets are taken"));
        format!("http://{}", field(line.expect("it takes spans"), "address").unwrap())
    }

    /// Waits for its end, and returns what it logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status, self.rest.await.unwrap())
    }

    /// What its health server answers.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let client = scenario_worker::http_client::builder().build().unwrap();
        let response = client.get(format!("http://{}{path}", self.health)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Waits until its readiness is `status`, with `words`.
    pub(crate) async fn until_ready(&self, status: u16, words: &str) {
        within(async || {
            let (found, body) = self.get("/readyz").await;
            found == status && body.contains(words)
        })
        .await;
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }
}

/// Sends a running process a signal, as `INT` or `TERM`.
pub(crate) fn signal(process: &Child, name: &str) {
    let id = process.id().expect("the process runs").to_string();
    let sent = std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap();
    assert!(sent.success());
}

/// Reads the standard error of a process up to a line with `words`.
pub(crate) async fn until_said(process: &mut Child, words: &str) -> Lines<BufReader<ChildStderr>> {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(words) {
                return;
            }
            seen.push(line);
        }
        panic!("the process ended without saying '{words}':\n{}", seen.join("\n"));
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it is said in time");
    lines
}

/// Output of a program as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Output of a program as JSON lines.
pub(crate) fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until something outside of this process is so.
pub(crate) async fn within(is_so: impl AsyncFn() -> bool) {
    let until = async {
        while !is_so().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect("it becomes so in time");
}
