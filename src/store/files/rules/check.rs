//! Rules of deterministic checks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::bounded;
use super::{at_least_one, at_most_chars, between, some_text};
use crate::definitions::{
    Check, CheckRule, Compile, Compiled, Limit, PathTest, Range, ReplyRule, ReplyTest, Scenario, ScriptStep,
    Texts, ToolRule, ToolUse, Words,
};
use crate::events::MAX_TURNS_LIMIT;
use crate::store::files::field::Field;
use crate::store::files::reader::Reader;

/// The most checks of a scenario: each is looked at after every step, and listed in every outcome.
const MAX_CHECKS: usize = 50;
/// The longest name of a check, in characters: a line.
const MAX_NAME_CHARS: usize = 200;
/// The most texts of a list, and the most tools.
const MAX_ITEMS: usize = 50;
/// The longest text, pattern or path, in characters.
const MAX_TEXT_CHARS: usize = 4096;

pub(super) fn checks(reader: &mut Reader<'_>, field: &Field<'_>, checks: &[Check]) {
    if checks.len() > MAX_CHECKS {
        reader.report(field, format!("has {} checks; a scenario can have {MAX_CHECKS}", checks.len()));
    }
    for (index, written) in checks.iter().enumerate() {
        check(reader, &field.item(index), written);
    }
}

/// The outcome calls checks by their names, those in the script included.
pub(super) fn names(reader: &mut Reader<'_>, scenario_field: &Field<'_>, scenario: &Scenario) {
    let script = scenario_field.at("script");
    let steps = scenario.script.iter().enumerate().filter_map(|(index, step)| match step {
        ScriptStep::Check(check) => Some((script.item(index).at("check"), check)),
        _ => None,
    });
    let list = scenario_field.at("checks");
    let own = scenario.checks.iter().enumerate().map(|(index, check)| (list.item(index), check));
    let mut lines = BTreeMap::new();
    for (field, check) in steps.chain(own) {
        let (field, Some(name)) = (field.at("name"), &check.name) else { continue };
        if let Some(line) = lines.insert(name, field.place.line) {
            reader.report(&field, format!("'{name}' is the name of another check, in line {line}"));
        }
    }
}

pub(super) fn check(reader: &mut Reader<'_>, field: &Field<'_>, check: &Check) {
    if let Some(name) = &check.name {
        some_text(reader, &field.at("name"), name);
        at_most_chars(reader, &field.at("name"), name, MAX_NAME_CHARS);
    }
    match &check.rule {
        CheckRule::Reply(rule) => reply(reader, field, rule),
        CheckRule::Tool(rule) => tool(reader, field, rule),
        CheckRule::Limit(rule) => limit(reader, field, *rule),
    }
}

fn reply(reader: &mut Reader<'_>, field: &Field<'_>, rule: &ReplyRule) {
    match &rule.test {
        ReplyTest::Contains(words) => texts(reader, &field.at("contains"), words),
        ReplyTest::NotContains(words) => texts(reader, &field.at("notContains"), words),
        ReplyTest::Matches(pattern) => source(reader, &field.at("matches"), pattern),
        ReplyTest::NotMatches(pattern) => source(reader, &field.at("notMatches"), pattern),
        ReplyTest::JsonPath(test) => path(reader, &field.at("jsonPath"), test),
        ReplyTest::JsonSchema(schema) => {
            let field = field.at("jsonSchema");
            if bounded(reader, &field, schema.source()) {
                compiles(reader, &field, schema);
            }
        }
    }
}

/// Every text has an empty one in it, so it is a mistake; blanks are not.
fn texts(reader: &mut Reader<'_>, field: &Field<'_>, words: &Words) {
    let texts = words.texts.list();
    if texts.is_empty() || texts.len() > MAX_ITEMS {
        reader.report(field, format!("has {} texts; it must have 1 to {MAX_ITEMS}", texts.len()));
    }
    for (index, text) in texts.iter().enumerate() {
        let field = if matches!(words.texts, Texts::List(_)) { field.item(index) } else { field.clone() };
        if text.is_empty() {
            reader.report(&field, "must have a text");
        }
        at_most_chars(reader, &field, text, MAX_TEXT_CHARS);
    }
}

fn source<T: Compile<Source = String>>(reader: &mut Reader<'_>, field: &Field<'_>, source: &Compiled<T>) {
    some_text(reader, field, source.source());
    at_most_chars(reader, field, source.source(), MAX_TEXT_CHARS);
    compiles(reader, field, source);
}

fn compiles<T: Compile>(reader: &mut Reader<'_>, field: &Field<'_>, source: &Compiled<T>) {
    if let Err(reason) = source.get() {
        reader.report(field, reason);
    }
}

fn path(reader: &mut Reader<'_>, field: &Field<'_>, test: &PathTest) {
    source(reader, &field.at("path"), &test.path);
    if let Some(pattern) = &test.matches {
        source(reader, &field.at("matches"), pattern);
    }
    if let Some(value) = &test.equals {
        bounded(reader, &field.at("equals"), value);
    }
    if test.exists == Some(false) && (test.equals.is_some() || test.matches.is_some()) {
        let reason =
            "is false, so there is no value that `equals` or `matches` could be about: leave one out";
        reader.report(&field.at("exists"), reason);
    }
}

fn tool(reader: &mut Reader<'_>, field: &Field<'_>, rule: &ToolRule) {
    match rule {
        ToolRule::Called(tool) => tool_called(reader, &field.at("toolCalled"), tool),
        ToolRule::NotCalled(name) => some_text(reader, &field.at("toolNotCalled"), name),
        ToolRule::InOrder(names) => {
            let field = field.at("toolsInOrder");
            if names.is_empty() || names.len() > MAX_ITEMS {
                reader.report(&field, format!("names {} tools; it must name 1 to {MAX_ITEMS}", names.len()));
            }
            for (index, name) in names.iter().enumerate() {
                some_text(reader, &field.item(index), name);
            }
        }
    }
}

fn tool_called(reader: &mut Reader<'_>, field: &Field<'_>, tool: &ToolUse) {
    let name = field.get("name").unwrap_or_else(|| field.clone());
    some_text(reader, &name, tool.name());
    if let Some(arguments) = tool.arguments() {
        bounded(reader, &field.at("arguments"), &Value::Object(arguments.clone()));
    }
    let (times, field) = (tool.times(), field.at("times"));
    range(reader, &field, times);
    if times.min == Some(0) && times.max.is_none() {
        reader.report(&field, "asks for nothing: at least 0 calls is any number of them");
    }
}

fn range(reader: &mut Reader<'_>, field: &Field<'_>, range: Range) {
    match (range.min, range.max) {
        (None, None) => reader.report(field, "must have `min` or `max`"),
        (Some(min), Some(max)) if min > max => {
            reader.report(&field.at("min"), format!("is {min}, more than max ({max})"));
        }
        _ => {}
    }
}

fn limit(reader: &mut Reader<'_>, field: &Field<'_>, limit: Limit) {
    match limit {
        Limit::Turns(turns) => {
            let field = field.at("turns");
            range(reader, &field, turns);
            between(reader, &field.at("min"), turns.min, 1, MAX_TURNS_LIMIT);
            between(reader, &field.at("max"), turns.max, 1, MAX_TURNS_LIMIT);
        }
        Limit::ReplyLatencyMs(max) => at_least_one(reader, &field.at("replyLatencyMs").at("max"), Some(max)),
        Limit::TotalLatencyMs(max) => at_least_one(reader, &field.at("totalLatencyMs").at("max"), Some(max)),
        Limit::Tokens(tokens) => at_least_one(reader, &field.at("tokens").at("max"), Some(tokens.max)),
        Limit::CostUsd(_) => {}
    }
}
