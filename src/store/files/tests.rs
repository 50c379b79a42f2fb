use super::*;
use crate::definitions::Secret;

fn read(text: &str) -> Result<Vec<ParsedDocument>, Problems> {
    let file = SourceFile { name: "acme.yaml".to_owned(), text: text.to_owned() };
    parse(&[file], &|name| (name == "KEY").then(|| "sk-very-secret".to_owned()))
}

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().list().iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_may_hold_several_documents_of_one_project_each() {
    let documents = read("project: { id: a }\n---\nproject: { id: b, name: Bee }\nprompts:\n").unwrap();
    let ids: Vec<_> = documents.iter().map(|parsed| parsed.document().project.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(documents[1].document().project.name.as_deref(), Some("Bee"));
}

#[test]
fn json_is_read_too_with_its_escapes_and_tabs() {
    let documents =
        read("{\n\t\"project\": {\"id\": \"a\", \"name\": \"\\ud83d\\ude00 \\/\"},\n\t\"agents\": []\n}")
            .unwrap();
    assert_eq!(documents[0].document().project.name.as_deref(), Some("😀 /"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "the file and what is wrong with it belong side by side")]
fn every_problem_of_a_file_is_listed_with_line_column_and_field() {
    let text = r"project: { id: acme, colour: blue, defaultModel: gpt-5 }
prompts:
  - id: support
    systemPrompt: You help.
    temperature: 2.5
    mood: good
    maxTokens: 0
scenarios:
  - { id: refund, name: Refund, situation: A mug, criteria: [], maxTurns: 101 }
  - id: refund
    name: Again
    situation: A mug
    criteria: ['  ', It is polite]
    maxTurns: 3
    minTurns: 4
    models: { judge: gpt }
---
project: { id: a.b }
---
providers: []
";
    let expected = [
        ("1:22", "project.colour", "unknown field `colour`"),
        ("1:50", "project.defaultModel", "Invalid model format 'gpt-5'"),
        ("5:18", "prompts[0].temperature", "is 2.5; it must be 0 to 2"),
        ("6:5", "prompts[0].mood", "unknown field `mood`"),
        ("7:16", "prompts[0].maxTokens", "is 0; it must be at least 1"),
        ("9:61", "scenarios[0].criteria", "must have at least one criterion"),
        ("9:75", "scenarios[0].maxTurns", "is 101; it must be 1 to 100"),
        ("10:5", "scenarios[1]", "scenario 'refund' is defined twice, first in line 9"),
        ("13:16", "scenarios[1].criteria[0]", "must have a text"),
        ("15:15", "scenarios[1].minTurns", "is 4; it must be 0 to 3"),
        ("16:22", "scenarios[1].models.judge", "Invalid model format 'gpt'"),
        ("18:16", "project.id", "project id 'a.b' is not valid"),
        ("20:1", "project", "is missing"),
    ];
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (place, field, reason)) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("acme.yaml:{place}: `{field}`: {reason}")), "{found}");
    }
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_place() {
    for (text, start) in [
        ("project:\n  id: a\n bad: x\n", "acme.yaml:3:2: "),
        ("project: { id: a }\nproject: { id: b }\n", "acme.yaml:2:1: duplicate mapping key"),
        ("project: { id: a }\nagents: [\n", "acme.yaml:2:9: "),
        ("", "acme.yaml: it has no document"),
        ("- a\n", "acme.yaml:1:1: a document must be a mapping"),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(start), "{found:?}");
        assert!(!found[0].contains('\n') && !found[0].contains("DuplicateKeyPolicy"), "{found:?}");
    }
}

#[test]
fn problems_of_several_files_are_listed_together() {
    let files =
        ["one.yaml", "two.yaml"].map(|name| SourceFile { name: name.into(), text: "projekt: {}".into() });
    let error = parse(&files, &|_| None).unwrap_err().to_string();
    assert!(error.contains("one.yaml:1:1") && error.contains("two.yaml:1:1"), "{error}");
}

#[test]
fn variables_are_expanded_in_values_and_not_in_keys() {
    let text = "project: { id: a, name: '${KEY}' }\nsecrets: { '${KEY}': 'x-${KEY}', LITERAL: '$${KEY}' }\n";
    let documents = read(text).unwrap();
    let document = documents[0].document();
    assert_eq!(document.project.name.as_deref(), Some("sk-very-secret"));
    assert_eq!(document.secrets["${KEY}"], Secret::new("x-sk-very-secret"));
    assert_eq!(document.secrets["LITERAL"], Secret::new("${KEY}"));
}

#[test]
fn a_variable_that_is_not_set_is_named_with_its_place() {
    let found = problems("project: { id: a }\nsecrets:\n  A: ${NOWHERE}\n  B: ${NOR_HERE}\n");
    assert!(found[0].starts_with("acme.yaml:3:6: `secrets.A`: the environment variable NOWHERE is not set"));
    assert!(found[1].starts_with("acme.yaml:4:6: `secrets.B`: the environment variable NOR_HERE is not set"));
}

#[test]
fn no_problem_shows_a_credential() {
    for text in [
        "project: { id: '${KEY}/' }",
        "project: { id: a, defaultModel: '${KEY}' }",
        "project: { id: a }\nproviders: [{ id: x, kind: '${KEY}' }]",
        "project: { id: a, telemetry: { endpoint: '${KEY}' } }",
        "project: { id: a }\nagents: [{ id: x, type: \"${KEY}\\u0007\" }]",
        "project: { id: a }\nproviders: [{ id: x, kind: openai, apiKey: 918273645 }]",
        "project: { id: a }\nproviders: [{ id: x, kind: openai, apiKey: { a: 918273645 } }]",
        "project: { id: a }\nsecrets: { PIN: 918273645 }",
        "project: { id: a }\nsecrets: [918273645]",
        "project: { id: a }\nsecrets: { PIN: \"918273645\" \"x\" }",
    ] {
        let error = read(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("very-secret") && !shown.contains("918273645"), "{shown}");
    }
}

#[test]
fn a_number_that_only_older_yaml_knows_stays_the_text_that_was_written() {
    let documents = read("project: { id: a, name: no }\nsecrets: { PIN: 0755, BIG: 1_000 }").unwrap();
    let document = documents[0].document();
    assert_eq!(document.project.name.as_deref(), Some("no"));
    assert_eq!(document.secrets["PIN"].expose(), "0755");
    assert_eq!(document.secrets["BIG"].expose(), "1_000");
}

#[test]
fn a_provider_that_nobody_defines_may_be_named() {
    assert!(read("project: { id: a, defaultModel: elsewhere/model }").is_ok());
}

#[test]
fn a_reply_of_an_offline_model_with_an_unknown_key_is_refused() {
    let reply = |reply: &str| {
        let model = format!("{{ m: {{ replies: [ {reply} ] }} }}");
        format!("project: {{ id: a }}\nproviders: [ {{ id: x, kind: scripted, models: {model} }} ]")
    };
    assert!(read(&reply("Hello, { when: x, text: y }")).is_ok());
    let found = problems(&reply("{ when: x, text: y, if: z }"));
    assert!(
        found[0].contains("`providers[0].models.m.replies[0]`: expected a text, or `when` and `text`"),
        "{found:?}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "the file and what is wrong with it belong side by side")]
fn a_parameter_that_cannot_be_declared_is_refused_where_it_stands() {
    let text = "project: { id: acme }
scenarios:
  - id: refund
    name: Refund
    situation: A mug
    criteria: [ It is polite ]
    parameters:
      - { name: 2nd }
      - { name: token, secret: true, defaultValue: hunter2 }
      - { name: token, description: again }
      - { name: list, default: [ 1 ] }
";
    let found = problems(text);
    let expected = [
        ("8:17", "scenarios[0].parameters[0].name", "must be a letter or `_`"),
        ("9:52", "scenarios[0].parameters[1].defaultValue", "cannot be given"),
        ("10:17", "scenarios[0].parameters[2].name", "'token' is declared twice"),
        ("11:9", "scenarios[0].parameters[3].defaultValue", "must be a text, a number, or true or false"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (place, field, reason)) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("acme.yaml:{place}: `{field}`: {reason}")), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn a_scenario_has_so_many_parameters_at_most() {
    let many: Vec<String> = (0..21).map(|n| format!("{{ name: p{n} }}")).collect();
    let many = many.join(", ");
    let scenario = format!("{{ id: r, name: R, situation: S, criteria: [ C ], parameters: [ {many} ] }}");
    let found = problems(&format!("project: {{ id: acme }}\nscenarios: [ {scenario} ]\n"));
    assert!(found[0].contains("has 21; it may have at most 20"), "{found:?}");
}
