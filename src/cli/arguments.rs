//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use crate::events::{
    BatchRunId, CassetteMode, CassetteName, Cost, InvalidId, ProjectId, ReferenceId, RunId, ScenarioId,
    TargetRef, TargetType,
};
use crate::settings::{self, Problem, Settings, SettingsError};

use super::error::{CliError, chain};
use super::schedule::{Axis, parse_axis};

/// The durable runner of AI-agent simulations on NATS JetStream.
#[derive(Debug, Parser)]
#[command(name = "scenario-worker", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) layers: Layers,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Where the settings come from.
#[derive(Debug, Args)]
pub(super) struct Layers {
    /// A settings file in TOML; `config show` prints what can be in it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The broker (setting `nats.url`).
    #[arg(long, global = true, value_name = "URL")]
    nats_url: Option<String>,
    /// The store of definitions (setting `store.url`).
    #[arg(long, global = true, value_name = "URL")]
    store_url: Option<String>,
}

impl Layers {
    /// The settings of all layers, checked as a whole.
    pub(super) fn settings(&self) -> Result<Settings, CliError> {
        self.settings_with([])
    }

    /// The settings of all layers and of a command's own flags, checked as a whole.
    pub(super) fn settings_with<const N: usize>(
        &self,
        flags: [(&'static str, Option<String>); N],
    ) -> Result<Settings, CliError> {
        self.read(flags).map_err(CliError::refused)
    }

    fn read<const N: usize>(
        &self,
        flags: [(&'static str, Option<String>); N],
    ) -> Result<Settings, SettingsError> {
        let global = [("nats.url", self.nats_url.clone()), ("store.url", self.store_url.clone())];
        let overrides: Vec<(&str, String)> =
            global.into_iter().chain(flags).filter_map(|(name, value)| Some((name, value?))).collect();
        settings::load(self.config.as_deref(), std::env::vars(), &overrides)
    }

    /// The settings of all layers, or everything that is wrong with them.
    pub(super) fn check(&self) -> Result<Settings, Vec<Problem>> {
        self.read([]).map_err(|error| match error {
            SettingsError::Invalid(problems) => problems,
            other => vec![Problem::of_all(chain(&other))],
        })
    }

    /// The file of settings that was named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Refuses flags that `command` would ignore.
    pub(super) fn refuse_for(&self, command: &str) -> Result<(), CliError> {
        let given = [
            ("--config", self.config.is_some()),
            ("--nats-url", self.nats_url.is_some()),
            ("--store-url", self.store_url.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                Err(CliError::Refused(format!("`{command}` brings its own settings and takes no {flag}")))
            }
            None => Ok(()),
        }
    }
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the worker until SIGTERM or Ctrl-C.
    Serve(ServeOptions),
    /// See it all on this machine: broker, models and agent included, nothing to set up.
    Demo(DemoOptions),
    /// Ask for a run, after checking that everything it needs is there.
    Schedule(Box<ScheduleOptions>),
    /// Stop a run, or every run of a batch.
    Cancel(CancelOptions),
    /// Watch conversations as they happen.
    Watch(WatchOptions),
    /// List runs that are over, or show one with its reasons.
    Runs(super::runs::RunsOptions),
    /// Judge a finished run again, by other criteria or another judge, without asking the agent.
    Rejudge(RejudgeOptions),
    /// Load definition files into the store, all of them or nothing.
    Import(ImportOptions),
    /// Create or update the store's tables, and seal credentials anew that are not sealed with the first key.
    Migrate(SaidOptions),
    /// Keys that seal credentials in the store.
    Keys(KeysOptions),
    /// See what could not be run, run it again, or drop it.
    DeadLetters(DeadLetterOptions),
    /// Ask the worker on this machine (setting `http.bind`) whether it is alive, or ready: exit code 0, else 1.
    Health(HealthOptions),
    /// Check the settings, or show what is in force.
    Config(ConfigOptions),
    /// Print what payloads and definition files look like, as JSON Schemas, and what travels where.
    Schemas(SchemaOptions),
    /// Print what a shell needs to complete commands and flags.
    Completions(CompletionOptions),
    /// Print a manual page, or write all of them into a folder.
    Man(ManOptions),
    /// Play one run that a worker sends on the standard input.
    #[command(hide = true)]
    ExecuteRun(ExecuteRunOptions),
}

/// Options of `execute-run`.
#[derive(Debug, Args)]
pub(super) struct ExecuteRunOptions {
    /// Memory that the process may ask for (setting `run.process.memory_bytes`).
    #[arg(long, value_name = "BYTES")]
    pub(super) memory_bytes: u64,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeOptions {
    /// Runs in flight in this process (setting `worker.concurrency`).
    #[arg(long, value_name = "N")]
    pub(super) concurrency: Option<usize>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Leave everything running afterwards, to poke at.
    #[arg(long)]
    pub(super) keep: bool,
    /// The nats-server to start; else `NATS_SERVER`, the `PATH` and `.tools/` are searched.
    #[arg(long, value_name = "FILE", env = "NATS_SERVER")]
    pub(super) nats_server: Option<PathBuf>,
}

/// Options of `schedule`.
#[derive(Debug, Args)]
pub(super) struct ScheduleOptions {
    /// The project.
    #[arg(long, value_parser = parse_project)]
    pub(super) project: ProjectId,
    /// The scenario.
    #[arg(long, value_parser = parse_scenario)]
    pub(super) scenario: Option<ScenarioId>,
    /// The agent under test, such as `http:shop-agent` or `prompt:support`.
    #[arg(long, value_parser = parse_target, value_name = "TYPE:ID")]
    pub(super) target: Option<TargetRef>,
    /// Vary something: `scenario`, `target`, `judge`, `user-simulator`, or a parameter by its name. Given several times,
    /// every combination is played; all runs are one batch.
    #[arg(long, value_parser = parse_axis, value_name = "NAME=VALUE,VALUE")]
    pub(super) matrix: Vec<Axis>,
    /// How many runs, of each combination if there is a matrix.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,
    /// Wait for the outcomes; exit code 1 if one did not pass.
    #[arg(long)]
    pub(super) wait: bool,
    /// Print receipts, and with --wait outcomes, as JSON lines.
    #[arg(long)]
    pub(super) json: bool,
    /// Idempotency key: the same command with the same key twice asks for the same runs, not for more.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// The run's id; made up if missing.
    #[arg(long, value_parser = parse_run, conflicts_with_all = ["repeat", "matrix"], value_name = "ID")]
    pub(super) run_id: Option<RunId>,
    /// The batch's id.
    #[arg(long, value_parser = parse_batch, value_name = "ID")]
    pub(super) batch: Option<BatchRunId>,
    /// The set's id.
    #[arg(long, value_name = "ID")]
    pub(super) set: Option<String>,
    /// A parameter of the scenario; the value is JSON if it can be read as such, else text.
    #[arg(long = "param", value_parser = parse_parameter, value_name = "NAME=VALUE")]
    pub(super) parameters: Vec<(String, Value)>,
    /// The customer's model.
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub(super) user_simulator_model: Option<String>,
    /// The judge's model; several are a panel that decides by majority.
    #[arg(long = "judge-model", value_name = "PROVIDER/MODEL")]
    pub(super) judge_models: Vec<String>,
    /// Turns after which the judge must decide.
    #[arg(long, value_name = "N")]
    pub(super) max_turns: Option<u32>,
    /// Turns before which the judge is not asked.
    #[arg(long, value_name = "N")]
    pub(super) min_turns: Option<u32>,
    /// Time for the whole run.
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout_seconds: Option<u64>,
    /// The most that a run's calls of models may cost together.
    #[arg(long, value_name = "USD", value_parser = parse_cost)]
    pub(super) max_cost_usd: Option<Cost>,
    /// The most tokens that a run's calls of models may use together.
    #[arg(long, value_name = "N")]
    pub(super) max_tokens: Option<u64>,
    /// Keep everything that a run says and hears, or let it hear what was kept, asking nobody.
    #[arg(long, value_name = "record|replay", value_parser = parse_cassette_mode)]
    pub(super) cassette: Option<CassetteMode>,
    /// The recording's name; scenario and target name the one that has none.
    #[arg(long, value_name = "NAME", requires = "cassette", value_parser = parse_cassette_name)]
    pub(super) cassette_name: Option<CassetteName>,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub(super) struct CancelOptions {
    /// The project.
    #[arg(long, value_parser = parse_project)]
    pub(super) project: ProjectId,
    /// The run.
    #[arg(value_parser = parse_run, required_unless_present = "batch", conflicts_with = "batch", value_name = "RUN_ID")]
    pub(super) run: Option<RunId>,
    /// Every run of this batch instead.
    #[arg(long, value_parser = parse_batch, value_name = "ID")]
    pub(super) batch: Option<BatchRunId>,
    /// Print what came of it as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `rejudge`.
#[derive(Debug, Args)]
pub(super) struct RejudgeOptions {
    /// The project.
    #[arg(long, value_parser = parse_project)]
    pub(super) project: ProjectId,
    /// The run.
    #[arg(value_parser = parse_run, value_name = "RUN_ID")]
    pub(super) run: RunId,
    /// A criterion; given at all, these replace the scenario's.
    #[arg(long = "criterion", value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) criteria: Vec<String>,
    /// The judge's model; several are a panel that decides by majority.
    #[arg(long = "judge-model", value_name = "PROVIDER/MODEL")]
    pub(super) judge_models: Vec<String>,
    /// A parameter of the scenario, as the run had it; the value is JSON if it can be read as such, else text.
    #[arg(long = "param", value_parser = parse_parameter, value_name = "NAME=VALUE")]
    pub(super) parameters: Vec<(String, Value)>,
    /// Print the judgement as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `watch`.
#[derive(Debug, Args)]
pub(super) struct WatchOptions {
    /// One run, from its beginning, until its outcome.
    #[arg(long, value_parser = parse_run, value_name = "ID", conflicts_with = "batch")]
    pub(super) run: Option<RunId>,
    /// The runs of one batch, from their beginning.
    #[arg(long, value_parser = parse_batch, value_name = "ID")]
    pub(super) batch: Option<BatchRunId>,
    /// Runs of one project only.
    #[arg(long, value_parser = parse_project, value_name = "ID")]
    pub(super) project: Option<ProjectId>,
    /// How many runs the batch has: when all of them are over the watching ends, with exit code 1 if one did not pass.
    #[arg(long, value_name = "N", requires = "batch", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) size: Option<u32>,
    /// In the end show the run as a tree: turns, messages, tools and judgement, with what they took.
    #[arg(long, requires = "run", conflicts_with = "json")]
    pub(super) tree: bool,
    /// Print events as JSON lines.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    /// YAML or JSON files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Also remove what a named project has in the store and not in the files.
    #[arg(long)]
    pub(super) prune: bool,
    /// Print what was changed as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `dead-letters`.
#[derive(Debug, Args)]
pub(super) struct DeadLetterOptions {
    #[command(subcommand)]
    pub(super) action: DeadLetterAction,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetterAction {
    /// Show them, oldest first.
    List {
        /// Only those of this project.
        #[arg(long, value_parser = parse_project)]
        project: Option<ProjectId>,
        /// Print them as JSON lines, payload and headers included.
        #[arg(long)]
        json: bool,
    },
    /// Publish their messages again, as they were but for a fresh idempotency key, and delete them.
    Redrive(ChosenLetters),
    /// Delete them.
    Discard(ChosenLetters),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(super) struct ChosenLetters {
    /// Their sequences, as `list` shows them.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "SEQUENCE")]
    pub(super) sequences: Vec<u64>,
    /// Every one that is there now.
    #[arg(long)]
    pub(super) all: bool,
    /// Print what became of each as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `keys`.
#[derive(Debug, Args)]
pub(super) struct KeysOptions {
    #[command(subcommand)]
    pub(super) action: KeysAction,
}

/// What to do with keys.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum KeysAction {
    /// Print a new key, for a file that `store.encryption_keys_file` names.
    Generate,
}

/// Options of `schemas`.
#[derive(Debug, Args)]
pub(super) struct SchemaOptions {
    /// The schema to print, such as `run-completed` or `definitions`; without it, the names of all.
    #[arg(value_name = "NAME", conflicts_with = "write")]
    pub(super) name: Option<String>,
    /// Write all of them into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub(super) write: Option<PathBuf>,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionOptions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// The command, such as `schedule` or `dead-letters list`; without it, the page of the program.
    #[arg(value_name = "COMMAND", conflicts_with = "write")]
    pub(super) command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "FOLDER")]
    pub(super) write: Option<PathBuf>,
}

/// Options of a command that says what it did.
#[derive(Debug, Args)]
pub(super) struct SaidOptions {
    /// Print what was done as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `health`.
#[derive(Debug, Args)]
pub(super) struct HealthOptions {
    /// Ask whether it is ready for requests: broker, streams and definitions are there.
    #[arg(long)]
    pub(super) ready: bool,
    /// Ask again for so long until it is, as where it has just been started.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    pub(super) wait: u16,
    /// Print what it says as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `config`.
#[derive(Debug, Args)]
pub(super) struct ConfigOptions {
    #[command(subcommand)]
    pub(super) action: ConfigAction,
}

/// Options of `config check`.
#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// Also ask the store and the broker: whether they are there, and have what a worker needs.
    #[arg(long)]
    pub(super) connect: bool,
    /// Print each finding as a JSON line.
    #[arg(long)]
    pub(super) json: bool,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigAction {
    /// Say whether the settings can be used; list every problem.
    Check(CheckOptions),
    /// Print the settings in force, secrets left out.
    Show {
        /// Print them as one JSON line.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn parse_project(text: &str) -> Result<ProjectId, String> {
    ProjectId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_scenario(text: &str) -> Result<ScenarioId, String> {
    ScenarioId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_run(text: &str) -> Result<RunId, String> {
    RunId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_batch(text: &str) -> Result<BatchRunId, String> {
    BatchRunId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_target(text: &str) -> Result<TargetRef, String> {
    let (kind, id) = text.split_once(':').ok_or("a target is written TYPE:ID, such as http:shop-agent")?;
    let kind = TargetType::parse(kind).map_err(|error| error.to_string())?;
    let reference_id = ReferenceId::parse(id).map_err(|error| error.to_string())?;
    Ok(TargetRef { kind, reference_id })
}

fn parse_cost(text: &str) -> Result<Cost, String> {
    let usd: f64 = text.parse().map_err(|_| "it must be a number of US dollars".to_owned())?;
    Cost::try_from(usd).map_err(|error| error.to_string())
}

fn parse_cassette_mode(text: &str) -> Result<CassetteMode, String> {
    match text {
        "record" => Ok(CassetteMode::Record),
        "replay" => Ok(CassetteMode::Replay),
        _ => Err("it must be `record` or `replay`".to_owned()),
    }
}

fn parse_cassette_name(text: &str) -> Result<CassetteName, InvalidId> {
    CassetteName::parse(text)
}

fn parse_parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is written NAME=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}
