//! Asking for the runs: all of them are looked at first, then each is published.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::{Cell, cells};
use super::keys::Keys;
use crate::cli::arguments::ScheduleOptions;
use crate::cli::error::CliError;
use crate::cli::names;
use crate::cli::terminal::{DIM, clear_progress, emit, progress, say, styled};
use crate::cli::wiring::Definitions;
use crate::events::{BatchRunId, Receipt, ReceiptError, RunId};
use crate::execution::ports::ScenarioRepository as _;
use crate::queue::Scheduler;

/// The most runs that have a line each when they are scheduled.
const MOST_LINES: u64 = 10;

/// What a command asks for.
pub(super) struct Order {
    /// How it was said.
    pub(super) options: ScheduleOptions,
    /// What is played.
    pub(super) cells: Vec<Cell>,
    keys: Keys,
    batch: Option<BatchRunId>,
}

/// What the stream has of an order.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    /// The runs, each with the position of its cell.
    pub(super) runs: BTreeMap<RunId, usize>,
    /// Those that the stream had before.
    duplicates: usize,
}

/// A receipt as a JSON line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    receipt: &'a Receipt,
    /// Which combination of a matrix it is about.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    cell: &'a BTreeMap<String, String>,
}

impl Order {
    /// Everything that `options` ask for.
    pub(super) fn new(options: ScheduleOptions) -> Result<Self, CliError> {
        let mut cells = cells(&options)?;
        let keys = Keys::new(&options, cells.len() == 1 && options.repeat == 1);
        let batch = keys.batch(&options);
        for cell in &mut cells {
            cell.payload.batch_run_id.clone_from(&batch);
        }
        Ok(Self { options, cells, keys, batch })
    }

    /// How many runs there are.
    pub(super) fn size(&self) -> u64 {
        self.cells.len() as u64 * u64::from(self.options.repeat)
    }

    /// Whether it is one run.
    pub(super) fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Refuses all where one cell cannot be played: nothing is published then. One run is looked at when it is scheduled.
    pub(super) async fn check(
        &self,
        scheduler: &Scheduler,
        definitions: &Definitions,
    ) -> Result<(), CliError> {
        if self.is_alone() {
            return Ok(());
        }
        self.check_secrets(definitions).await?;
        let mut refused = Vec::new();
        for cell in &self.cells {
            let key = self.keys.of(cell, self.options.repeat);
            let refusal = scheduler.refusal(cell.payload.clone(), key.as_deref()).await;
            if let Some(error) = refusal.map_err(|error| CliError::out_of_reach(&error))? {
                refused.push(self.refuse(cell, error, definitions).await?);
            }
        }
        self.summarized(refused)
    }

    /// What varies is shown, which a secret must never be.
    async fn check_secrets(&self, definitions: &Definitions) -> Result<(), CliError> {
        for cell in self.cells.iter().filter(|cell| !cell.label.is_empty()) {
            let (project, id) = (&cell.payload.project_id, &cell.payload.scenario_id);
            let found = definitions.store.scenario(project, id).await;
            let found = found.map_err(|error| CliError::out_of_reach(&error))?;
            let secrets = found.into_iter().flat_map(|scenario| scenario.parameters);
            let mut shown = secrets.filter(|parameter| parameter.secret && self.varies(&parameter.name));
            if let Some(parameter) = shown.next() {
                let name = &parameter.name;
                let refusal = CliError::Refused(format!(
                    "the parameter '{name}' of {id} is a secret, and a matrix is shown"
                ));
                return Err(
                    refusal.hinted(format!("give it with --param {name}=…, in one command for each value"))
                );
            }
        }
        Ok(())
    }

    fn varies(&self, parameter: &str) -> bool {
        let is_it = |axis: &super::Axis| axis.name == parameter || axis.name == format!("param.{parameter}");
        self.options.matrix.iter().any(is_it)
    }

    fn summarized(&self, refused: Vec<CliError>) -> Result<(), CliError> {
        let (count, all) = (refused.len(), self.cells.len());
        let lines: Vec<String> = refused.iter().map(ToString::to_string).collect();
        match (count, all) {
            (0, _) => Ok(()),
            (_, 1) => Err(refused.into_iter().next().unwrap_or(CliError::NobodyReads)),
            _ => Err(CliError::Refused(format!(
                "{count} of {all} combinations cannot be played, so nothing is scheduled:\n{}",
                lines.join("\n")
            ))
            .emitted_if(self.options.json)),
        }
    }

    /// Schedules what is not scheduled yet.
    pub(super) async fn schedule(
        &self,
        scheduler: &Scheduler,
        definitions: &Definitions,
        ordered: &mut Ordered,
    ) -> Result<(), CliError> {
        for (position, cell) in self.cells.iter().enumerate() {
            for number in 1..=self.options.repeat {
                self.show_progress(ordered);
                let key = self.keys.of(cell, number);
                let receipt = scheduler.schedule(cell.payload.clone(), key.as_deref(), None).await;
                let receipt =
                    receipt.map_err(|error| self.broken_off(CliError::out_of_reach(&error), ordered))?;
                if let Receipt::Refused { error, .. } = receipt {
                    let refused = self.refuse(cell, error, definitions).await?;
                    return Err(self.broken_off(refused, ordered));
                }
                self.take(position, &receipt, ordered)?;
            }
        }
        self.announce(ordered);
        Ok(())
    }

    fn show_progress(&self, ordered: &Ordered) {
        if !self.is_alone() && !self.options.json {
            progress(format!("{} of {} runs are scheduled", ordered.runs.len(), self.size()));
        }
    }

    fn take(&self, position: usize, receipt: &Receipt, ordered: &mut Ordered) -> Result<(), CliError> {
        let Receipt::Scheduled { scenario_run_id, job_id, duplicate, .. } = receipt else { return Ok(()) };
        if self.options.json {
            emit(&Line { receipt, cell: &self.cells[position].label })?;
        } else if self.size() <= MOST_LINES {
            let what = if *duplicate { "was scheduled before" } else { "is scheduled" };
            let cell = self.cells[position].name();
            say(format!("{scenario_run_id} {what} (job {job_id}) {cell}").trim_end());
        }
        ordered.duplicates += usize::from(*duplicate);
        ordered.runs.insert(scenario_run_id.clone(), position);
        Ok(())
    }

    /// Tells of a refusal, with the names that there are.
    async fn refuse(
        &self,
        cell: &Cell,
        error: ReceiptError,
        definitions: &Definitions,
    ) -> Result<CliError, CliError> {
        let hint = match &error.hint {
            Some(hint) => Some(hint.clone()),
            None => names::suggestion(&definitions.store, &cell.payload, &error.code).await,
        };
        if self.options.json {
            let receipt = Receipt::refused(&*error.code, &*error.message).with_hint(hint.clone());
            emit(&Line { receipt: &receipt, cell: &cell.label })?;
        }
        let name = if cell.label.is_empty() { String::new() } else { format!("{}: ", cell.name()) };
        let refused = CliError::Refused(format!("{name}{}", error.message)).hinted_if(hint);
        Ok(refused.emitted_if(self.options.json && self.cells.len() == 1))
    }

    /// The same error, with how to go on.
    fn broken_off(&self, error: CliError, ordered: &Ordered) -> CliError {
        clear_progress();
        if self.is_alone() { error } else { error.hinted(self.rest(ordered)) }
    }

    fn rest(&self, ordered: &Ordered) -> String {
        let (done, size, key) = (ordered.runs.len(), self.size(), &self.keys.base);
        let batch = self.batch.as_ref().map(|batch| format!(" (batch {batch})")).unwrap_or_default();
        format!(
            "{done} of {size} runs are scheduled{batch}; the same command with --key {key} schedules the rest, and none twice"
        )
    }

    /// What is said to somebody who leaves before the end.
    pub(super) fn left_behind(&self, ordered: &Ordered) -> String {
        if (ordered.runs.len() as u64) < self.size() {
            return self.rest(ordered);
        }
        format!("the runs go on; {}", self.how_to_watch())
    }

    fn how_to_watch(&self) -> String {
        let (project, size) = (&self.options.project, self.size());
        let batch = self.batch.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("follow them with: scenario-worker watch --project {project} --batch {batch} --size {size}")
    }

    fn announce(&self, ordered: &Ordered) {
        clear_progress();
        if let (false, false, Some(batch)) = (self.is_alone(), self.options.json, &self.batch) {
            let before = match ordered.duplicates {
                0 => String::new(),
                some => format!(", {some} of them before"),
            };
            say(format_args!("batch {batch}: {} runs are scheduled{before}", self.size()));
            if !self.options.wait {
                say(styled(DIM, self.how_to_watch()));
            }
        }
    }
}
