//! Everything here is a table: what is written, where that is wrong, and what is said of it.

use crate::store::files::{SourceFile, parse};

/// Place, field and beginning of the reason of one problem.
type Expected<'a> = (&'a str, &'a str, &'a str);

fn problems(text: &str) -> Vec<String> {
    let file = SourceFile { name: "acme.yaml".to_owned(), text: text.to_owned() };
    let found = parse(&[file], &|_| None);
    found.err().map(|found| found.list().iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// A scenario with `more` in it, which begins in line 3, column 5.
fn scenario(more: &str) -> String {
    format!("project: {{ id: acme }}\nscenarios:\n  - {more}\n    id: s\n    name: S\n    situation: x\n")
}

fn assert_found(text: &str, expected: &[Expected<'_>]) {
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for (found, (place, field, reason)) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("acme.yaml:{place}: `{field}`: {reason}")), "{text}\n{found}");
        assert!(!found.contains('\n'), "a problem is one line: {found}");
    }
}

#[test]
fn a_check_that_is_none_is_refused_where_it_stands() {
    for (check, place, field, reason) in [
        ("{ }", "3:14", "", "a check must have a rule: one of contains, notContains"),
        ("{ name: a }", "3:14", "", "a check must have a rule"),
        (
            "{ contains: a, matches: b }",
            "3:14",
            "",
            "a check has one rule, and this one has `contains` and `matches`",
        ),
        ("{ contain: a, turns: { max: 1 } }", "3:16", ".contain", "unknown field `contain`"),
        ("{ contains: a, on: last, onn: 1 }", "3:39", ".onn", "unknown field `onn`"),
        (
            "{ contains: a, on: second }",
            "3:33",
            ".on",
            "unknown variant `second`, expected one of `last`, `any`",
        ),
        ("{ toolNotCalled: a, on: last }", "3:14", "", "`on` says which of the agent's replies is meant"),
        ("{ matches: a, ignoreCase: true }", "3:14", "", "`ignoreCase` goes with `contains`"),
        ("{ contains: { a: b } }", "3:26", ".contains", "expected a text or a list of texts"),
        ("{ jsonPath: { path: $, equal: 1 } }", "3:37", ".jsonPath.equal", "unknown field `equal`"),
        ("{ turns: { max: many } }", "3:30", ".turns.max", "invalid type: string"),
        ("{ costUsd: { max: -1 } }", "3:32", ".costUsd.max", "-1 is no amount of US dollars"),
    ] {
        let field = format!("scenarios[0].checks[0]{field}");
        assert_found(&scenario(&format!("checks: [ {check} ]")), &[(place, &field, reason)]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of everything that a check can have wrong")]
fn a_check_that_could_not_be_examined_is_refused_where_it_stands() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = format!("{{ jsonPath: {{ path: $, equals: {deep} }} }}");
    let wide = format!("{{ jsonSchema: {{ const: '{}' }} }}", "x".repeat(17_000));
    for (check, place, field, reason) in [
        ("{ contains: '' }", "3:26", ".contains", "must have a text"),
        ("{ contains: [] }", "3:26", ".contains", "has 0 texts; it must have 1 to 50"),
        ("{ notContains: [a, ''] }", "3:33", ".notContains[1]", "must have a text"),
        ("{ matches: '(a' }", "3:25", ".matches", "does not compile: unclosed group"),
        ("{ notMatches: 'a(?=b)' }", "3:28", ".notMatches", "does not compile: look-around"),
        (
            r"{ matches: '(\w{99}){99}' }",
            "3:25",
            ".matches",
            "is too costly: compiled it takes more than 1048576 bytes",
        ),
        ("{ jsonPath: { path: 'a.b' } }", "3:34", ".jsonPath.path", "is no JSONPath (RFC 9535)"),
        ("{ jsonPath: { path: '$..a..b' } }", "3:34", ".jsonPath.path", "is too costly: at most 1 `..`"),
        (
            "{ jsonPath: { path: $, matches: '[' } }",
            "3:46",
            ".jsonPath.matches",
            "does not compile: unclosed",
        ),
        (
            "{ jsonPath: { path: $, equals: 1, exists: false } }",
            "3:56",
            ".jsonPath.exists",
            "is false, so there is no",
        ),
        (&deep, "3:45", ".jsonPath.equals", "is 40 levels deep; it can be 32"),
        ("{ jsonSchema: { type: objekt } }", "3:28", ".jsonSchema", "is no JSON Schema at /type"),
        ("{ jsonSchema: [] }", "3:28", ".jsonSchema", "is no JSON Schema"),
        ("{ jsonSchema: { $ref: 'http://127.0.0.1/x' } }", "3:28", ".jsonSchema", "is no JSON Schema"),
        (&wide, "3:28", ".jsonSchema", "has 17012 bytes as JSON; it can have 16384"),
        ("{ toolCalled: '' }", "3:28", ".toolCalled", "must have a text"),
        ("{ toolCalled: { name: ' ' } }", "3:36", ".toolCalled.name", "must have a text"),
        ("{ toolCalled: { name: a, times: {} } }", "3:46", ".toolCalled.times", "must have `min` or `max`"),
        ("{ toolCalled: { name: a, times: { min: 0 } } }", "3:46", ".toolCalled.times", "asks for nothing"),
        (
            "{ toolCalled: { name: a, times: { min: 3, max: 2 } } }",
            "3:53",
            ".toolCalled.times.min",
            "is 3, more than max",
        ),
        ("{ toolNotCalled: '' }", "3:31", ".toolNotCalled", "must have a text"),
        ("{ toolsInOrder: [] }", "3:30", ".toolsInOrder", "names 0 tools; it must name 1 to 50"),
        ("{ toolsInOrder: [a, ' '] }", "3:34", ".toolsInOrder[1]", "must have a text"),
        ("{ turns: {} }", "3:23", ".turns", "must have `min` or `max`"),
        ("{ turns: { max: 0 } }", "3:30", ".turns.max", "is 0; it must be 1 to 100"),
        ("{ turns: { min: 4, max: 2 } }", "3:30", ".turns.min", "is 4, more than max (2)"),
        ("{ replyLatencyMs: { max: 0 } }", "3:39", ".replyLatencyMs.max", "is 0; it must be at least 1"),
        ("{ totalLatencyMs: { max: 0 } }", "3:39", ".totalLatencyMs.max", "is 0; it must be at least 1"),
        ("{ tokens: { max: 0 } }", "3:31", ".tokens.max", "is 0; it must be at least 1"),
        ("{ contains: a, name: ' ' }", "3:35", ".name", "must have a text"),
    ] {
        let field = format!("scenarios[0].checks[0]{field}");
        assert_found(&scenario(&format!("checks: [ {check} ]")), &[(place, &field, reason)]);
    }
}

#[test]
fn checks_have_names_of_their_own_in_script_and_list() {
    let more = "checks: [ { name: a, contains: x }, { name: b, contains: y }, { name: a, contains: z } ]\n    \
                script: [ user, agent, { check: { name: b, turns: { max: 3 } } } ]";
    let expected = [
        ("3:47", "scenarios[0].checks[1].name", "'b' is the name of another check, in line 4"),
        ("3:73", "scenarios[0].checks[2].name", "'a' is the name of another check, in line 3"),
    ];
    assert_found(&scenario(more), &expected);
    let many = format!("checks: [ {} ]", "{ contains: a }, ".repeat(51));
    assert_found(
        &scenario(&many),
        &[("3:13", "scenarios[0].checks", "has 51 checks; a scenario can have 50")],
    );
}

#[test]
fn a_step_that_says_nothing_or_cannot_be_played_is_refused_where_it_stands() {
    for (step, place, field, reason) in [
        ("{ user: '' }", "4:23", ".user", "must have a text, or nothing behind its name"),
        ("{ agent: ' ' }", "4:24", ".agent", "must have a text"),
        ("{ succeed: '' }", "4:26", ".succeed", "must have a text"),
        ("{ fail: '' }", "4:23", ".fail", "must have a text"),
        ("{ message: { role: tool, content: '' } }", "4:49", ".message.content", "must have a text"),
        ("{ proceed: 0 }", "4:26", ".proceed", "is 0; it must be 1 to 100"),
        ("{ proceed: { turns: 101 } }", "4:35", ".proceed.turns", "is 101; it must be 1 to 100"),
        ("{ proceed: { until: { matches: '(' } } }", "4:46", ".proceed.until.matches", "does not compile"),
        (
            "{ proceed: { until: { turns: { max: 3 } } } }",
            "4:35",
            ".proceed.until",
            "holds before anything is said",
        ),
        (
            "{ proceed: { until: { contains: a, required: true } } }",
            "4:35",
            ".proceed.until",
            "is a condition",
        ),
        ("{ judge: { criteria: [''] } }", "4:37", ".judge.criteria[0]", "must have a text"),
        ("{ judge: { context: '' } }", "4:35", ".judge.context", "must have a text"),
        ("{ check: { contains: '' } }", "4:36", ".check.contains", "must have a text"),
        ("{ check: { contain: a } }", "4:15", "", "the step `check`: unknown field `contain`"),
        ("{ usr: a }", "4:15", "", "unknown step `usr`, expected one of user, agent"),
    ] {
        let field = format!("scenarios[0].script[0]{field}");
        let more = format!("criteria: [It is polite]\n    script: [ {step} ]");
        assert_found(&scenario(&more), &[(place, &field, reason)]);
    }
}

#[test]
fn a_step_behind_the_end_of_the_run_is_never_played() {
    for (steps, expected) in [
        ("[ user, agent, judge, user ]", Some(("4:36", 3, "`judge` (step 2), which has no `criteria`"))),
        ("[ { succeed: Done }, agent, agent ]", Some(("4:35", 1, "`succeed` (step 0)"))),
        ("[ fail, judge ]", Some(("4:21", 1, "`fail` (step 0)"))),
        (
            "[ proceed, judge ]",
            Some(("4:24", 1, "`proceed` (step 0), which has neither `turns` nor `until`")),
        ),
        (
            "[ { proceed: 2 }, { judge: { criteria: [It is kind] } }, { check: { contains: a } }, judge ]",
            None,
        ),
        ("[ { proceed: { until: { contains: a } } }, succeed ]", None),
    ] {
        let text = scenario(&format!("criteria: [It is polite]\n    script: {steps}"));
        let found = expected.map(|(place, index, end)| {
            (
                place,
                format!("scenarios[0].script[{index}]"),
                format!("is never played: the run ends with {end}"),
            )
        });
        let found: Vec<_> =
            found.iter().map(|(at, field, why)| (*at, field.as_str(), why.as_str())).collect();
        assert_found(&text, &found);
    }
}

#[test]
fn a_scenario_that_asks_for_nothing_is_refused() {
    let nothing = "must have at least one criterion";
    for script in [
        "[ user, agent ]",
        "[ { proceed: 2 } ]",
        "[ { user: Hello }, { message: { role: user, content: a } } ]",
    ] {
        let text = scenario(&format!("script: {script}"));
        assert_found(&text, &[("3:5", "scenarios[0].criteria", nothing)]);
    }
    let judge = [
        ("3:5", "scenarios[0].criteria", nothing),
        ("3:27", "scenarios[0].script[2].judge", "has nothing to judge"),
    ];
    assert_found(&scenario("script: [ user, agent, judge ]"), &judge);
    for script in [
        "[ user, agent, succeed ]",
        "[ { check: { turns: { max: 3 } } } ]",
        "[ { judge: { criteria: [a] } } ]",
    ] {
        assert_found(&scenario(&format!("script: {script}")), &[]);
    }
    let opening = "criteria: [a]\n    starts: agent\n    script: [ agent, user ]";
    assert_found(&scenario(opening), &[("4:13", "scenarios[0].starts", "says nothing beside a script")]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of everything that a parameter can have wrong")]
fn parameters_are_refused_where_they_stand() {
    let long = format!("{{ name: a, description: {} }}", "x".repeat(501));
    let name = format!("{{ name: {} }}", "x".repeat(65));
    let text = format!("{{ name: a, defaultValue: {} }}", "x".repeat(4097));
    for (parameter, place, field, reason) in [
        ("{ name: 2nd }", "4:27", ".name", "must be a letter or `_`, then letters, digits and `_`"),
        ("{ name: a-b }", "4:27", ".name", "must be a letter or `_`"),
        ("{ name: '' }", "4:27", ".name", "must be a letter or `_`"),
        ("{ name: größe }", "4:27", ".name", "must be a letter or `_`"),
        ("{ name: constructor }", "4:27", ".name", "'constructor' is reserved"),
        (&name, "4:27", ".name", "must be a letter or `_`"),
        (&long, "4:43", ".description", "has 501 characters; it can have 500"),
        (&text, "4:44", ".defaultValue", "has 4097 characters; it can have 4096"),
        ("{ name: a, default: [1] }", "4:39", ".default", "must be a text, a number, or true or false"),
        (
            "{ name: a, secret: true, defaultValue: hunter2 }",
            "4:58",
            ".defaultValue",
            "a secret parameter has no default",
        ),
    ] {
        let field = format!("scenarios[0].parameters[0]{field}");
        let more = format!("criteria: [a]\n    parameters: [ {parameter} ]");
        assert_found(&scenario(&more), &[(place, &field, reason)]);
    }
    let twice = "criteria: [a]\n    parameters: [ { name: a, default: 1 }, { name: a, default: true }, { name: b, default: x } ]";
    assert_found(
        &scenario(twice),
        &[("4:52", "scenarios[0].parameters[1].name", "'a' is the name of an earlier")],
    );
    let many: Vec<String> = (0..21).map(|n| format!("{{ name: p{n} }}")).collect();
    let many = format!("criteria: [a]\n    parameters: [ {} ]", many.join(", "));
    assert_found(
        &scenario(&many),
        &[("4:17", "scenarios[0].parameters", "has 21 parameters; a scenario can have 20")],
    );
}

#[test]
fn settings_of_roles_are_refused_where_they_stand() {
    for (more, place, field, reason) in [
        (
            "userSimulator: { temperature: 2.1 }",
            "4:35",
            "userSimulator.temperature",
            "is 2.1; it must be 0 to 2",
        ),
        ("userSimulator: { maxTokens: 0 }", "4:33", "userSimulator.maxTokens", "is 0; it must be at least 1"),
        ("judge: { temperature: -1 }", "4:27", "judge.temperature", "is -1; it must be 0 to 2"),
        ("judge: { reasoningEffort: '' }", "4:31", "judge.reasoningEffort", "must have a text"),
        ("models: { userSimulator: gpt }", "4:30", "models.userSimulator", "Invalid model format 'gpt'"),
        ("models: { judge: [a/b, gpt] }", "4:28", "models.judge[1]", "Invalid model format 'gpt'"),
        ("models: { judge: [] }", "4:22", "models.judge", "0 models cannot judge together"),
    ] {
        let text = scenario(&format!("criteria: [a]\n    {more}"));
        assert_found(&text, &[(place, &format!("scenarios[0].{field}"), reason)]);
    }
}

#[test]
fn prices_and_budgets_are_refused_where_they_stand() {
    let provider = |price: &str| {
        format!("project: {{ id: a }}\nproviders:\n  - {{ id: x, kind: openai, prices: {{ m: {price} }} }}\n")
    };
    assert_found(&provider("{ inputPerMillion: 0, outputPerMillion: 1.5 }"), &[]);
    for (text, place, field, reason) in [
        (
            provider("{}"),
            "3:43",
            "providers[0].prices.m",
            "must have `inputPerMillion` or `outputPerMillion`",
        ),
        (
            provider("{ inputPerMillion: -1 }"),
            "3:62",
            "providers[0].prices.m.inputPerMillion",
            "-1 is no amount of US dollars",
        ),
        (
            "project: { id: a, budget: { maxTokens: 0 } }".to_owned(),
            "1:40",
            "project.budget.maxTokens",
            "is 0",
        ),
        (
            "project: { id: a, budget: { maxCostUsd: 2000000 } }".to_owned(),
            "1:41",
            "project.budget.maxCostUsd",
            "2000000 is no amount of US dollars",
        ),
    ] {
        assert_found(&text, &[(place, field, reason)]);
    }
}
