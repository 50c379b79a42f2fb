//! Tables: what is written, with a `§` before everything that is wrong in it, and what is said of each.

use crate::adapters::ScenarioTexts;
use crate::definitions::{CheckRule, ScriptStep};
use crate::store::files::{SourceFile, Surroundings, parse, parse_in};

/// Field and beginning of the reason of one problem.
type Expected<'a> = (&'a str, &'a str);

/// Stands before what is wrong.
const MARK: char = '§';

/// `text` without its marks, and where they were, as problems name places.
fn unmarked(text: &str) -> (String, Vec<String>) {
    let (mut plain, mut places, mut line, mut column) = (String::new(), Vec::new(), 1, 1);
    for char in text.chars() {
        if char == MARK {
            places.push(format!("{line}:{column}"));
            continue;
        }
        plain.push(char);
        (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (plain, places)
}

fn problems(text: &str) -> Vec<String> {
    let file = SourceFile { name: "acme.yaml".to_owned(), text: text.to_owned() };
    let surroundings = Surroundings { texts: Some(&ScenarioTexts), max_turns: Some(10) };
    let found = parse_in(&[file], &|_| None, surroundings);
    found.err().map(|found| found.list().iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// A scenario with `more` in it.
fn scenario(more: &str) -> String {
    format!("project: {{ id: acme }}\nscenarios:\n  - {more}\n    id: s\n    name: S\n    situation: x\n")
}

fn assert_found(text: &str, expected: &[Expected<'_>]) {
    let (text, places) = unmarked(text);
    assert_eq!(places.len(), expected.len(), "{text}");
    let found = problems(&text);
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for ((found, place), (field, reason)) in found.iter().zip(places).zip(expected) {
        assert!(found.starts_with(&format!("acme.yaml:{place}: `{field}`: {reason}")), "{text}\n{found}");
        assert!(!found.contains('\n'), "a problem is one line: {found}");
    }
}

fn assert_check(check: &str, field: &str, reason: &str) {
    let field = format!("scenarios[0].checks[0]{field}");
    assert_found(&scenario(&format!("checks: [ {check} ]")), &[(&field, reason)]);
}

#[test]
fn limits_that_limit_nothing_or_everything_are_refused_where_they_stand() {
    for (limits, field, reason) in [
        ("§{ }", "", "must have `requestsPerMinute`, `maxInFlight` or both"),
        ("{ requestsPerMinute: §0 }", ".requestsPerMinute", "is 0; it must be 1 to 1000000"),
        ("{ maxInFlight: §1000001 }", ".maxInFlight", "is 1000001; it must be 1 to 1000000"),
        ("{ maxInFlight: 1, §perSecond: 1 }", ".perSecond", "unknown field `perSecond`"),
    ] {
        let project = format!("project: {{ id: acme, limits: {limits} }}\n");
        assert_found(&project, &[(&format!("project.limits{field}"), reason)]);
        let agents =
            format!("project: {{ id: acme }}\nagents:\n  - {{ id: a, type: http, limits: {limits} }}\n");
        assert_found(&agents, &[(&format!("agents[0].limits{field}"), reason)]);
        let providers =
            format!("project: {{ id: acme }}\nproviders:\n  - {{ id: p, kind: openai, limits: {limits} }}\n");
        assert_found(&providers, &[(&format!("providers[0].limits{field}"), reason)]);
    }
}

#[test]
fn a_check_that_is_none_is_refused_where_it_stands() {
    for (check, field, reason) in [
        ("§{ }", "", "a check must have a rule: one of contains, notContains"),
        ("§{ name: a }", "", "a check must have a rule"),
        (
            "§{ contains: a, matches: b }",
            "",
            "a check has one rule, and this one has `contains` and `matches`",
        ),
        ("{ §contain: a, turns: { max: 1 } }", ".contain", "unknown field `contain`"),
        ("{ contains: a, on: last, §onn: 1 }", ".onn", "unknown field `onn`"),
        ("{ contains: a, on: §second }", ".on", "unknown variant `second`, expected one of `last`, `any`"),
        ("§{ toolNotCalled: a, on: last }", "", "`on` says which of the agent's replies is meant"),
        ("§{ matches: a, ignoreCase: true }", "", "`ignoreCase` goes with `contains`"),
        ("{ contains: §{ a: b } }", ".contains", "expected a text or a list of texts"),
        ("{ jsonPath: { path: $, §equal: 1 } }", ".jsonPath.equal", "unknown field `equal`"),
        ("{ turns: { max: §many } }", ".turns.max", "invalid type: string"),
        ("{ costUsd: { max: §-1 } }", ".costUsd.max", "-1 is no amount of US dollars"),
    ] {
        assert_check(check, field, reason);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_a_reply_cannot_be_searched_for_is_refused_where_it_stands() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = format!("{{ jsonPath: {{ path: $, equals: §{deep} }} }}");
    let wide = format!("{{ jsonSchema: §{{ const: '{}' }} }}", "x".repeat(17_000));
    for (check, field, reason) in [
        ("{ contains: §'' }", ".contains", "must have a text"),
        ("{ contains: §[] }", ".contains", "has 0 texts; it must have 1 to 50"),
        ("{ notContains: [a, §''] }", ".notContains[1]", "must have a text"),
        ("{ matches: §'(a' }", ".matches", "does not compile: unclosed group"),
        ("{ notMatches: §'a(?=b)' }", ".notMatches", "does not compile: look-around"),
        (
            r"{ matches: §'(\w{99}){99}' }",
            ".matches",
            "is too costly: compiled it takes more than 1048576 bytes",
        ),
        ("{ jsonPath: { path: §'a.b' } }", ".jsonPath.path", "is no JSONPath (RFC 9535)"),
        ("{ jsonPath: { path: §'$..a..b' } }", ".jsonPath.path", "is too costly: at most 1 `..`"),
        ("{ jsonPath: { path: $, matches: §'[' } }", ".jsonPath.matches", "does not compile: unclosed"),
        (
            "{ jsonPath: { path: $, equals: 1, exists: §false } }",
            ".jsonPath.exists",
            "is false, so there is no",
        ),
        (&deep, ".jsonPath.equals", "is 40 levels deep; it can be 32"),
        ("{ jsonSchema: §{ type: objekt } }", ".jsonSchema", "is no JSON Schema at /type"),
        ("{ jsonSchema: §[] }", ".jsonSchema", "is no JSON Schema"),
        (
            "{ jsonSchema: §{ $ref: 'http://127.0.0.1/x' } }",
            ".jsonSchema",
            "refers to `http://127.0.0.1/x`; only",
        ),
        (&wide, ".jsonSchema", "has 17012 bytes as JSON; it can have 16384"),
        ("{ contains: a, name: §' ' }", ".name", "must have a text"),
    ] {
        assert_check(check, field, reason);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn calls_and_limits_that_mean_nothing_are_refused_where_they_stand() {
    for (check, field, reason) in [
        ("{ toolCalled: §'' }", ".toolCalled", "must have a text"),
        ("{ toolCalled: { name: §' ' } }", ".toolCalled.name", "must have a text"),
        ("{ toolCalled: { name: a, times: §{} } }", ".toolCalled.times", "must have `min` or `max`"),
        ("{ toolCalled: { name: a, times: §{ min: 0 } } }", ".toolCalled.times", "asks for nothing"),
        (
            "{ toolCalled: { name: a, times: { min: §3, max: 2 } } }",
            ".toolCalled.times.min",
            "is 3, more than max",
        ),
        ("{ toolNotCalled: §'' }", ".toolNotCalled", "must have a text"),
        ("{ toolsInOrder: §[] }", ".toolsInOrder", "names 0 tools; it must name 1 to 50"),
        ("{ toolsInOrder: [a, §' '] }", ".toolsInOrder[1]", "must have a text"),
        ("{ turns: §{} }", ".turns", "must have `min` or `max`"),
        ("{ turns: { max: §0 } }", ".turns.max", "is 0; it must be 1 to 100"),
        ("{ turns: { min: §4, max: 2 } }", ".turns.min", "is 4, more than max (2)"),
        ("{ replyLatencyMs: { max: §0 } }", ".replyLatencyMs.max", "is 0; it must be at least 1"),
        ("{ totalLatencyMs: { max: §0 } }", ".totalLatencyMs.max", "is 0; it must be at least 1"),
        ("{ tokens: { max: §0 } }", ".tokens.max", "is 0; it must be at least 1"),
    ] {
        assert_check(check, field, reason);
    }
}

#[test]
fn checks_have_names_of_their_own_in_script_and_list() {
    let more = "checks: [ { name: a, contains: x }, { name: §b, contains: y }, { name: §a, contains: z } ]\n    \
                script: [ user, agent, { check: { name: b, turns: { max: 3 } } } ]";
    let expected = [
        ("scenarios[0].checks[1].name", "'b' is the name of another check, in line 4"),
        ("scenarios[0].checks[2].name", "'a' is the name of another check, in line 3"),
    ];
    assert_found(&scenario(more), &expected);
    let many = format!("checks: §[ {} ]", "{ contains: a }, ".repeat(51));
    assert_found(&scenario(&many), &[("scenarios[0].checks", "has 51 checks; a scenario can have 50")]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_step_that_says_nothing_or_cannot_be_played_is_refused_where_it_stands() {
    for (step, field, reason) in [
        ("{ user: §'' }", ".user", "must have a text, or nothing behind its name"),
        ("{ agent: §' ' }", ".agent", "must have a text"),
        ("{ succeed: §'' }", ".succeed", "must have a text"),
        ("{ fail: §'' }", ".fail", "must have a text"),
        ("{ message: { role: tool, content: §'' } }", ".message.content", "must have a text"),
        ("{ proceed: §0 }", ".proceed", "is 0; it must be 1 to 100"),
        ("{ proceed: { turns: §101 } }", ".proceed.turns", "is 101; it must be 1 to 100"),
        ("{ proceed: { until: { matches: §'(' } } }", ".proceed.until.matches", "does not compile"),
        ("{ proceed: { until: §{ turns: { max: 3 } } } }", ".proceed.until", "holds before anything is said"),
        ("{ proceed: { until: §{ contains: a, required: true } } }", ".proceed.until", "is a condition"),
        ("{ judge: { criteria: [§''] } }", ".judge.criteria[0]", "must have a text"),
        ("{ judge: { context: §'' } }", ".judge.context", "must have a text"),
        ("{ check: { contains: §'' } }", ".check.contains", "must have a text"),
        ("§{ check: { contain: a } }", "", "the step `check`: unknown field `contain`"),
        ("§{ usr: a }", "", "unknown step `usr`, expected one of user, agent"),
    ] {
        let field = format!("scenarios[0].script[1]{field}");
        let more = format!("criteria: [It is polite]\n    script: [ {{ proceed: 1 }}, {step} ]");
        assert_found(&scenario(&more), &[(&field, reason)]);
    }
    let long = format!("criteria: [a]\n    script: §[ {} ]", "user, ".repeat(501));
    assert_found(&scenario(&long), &[("scenarios[0].script", "has 501 steps; it can have 500")]);
}

#[test]
fn a_step_behind_the_end_of_the_run_is_never_played() {
    for (steps, index, end) in [
        ("[ user, agent, judge, §user ]", 3, "`judge` (step 2), which has no `criteria` of its own"),
        ("[ { proceed: 1 }, { succeed: Done }, §agent, agent ]", 2, "`succeed` (step 1)"),
        ("[ fail, §judge ]", 1, "`fail` (step 0)"),
        ("[ proceed, §judge ]", 1, "`proceed` (step 0), which has neither `turns` nor `until`"),
    ] {
        let text = scenario(&format!("criteria: [It is polite]\n    script: {steps}"));
        let field = format!("scenarios[0].script[{index}]");
        assert_found(&text, &[(&field, &format!("is never played: the run ends with {end}"))]);
    }
    for steps in [
        "[ { proceed: 2 }, { judge: { criteria: [It is kind] } }, { check: { contains: a } }, judge ]",
        "[ { proceed: { until: { contains: a } } }, succeed ]",
    ] {
        assert_found(&scenario(&format!("criteria: [It is polite]\n    script: {steps}")), &[]);
    }
}

#[test]
fn a_scenario_that_asks_for_nothing_is_refused() {
    let nothing = ("scenarios[0].criteria", "must have at least one criterion");
    for script in
        ["[ user, agent ]", "[ { proceed: 2 } ]", "[ { message: { role: user, content: a } }, agent ]"]
    {
        assert_found(&scenario(&format!("§script: {script}")), &[nothing]);
    }
    let judge = [nothing, ("scenarios[0].script[2].judge", "has nothing to judge")];
    assert_found(&scenario("§script: [ user, agent, §judge ]"), &judge);
    for script in
        ["[ user, succeed ]", "[ { check: { turns: { max: 3 } } } ]", "[ { judge: { criteria: [a] } } ]"]
    {
        assert_found(&scenario(&format!("script: {script}")), &[]);
    }
    let opening = scenario("criteria: [a]\n    starts: §agent\n    script: [ agent, user ]");
    assert_found(&opening, &[("scenarios[0].starts", "says nothing beside a script")]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn parameters_are_refused_where_they_stand() {
    let long = format!("{{ name: a, description: §{} }}", "x".repeat(501));
    let name = format!("{{ name: §{} }}", "x".repeat(65));
    let text = format!("{{ name: a, defaultValue: §{} }}", "x".repeat(4097));
    for (parameter, field, reason) in [
        ("{ name: §2nd }", ".name", "must be a letter or `_`, then letters, digits and `_`"),
        ("{ name: §a-b }", ".name", "must be a letter or `_`"),
        ("{ name: §'' }", ".name", "must be a letter or `_`"),
        ("{ name: §größe }", ".name", "must be a letter or `_`"),
        ("{ name: §constructor }", ".name", "cannot be 'constructor'"),
        (&name, ".name", "must be a letter or `_`"),
        (&long, ".description", "has 501 characters; it may have at most 500"),
        (&text, ".defaultValue", "has 4097 characters; it may have at most 4096"),
        ("{ name: a, default: §[1] }", ".default", "must be a text, a number, or true or false"),
        (
            "{ name: a, secret: true, defaultValue: §x }",
            ".defaultValue",
            "cannot be given: the value of a secret",
        ),
    ] {
        let field = format!("scenarios[0].parameters[0]{field}");
        let more = format!("criteria: [a]\n    parameters: [ {parameter} ]");
        assert_found(&scenario(&more), &[(&field, reason)]);
    }
}

#[test]
fn a_scenario_has_twenty_parameters_at_most_each_with_its_own_name() {
    let parameters = |list: &str| scenario(&format!("criteria: [a]\n    parameters: {list}"));
    let twice =
        parameters("[ { name: a, default: 1 }, { name: §a, default: true }, { name: b, default: x } ]");
    assert_found(&twice, &[("scenarios[0].parameters[1].name", "'a' is declared twice")]);
    let one = |n: usize| format!("{{ name: p{n} }}");
    let many = |count: usize| (0..count).map(one).collect::<Vec<_>>().join(", ");
    assert_found(&parameters(&format!("[ {} ]", many(20))), &[]);
    let reason = "has 21 parameters; it may have at most 20";
    assert_found(&parameters(&format!("§[ {} ]", many(21))), &[("scenarios[0].parameters", reason)]);
}

#[test]
fn settings_of_roles_are_refused_where_they_stand() {
    for (more, field, reason) in [
        ("userSimulator: { temperature: §2.1 }", "userSimulator.temperature", "is 2.1; it must be 0 to 2"),
        ("userSimulator: { maxTokens: §0 }", "userSimulator.maxTokens", "is 0; it must be at least 1"),
        ("judge: { temperature: §-1 }", "judge.temperature", "is -1; it must be 0 to 2"),
        ("judge: { reasoningEffort: §'' }", "judge.reasoningEffort", "must have a text"),
        ("models: { userSimulator: §gpt }", "models.userSimulator", "Invalid model format 'gpt'"),
        ("models: { judge: [a/b, §gpt] }", "models.judge[1]", "Invalid model format 'gpt'"),
        ("models: { judge: §[] }", "models.judge", "0 models cannot judge together"),
    ] {
        let text = scenario(&format!("criteria: [a]\n    {more}"));
        assert_found(&text, &[(&format!("scenarios[0].{field}"), reason)]);
    }
}

#[test]
fn prices_and_budgets_are_refused_where_they_stand() {
    let provider = |price: &str| {
        format!("project: {{ id: a }}\nproviders:\n  - {{ id: x, kind: openai, prices: {{ m: {price} }} }}\n")
    };
    let project = |budget: &str| format!("project: {{ id: a, budget: {{ {budget} }} }}");
    let price = "providers[0].prices.m";
    assert_found(&provider("{ inputPerMillion: 0, outputPerMillion: 1.5 }"), &[]);
    for (text, field, reason) in [
        (provider("§{ outputPerMillion: 1 }"), price, "missing field `inputPerMillion`"),
        (provider("§{ inputPerMillion: 1 }"), price, "missing field `outputPerMillion`"),
        (
            provider("{ inputPerMillion: §-1, outputPerMillion: 1 }"),
            &format!("{price}.inputPerMillion"),
            "-1 is no amount of US dollars",
        ),
        (project("maxTokens: §0"), "project.budget.maxTokens", "is 0; it must be at least 1"),
        (project("maxCostUsd: §2000000"), "project.budget.maxCostUsd", "2000000 is no amount of US dollars"),
    ] {
        assert_found(&text, &[(field, reason)]);
    }
}

#[test]
fn the_example_of_scripts_and_checks_can_be_imported_and_is_what_the_manual_shows() {
    let example = include_str!("../../../../config/scripts.yaml");
    let file = SourceFile { name: "scripts.yaml".to_owned(), text: example.to_owned() };
    let documents = parse(&[file], &|_| Some("http://127.0.0.1:8088/chat".to_owned())).unwrap();
    let [free, scripted] = documents[0].document().scenarios.as_slice() else { panic!("two scenarios") };
    let limits = free.checks.iter().filter(|check| matches!(check.rule, CheckRule::Limit(_)));
    assert_eq!((free.checks.len(), limits.count()), (12, 5));
    assert!(scripted.script.iter().any(|step| matches!(step, ScriptStep::Check(_))));
    let manual = include_str!("../../../../README.md");
    let (_, section) = manual.split_once("### Scripts and checks").unwrap();
    let (_, shown) = section.split_once("```yaml\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert!(example.contains(shown), "the manual shows a part of config/scripts.yaml");
}

#[test]
fn criteria_that_the_script_leaves_unjudged_are_refused() {
    let never = [("scenarios[0].criteria", "are never judged: the script ends the run before")];
    assert_found(&scenario("criteria: §[a]\n    script: [ user, agent, succeed ]"), &never);
    for judged in ["[ user, agent, judge ]", "[ { proceed: 2 }, fail ]", "[ user, agent ]"] {
        assert_eq!(
            problems(&scenario(&format!("criteria: [a]\n    script: {judged}"))),
            Vec::<String>::new()
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_text_that_no_request_could_fill_in_is_refused_where_it_stands() {
    let parameters = "parameters: [ { name: region, default: eu }, { name: token, secret: true } ]";
    for (text, field, reason) in [
        (
            "criteria: [ a, §'{{ colour }}' ]",
            "criteria[1]",
            "reads 'colour', which is no parameter; there is 'region'",
        ),
        ("criteria: [ §'{{ token }}' ]", "criteria[0]", "reads the secret 'token'"),
        ("criteria: [ §'{{ secrets.token }}' ]", "criteria[0]", "reads the secret 'token'"),
        (
            "criteria: [ §'{{ region' ]",
            "criteria[0]",
            "is no template that can be filled in: line 1: syntax error",
        ),
        (
            "criteria: [ §'{{ region | nope }}' ]",
            "criteria[0]",
            "is no template that can be filled in: line 1: unknown filter",
        ),
        (
            "criteria: [ §'{% for i in range(100000000) %}x{% endfor %}' ]",
            "criteria[0]",
            "is no template that can be filled in",
        ),
        ("checks: [ { contains: [ a, §'{{ b }}' ] } ]", "checks[0].contains[1]", "reads 'b'"),
        ("script: [ user: §'{{ b }}', judge: { } ]", "script[0].user", "reads 'b'"),
    ] {
        let more = format!("{parameters}\n    criteria: [ x ]\n    {text}")
            .replace("criteria: [ x ]\n    criteria", "criteria");
        assert_found(&scenario(&more), &[(&format!("scenarios[0].{field}"), reason)]);
    }
    let fine = format!("{parameters}\n    criteria: [ '{{{{ region | upper }}}}' ]");
    assert_found(&scenario(&fine), &[]);
    assert_found(&scenario("criteria: [ 'no parameters: {{ x' ]"), &[]);
}

#[test]
fn turns_that_the_default_does_not_reach_are_refused_unless_there_are_more() {
    let reason = "is 30, more than the setting `run.max_turns` (10): give `maxTurns`, too";
    assert_found(&scenario("criteria: [ a ]\n    minTurns: §30"), &[("scenarios[0].minTurns", reason)]);
    assert_found(&scenario("criteria: [ a ]\n    maxTurns: 30\n    minTurns: 30"), &[]);
}

#[test]
fn a_prompt_has_templates_that_compile_and_variables_that_they_can_read() {
    let prompts = "project: { id: acme }\nprompts:\n  - id: p\n    systemPrompt: §'{{ input'\n    messages: [ { role: user, content: §'{% if %}' } ]\n    fieldMappings: { §'a b': { type: value, value: 1 }, mood: { type: value, value: 1 } }\n";
    assert_found(
        prompts,
        &[
            ("prompts[0].systemPrompt", "is no template that can be used: line 1: syntax error"),
            ("prompts[0].messages[0].content", "is no template that can be used"),
            ("prompts[0].fieldMappings.a b", "cannot be read by a template"),
        ],
    );
}

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    for (check, field, reason) in [
        ("{ §contians: a }", ".contians", "unknown field `contians`; is `contains` meant? Known are `name`"),
        ("{ §costUSD: { max: 1 } }", ".costUSD", "unknown field `costUSD`; is `costUsd` meant?"),
        ("{ contains: a, §zzzzzz: 1 }", ".zzzzzz", "unknown field `zzzzzz`, expected one of"),
        (
            "{ §tool_called: { name: a } }",
            ".tool_called",
            "unknown field `tool_called`; is `toolCalled` meant?",
        ),
    ] {
        assert_check(check, field, reason);
    }
    for amount in ["1e300", "-1e300"] {
        let found = problems(&scenario(&format!("checks: [ {{ costUsd: {{ max: {amount} }} }} ]")));
        assert!(found[0].contains("is no amount of US dollars") && found[0].len() < 200, "{found:?}");
    }
}

/// A prompt with `more` in it.
fn prompt(more: &str) -> String {
    format!("project: {{ id: acme }}\nprompts:\n  - {more}\n    id: p\n    systemPrompt: x\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn parameters_of_a_prompt_are_within_what_providers_take() {
    for (more, field, reason) in [
        ("temperature: §2.1", "temperature", "is 2.1; it must be 0 to 2"),
        ("maxTokens: §0", "maxTokens", "is 0; it must be at least 1"),
        ("topP: §0", "topP", "is 0; it must be above 0 and at most 1"),
        ("topP: §1.01", "topP", "is 1.01; it must be above 0 and at most 1"),
        ("frequencyPenalty: §-2.5", "frequencyPenalty", "is -2.5; it must be -2 to 2"),
        ("presencePenalty: §3", "presencePenalty", "is 3; it must be -2 to 2"),
        ("stop: [ a, §'' ]", "stop[1]", "must have a text"),
        ("stop: §[a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]", "stop", "has 17 texts; it can have 16"),
        ("stop: §a", "stop", "invalid type: string \"a\", expected a sequence"),
        ("seed: §-1", "seed", "invalid value: integer `-1`"),
        ("reasoningEffort: §' '", "reasoningEffort", "must have a text"),
        (
            "responseFormat: §xml",
            "responseFormat",
            "unknown variant `xml`, expected one of `text`, `json`, `schema`",
        ),
        ("responseFormat: { schema: §7 }", "responseFormat.schema", "must be a JSON Schema: a mapping"),
        (
            "responseFormat: { schema: §{ type: strange } }",
            "responseFormat.schema",
            "is no JSON Schema: at `/type`: ",
        ),
        ("extra: §[ ]", "extra", "invalid type: sequence, expected a map"),
        ("extra: { §max_tokens: 1 }", "extra.max_tokens", "has a key of its own: `maxTokens` of the prompt"),
        ("extra: { top_k: 5, §messages: [ ] }", "extra.messages", "is written by the worker itself"),
        ("stream: §maybe", "stream", "invalid type: string \"maybe\", expected a boolean"),
        ("§top_p: 1", "top_p", "unknown field `top_p`; is `topP` meant?"),
    ] {
        assert_found(&prompt(more), &[(&format!("prompts[0].{field}"), reason)]);
    }
    let large = format!("extra: §{{ a: '{}' }}", "x".repeat(16_384));
    assert_found(&prompt(&large), &[("prompts[0].extra", "has 16392 bytes as JSON; it can have 16384")]);
    let fine = "topP: 1\n    stop: [ \"\\n\" ]\n    seed: 7\n    frequencyPenalty: -2\n    presencePenalty: 2\n    \
        responseFormat: { schema: { type: object } }\n    extra: { top_k: 5 }\n    stream: true";
    assert_found(&prompt(fine), &[]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn tools_of_a_prompt_have_names_schemas_and_results_that_can_be_used() {
    for (more, field, reason) in [
        ("tools: [ { name: §'look up' } ]", "tools[0].name", "must be a letter or `_`, then letters"),
        ("tools: [ { name: §'' } ]", "tools[0].name", "must be a letter or `_`, then letters"),
        ("tools: [ { name: a }, { name: §a } ]", "tools[1].name", "'a' is the name of another tool"),
        ("tools: [ §{ description: a } ]", "tools[0]", "missing field `name`"),
        (
            "tools: [ { name: a, §result_: 1 } ]",
            "tools[0].result_",
            "unknown field `result_`; is `result` meant?",
        ),
        ("tools: [ { name: a, parameters: §7 } ]", "tools[0].parameters", "must be a JSON Schema: a mapping"),
        (
            "tools: [ { name: a, parameters: §{ type: array } } ]",
            "tools[0].parameters",
            "must be a JSON Schema with `type: object`",
        ),
        (
            "tools: [ { name: a, parameters: §{ type: object, required: id } } ]",
            "tools[0].parameters",
            "is no JSON Schema: at `/required`: ",
        ),
        (
            "tools: [ { name: a, result: §{ b: [ '{{ x' ] } } ]",
            "tools[0].result",
            "is no template that can be used: the template in result.b[0]",
        ),
        (
            "tools: [ { name: a, result: §'{{ secrets.KEY }}' } ]",
            "tools[0].result",
            "is no template that can be used: result: a secret can be used in url, headers and auth only",
        ),
        ("toolChoice: §required", "toolChoice", "has nothing to choose from: the prompt has no `tools`"),
        (
            "tools: [ { name: a } ]\n    toolChoice: { tool: §b }",
            "toolChoice",
            "'b' is no tool of the prompt",
        ),
        ("tools: [ { name: a } ]\n    toolChoice: §any", "toolChoice", "unknown variant `any`"),
        (
            "tools: [ { name: a, result: 1 } ]\n    maxToolRounds: §51",
            "maxToolRounds",
            "is 51; it must be 1 to 50",
        ),
        ("tools: [ { name: a } ]\n    maxToolRounds: §5", "maxToolRounds", "would never apply"),
    ] {
        let more = more.replace("{ tool: §b }", "§{ tool: b }");
        assert_found(&prompt(&more), &[(&format!("prompts[0].{field}"), reason)]);
    }
    let fine = "tools: [ { name: a, description: b, parameters: { type: object }, result: { c: '{{ arguments.d }}' } } ]\n    \
        toolChoice: { tool: a }\n    maxToolRounds: 50";
    assert_found(&prompt(fine), &[]);
}

#[test]
fn a_pause_of_a_stream_is_shorter_than_the_whole_call() {
    let provider =
        |more: &str| format!("project: {{ id: acme }}\nproviders: [ {{ id: p, kind: openai, {more} }} ]\n");
    let field = "providers[0].idleTimeoutSeconds";
    assert_found(&provider("idleTimeoutSeconds: §0"), &[(field, "is 0; it must be at least 1")]);
    assert_found(
        &provider("idleTimeoutSeconds: §9, timeoutSeconds: 8"),
        &[(field, "is 9, more than timeoutSeconds (8), so it would never apply")],
    );
    assert_found(&provider("idleTimeoutSeconds: 8, timeoutSeconds: 8"), &[]);
}

#[test]
fn telling_langwatch_of_runs_needs_a_langwatch_and_a_key() {
    let told = |telemetry: &str| format!("project: {{ id: acme, telemetry: {{ {telemetry} }} }}\n");
    for (telemetry, field, reason) in [
        (
            "endpoint: 'https://c', apiKey: k, protocol: otlp, events: §true",
            "",
            "is true, but the spans do not go",
        ),
        ("endpoint: 'https://l', events: §true", "", "is true, but `telemetry` has no `apiKey`"),
        ("endpoint: 'https://l', events: { endpoint: §l, apiKey: k }", ".endpoint", "is not a URL"),
        ("endpoint: 'https://l', apiKey: k, events: §{ endpoint: 'https://m' }", ".apiKey", "is missing"),
        ("endpoint: 'https://l', events: §sometimes", "", "expected true, false, or a mapping"),
    ] {
        assert_found(&told(telemetry), &[(&format!("project.telemetry.events{field}"), reason)]);
    }
    for good in ["apiKey: k, events: true", "events: false", "events: { endpoint: 'https://m', apiKey: k }"] {
        assert_found(&told(&format!("endpoint: 'https://l', {good}")), &[]);
    }
}
