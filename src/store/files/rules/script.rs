//! Rules of a script.

use super::{between, check, some_text};
use crate::definitions::{Check, JudgeStep, ProceedStep, Scenario, ScriptStep};
use crate::events::{MAX_TURNS_LIMIT, UsageByRole};
use crate::execution::checks::{Observed, Standing, examine};
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The most steps: some for each move of the longest run.
const MAX_STEPS: usize = 500;

pub(super) fn script(reader: &mut Reader<'_>, field: &Field<'_>, scenario: &Scenario) {
    let steps = &scenario.script;
    if steps.len() > MAX_STEPS {
        reader.report(field, format!("has {} steps; it can have {MAX_STEPS}", steps.len()));
    }
    for (index, written) in steps.iter().enumerate() {
        step(reader, &field.item(index), written, scenario);
    }
    let end = steps.iter().position(ends_the_run).filter(|end| end + 1 < steps.len());
    if let Some(end) = end {
        let reason = format!("is never played: {}", why_over(&steps[end], end));
        reader.report(&field.item(end + 1), reason);
    }
}

fn step(reader: &mut Reader<'_>, field: &Field<'_>, step: &ScriptStep, scenario: &Scenario) {
    match step {
        ScriptStep::User(words) => words_of(reader, &field.at("user"), words.as_deref()),
        ScriptStep::Agent(words) => words_of(reader, &field.at("agent"), words.as_deref()),
        ScriptStep::Succeed(words) => words_of(reader, &field.at("succeed"), words.as_deref()),
        ScriptStep::Fail(words) => words_of(reader, &field.at("fail"), words.as_deref()),
        ScriptStep::Message(message) => {
            some_text(reader, &field.at("message").at("content"), &message.content);
        }
        ScriptStep::Judge(step) => judge(reader, &field.at("judge"), step, scenario),
        ScriptStep::Proceed(step) => proceed(reader, &field.at("proceed"), step),
        ScriptStep::Check(own) => check::check(reader, &field.at("check"), own),
    }
}

fn words_of(reader: &mut Reader<'_>, field: &Field<'_>, words: Option<&str>) {
    if words.is_some_and(|words| words.trim().is_empty()) {
        reader.report(field, "must have a text, or nothing behind its name");
    }
}

fn judge(reader: &mut Reader<'_>, field: &Field<'_>, step: &JudgeStep, scenario: &Scenario) {
    if step.criteria.is_empty() && scenario.criteria.is_empty() {
        reader.report(field, "has nothing to judge: give it `criteria`, or give the scenario some");
    }
    for (index, text) in step.criteria.iter().enumerate() {
        some_text(reader, &field.at("criteria").item(index), text);
    }
    if let Some(context) = &step.context {
        some_text(reader, &field.at("context"), context);
    }
}

/// `proceed: 2` has its turns in its own place.
fn proceed(reader: &mut Reader<'_>, field: &Field<'_>, step: &ProceedStep) {
    let turns = field.get("turns").unwrap_or_else(|| field.clone());
    between(reader, &turns, step.turns, 1, MAX_TURNS_LIMIT);
    if let Some(condition) = &step.until {
        until(reader, &field.at("until"), condition);
    }
}

fn until(reader: &mut Reader<'_>, field: &Field<'_>, condition: &Check) {
    check::check(reader, field, condition);
    if condition.required || condition.name.is_some() {
        let reason = "is a condition and no check of its own: `name` and `required` mean nothing here";
        reader.report(field, reason);
    }
    let nothing = Observed {
        messages: &[],
        tool_calls_unknown: false,
        tool_calls_left_out: 0,
        turns: 0,
        usage: &UsageByRole::default(),
    };
    if examine(condition, &nothing).standing == Standing::Holds {
        reader.report(field, "holds before anything is said, so the conversation would not go on at all");
    }
}

fn ends_the_run(step: &ScriptStep) -> bool {
    match step {
        ScriptStep::Succeed(_) | ScriptStep::Fail(_) => true,
        ScriptStep::Judge(judge) => judge.criteria.is_empty(),
        ScriptStep::Proceed(proceed) => proceed.turns.is_none() && proceed.until.is_none(),
        ScriptStep::User(_) | ScriptStep::Agent(_) | ScriptStep::Message(_) | ScriptStep::Check(_) => false,
    }
}

fn why_over(step: &ScriptStep, index: usize) -> String {
    match step {
        ScriptStep::Judge(_) => {
            format!("the run ends with `judge` (step {index}), which has no `criteria` of its own")
        }
        ScriptStep::Proceed(_) => {
            format!("the run ends with `proceed` (step {index}), which has neither `turns` nor `until`")
        }
        ScriptStep::Succeed(_) => format!("the run ends with `succeed` (step {index})"),
        _ => format!("the run ends with `fail` (step {index})"),
    }
}
