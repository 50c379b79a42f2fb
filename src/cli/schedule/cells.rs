//! The cells of a matrix: every combination of what varies, each with the request of its runs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::axis::{Axis, Choice};
use crate::cli::arguments::ScheduleOptions;
use crate::cli::error::CliError;
use crate::events::{
    CassetteRequest, JudgeModels, ModelOverrides, RequestPayload, ScenarioId, TargetRef, TraceContextMode,
};

/// The most runs of one command. It bounds what a mistyped matrix costs, and what is waited for at once.
pub(in crate::cli) const MOST_RUNS: u64 = 5000;

/// One combination of what varies.
#[derive(Debug)]
pub(super) struct Cell {
    /// What it is, as axes and values; nothing where there is no matrix.
    pub(super) label: BTreeMap<String, String>,
    /// What is asked for. All of its runs are alike.
    pub(super) payload: RequestPayload,
}

impl Cell {
    /// The cell in one line.
    pub(super) fn name(&self) -> String {
        self.label.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// All cells, in the order of the axes and their values. The last axis varies first.
pub(super) fn cells(options: &ScheduleOptions) -> Result<Vec<Cell>, CliError> {
    check_size(options)?;
    check_axes(options)?;
    combinations(&options.matrix).into_iter().map(|chosen| cell(options, &chosen)).collect()
}

fn check_size(options: &ScheduleOptions) -> Result<(), CliError> {
    let sizes = options.matrix.iter().map(|axis| axis.choices.len() as u64);
    let runs = sizes.fold(u64::from(options.repeat), u64::saturating_mul);
    if runs <= MOST_RUNS {
        return Ok(());
    }
    let refusal = CliError::Refused(format!(
        "this asks for {runs} runs, and one command schedules at most {MOST_RUNS}"
    ));
    Err(refusal.hinted(
        "name fewer values, repeat less often, or split it into several commands with the same --batch",
    ))
}

/// What is given in two ways would be given in vain once.
fn check_axes(options: &ScheduleOptions) -> Result<(), CliError> {
    let mut seen: Vec<String> = Vec::new();
    for axis in &options.matrix {
        let Some((_, first)) = axis.choices.first() else { continue };
        let name = kind(first);
        if seen.contains(&name) {
            return Err(CliError::Refused(format!("--matrix {} is given twice", axis.name))
                .hinted(format!("name all of its values at once: --matrix {}=A,B", axis.name)));
        }
        if let Some(flag) = also_given(options, first) {
            return Err(CliError::Refused(format!("{flag} and --matrix {} are both given", axis.name))
                .hinted("leave one of them out"));
        }
        seen.push(name);
    }
    Ok(())
}

/// What an axis varies.
fn kind(choice: &Choice) -> String {
    match choice {
        Choice::Scenario(_) => "scenario".to_owned(),
        Choice::Target(_) => "target".to_owned(),
        Choice::Judge(_) => "judge".to_owned(),
        Choice::UserSimulator(_) => "user-simulator".to_owned(),
        Choice::Parameter(name, _) => format!("param.{name}"),
    }
}

/// The flag that says what the axis of `choice` says, if it is there.
fn also_given(options: &ScheduleOptions, choice: &Choice) -> Option<String> {
    let (is_given, flag) = match choice {
        Choice::Scenario(_) => (options.scenario.is_some(), "--scenario".to_owned()),
        Choice::Target(_) => (options.target.is_some(), "--target".to_owned()),
        Choice::Judge(_) => (!options.judge_models.is_empty(), "--judge-model".to_owned()),
        Choice::UserSimulator(_) => {
            (options.user_simulator_model.is_some(), "--user-simulator-model".to_owned())
        }
        Choice::Parameter(name, _) => {
            (options.parameters.iter().any(|(given, _)| given == name), format!("--param {name}"))
        }
    };
    is_given.then_some(flag)
}

/// One value of every axis, in all ways.
fn combinations(axes: &[Axis]) -> Vec<Vec<(&str, &(String, Choice))>> {
    axes.iter().fold(vec![Vec::new()], |so_far, axis| {
        let with = |chosen: &Vec<_>, choice| {
            let mut longer = chosen.clone();
            longer.push((axis.name.as_str(), choice));
            longer
        };
        so_far.iter().flat_map(|chosen| axis.choices.iter().map(move |choice| with(chosen, choice))).collect()
    })
}

fn cell(options: &ScheduleOptions, chosen: &[(&str, &(String, Choice))]) -> Result<Cell, CliError> {
    let mut wish = Wish::of(options)?;
    for (_, (_, choice)) in chosen {
        wish.choose(choice.clone());
    }
    let label = chosen.iter().map(|(axis, (shown, _))| ((*axis).to_owned(), shown.clone())).collect();
    Ok(Cell { label, payload: wish.payload(options)? })
}

/// What a cell decides.
struct Wish {
    scenario: Option<ScenarioId>,
    target: Option<TargetRef>,
    models: ModelOverrides,
    parameters: Map<String, Value>,
}

impl Wish {
    fn of(options: &ScheduleOptions) -> Result<Self, CliError> {
        let models = ModelOverrides {
            user_simulator: options.user_simulator_model.clone(),
            judge: judges(&options.judge_models)?,
        };
        let (scenario, target) = (options.scenario.clone(), options.target.clone());
        Ok(Self { scenario, target, models, parameters: options.parameters.iter().cloned().collect() })
    }

    fn choose(&mut self, choice: Choice) {
        match choice {
            Choice::Scenario(scenario) => self.scenario = Some(scenario),
            Choice::Target(target) => self.target = Some(target),
            Choice::Judge(judge) => self.models.judge = Some(judge),
            Choice::UserSimulator(model) => self.models.user_simulator = Some(model),
            Choice::Parameter(name, value) => drop(self.parameters.insert(name, value)),
        }
    }

    fn payload(self, options: &ScheduleOptions) -> Result<RequestPayload, CliError> {
        Ok(RequestPayload {
            project_id: options.project.clone(),
            scenario_id: self.scenario.ok_or_else(|| missing("scenario", "refund"))?,
            target: self.target.ok_or_else(|| missing("target", "http:shop-agent"))?,
            scenario_run_id: options.run_id.clone(),
            batch_run_id: options.batch.clone(),
            set_id: options.set.clone(),
            parameters: self.parameters,
            models: self.models,
            max_turns: options.max_turns,
            min_turns: options.min_turns,
            timeout_seconds: options.timeout_seconds,
            trace_context: TraceContextMode::default(),
            max_cost_usd: options.max_cost_usd,
            max_tokens: options.max_tokens,
            cassette: cassette(options),
        })
    }
}

fn missing(what: &str, example: &str) -> CliError {
    CliError::Refused(format!("which {what} is to be played is not said"))
        .hinted(format!("name it with --{what} {example}, or several with --matrix {what}={example},…"))
}

/// The judges that were named, if any were.
pub(in crate::cli) fn judges(names: &[String]) -> Result<Option<JudgeModels>, CliError> {
    if names.is_empty() {
        return Ok(None);
    }
    JudgeModels::try_from(names.to_vec()).map(Some).map_err(CliError::refused)
}

fn cassette(options: &ScheduleOptions) -> Option<CassetteRequest> {
    options.cassette.map(|mode| CassetteRequest { mode, name: options.cassette_name.clone() })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn options(flags: &[&str]) -> ScheduleOptions {
        let all = ["scenario-worker", "schedule", "--project", "acme"].iter().chain(flags);
        match Arguments::try_parse_from(all).unwrap().command {
            Command::Schedule(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn names(flags: &[&str]) -> Vec<String> {
        cells(&options(flags)).unwrap().iter().map(Cell::name).collect()
    }

    #[test]
    fn a_matrix_is_every_combination() {
        let flags = ["--matrix", "scenario=a,b", "--matrix", "region=eu,us", "--target", "http:x"];
        assert_eq!(
            names(&flags),
            ["region=eu scenario=a", "region=us scenario=a", "region=eu scenario=b", "region=us scenario=b"]
        );
        let made = cells(&options(&flags)).unwrap();
        assert_eq!(made[3].payload.scenario_id.as_str(), "b");
        assert_eq!(made[3].payload.parameters["region"], "us");
        assert_eq!(names(&["--scenario", "a", "--target", "http:x"]), [""], "no matrix is one cell");
    }

    #[test]
    fn what_is_too_much_twice_or_missing_is_refused_with_what_to_do() {
        let base = ["--scenario", "a", "--target", "http:x"];
        for (flags, part) in [
            (&["--scenario", "a"][..], "--target http:shop-agent"),
            (&["--target", "http:x"], "--matrix scenario="),
            (&[&base[..], &["--repeat", "2501", "--matrix", "n=1,2"]].concat(), "5002 runs"),
            (&[&base[..], &["--matrix", "n=1", "--matrix", "param.n=2"]].concat(), "given twice"),
            (&[&base[..], &["--matrix", "scenario=b"]].concat(), "--scenario and --matrix scenario"),
            (&[&base[..], &["--param", "n=1", "--matrix", "n=1"]].concat(), "--param n and --matrix n"),
        ] {
            let error = cells(&options(flags)).unwrap_err().to_string();
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
        let most = [&base[..], &["--repeat", "5000"]].concat();
        assert_eq!(cells(&options(&most)).unwrap().len(), 1, "the limit itself is allowed");
    }
}
