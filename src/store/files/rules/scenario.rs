//! Rules of a scenario.

use super::settings::sampling;
use super::{between, check, model, parameter, script, some_text, text};
use crate::definitions::{Opening, Scenario, ScriptStep};
use crate::events::{JudgeModels, MAX_TURNS_LIMIT};
use crate::store::files::field::Field;
use crate::store::files::node::Content;
use crate::store::files::reader::Reader;

pub(in crate::store::files) fn scenario(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    criteria(reader, &field.at("criteria"), scenario);
    between(reader, &field.at("maxTurns"), scenario.max_turns, 1, MAX_TURNS_LIMIT);
    let most = scenario.max_turns.unwrap_or(MAX_TURNS_LIMIT);
    between(reader, &field.at("minTurns"), scenario.min_turns, 0, most);
    default_turns(reader, &field.at("minTurns"), scenario);
    models(reader, &field.at("models"), scenario);
    sampling(reader, &field.at("userSimulator"), &scenario.user_simulator.sampling());
    sampling(reader, &field.at("judge"), &scenario.judge);
    parameter::parameters(reader, &field.at("parameters"), &scenario.parameters);
    opening(reader, &field.at("starts"), scenario);
    script::script(reader, &field.at("script"), scenario);
    check::checks(reader, &field.at("checks"), &scenario.checks);
    check::names(reader, field, scenario);
    text::scenario(reader, field, &scenario.parameters);
}

/// A run whose request says nothing either plays at most the default.
fn default_turns(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    let (Some(least), None) = (scenario.min_turns, scenario.max_turns) else { return };
    match reader.surroundings.max_turns {
        Some(most) if least > most && least <= MAX_TURNS_LIMIT => {
            let reason =
                format!("is {least}, more than the setting `run.max_turns` ({most}): give `maxTurns`, too");
            reader.report(field, reason);
        }
        _ => {}
    }
}

fn models(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    model(reader, &field.at("userSimulator"), scenario.models.user_simulator.as_deref());
    let judge = field.at("judge");
    let panel = matches!(judge.node.content, Content::List(_));
    for (index, name) in scenario.models.judge.iter().flat_map(JudgeModels::names).enumerate() {
        let place = if panel { judge.item(index) } else { judge.clone() };
        model(reader, &place, Some(name));
    }
}

fn criteria(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    let Scenario { criteria, checks, script, .. } = scenario;
    if criteria.is_empty() && checks.is_empty() && !script.iter().any(concludes) {
        reader.report(field, "must have at least one criterion: a run without any could not be judged");
    }
    for (index, text) in criteria.iter().enumerate() {
        some_text(reader, &field.item(index), text);
    }
    if !criteria.is_empty() && script.iter().any(decides) && !script.iter().any(leads_to_the_judge) {
        reader.report(field, "are never judged: the script ends the run before; end it with `judge` instead");
    }
}

/// Whether a step ends the run by itself.
fn decides(step: &ScriptStep) -> bool {
    matches!(step, ScriptStep::Succeed(_) | ScriptStep::Fail(_))
}

/// Whether the scenario's criteria may be judged at a step.
fn leads_to_the_judge(step: &ScriptStep) -> bool {
    match step {
        ScriptStep::Judge(judge) => judge.criteria.is_empty(),
        ScriptStep::Proceed(_) => true,
        _ => false,
    }
}

/// Whether a step asks for something by itself.
fn concludes(step: &ScriptStep) -> bool {
    match step {
        ScriptStep::Judge(judge) => !judge.criteria.is_empty(),
        ScriptStep::Check(_) | ScriptStep::Succeed(_) | ScriptStep::Fail(_) => true,
        ScriptStep::User(_) | ScriptStep::Agent(_) | ScriptStep::Message(_) | ScriptStep::Proceed(_) => false,
    }
}

fn opening(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    if scenario.starts == Opening::Agent && !scenario.script.is_empty() {
        reader.report(field, "says nothing beside a script: begin the script with the step `agent`");
    }
}
