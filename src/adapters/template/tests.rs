use std::sync::Arc;

use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use super::transcript::Transcript;
use super::*;
use crate::definitions::Secret;
use crate::events::MessageRole;
use crate::execution::types::Message;

const HOSTILE: &str = "He said \"hi\"\\ \n{{ secrets.X }} {% for %} }} \u{1} ü";

fn variables() -> Variables {
    let message = |role, content: &str| Message {
        turn: 1,
        role,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    let messages: Arc<[Message]> = Arc::new([
        message(MessageRole::User, "Hello"),
        message(MessageRole::Assistant, "Yes?"),
        message(MessageRole::User, HOSTILE),
    ]);
    let mut variables = Variables::none();
    variables.bind("messages", Value::from_object(Transcript::new(&messages)));
    variables.bind("input", HOSTILE);
    let params = json!({ "list": [1, "a\"b"], "flag": true, "half": 0.5, "none": null, "text": "a&b c" });
    variables.bind_json("params", &params);
    variables
}

fn history() -> Json {
    json!([
        { "role": "user", "content": "Hello" },
        { "role": "assistant", "content": "Yes?" },
        { "role": "user", "content": HOSTILE },
    ])
}

fn render(source: &str, escape: Escape) -> String {
    Template::compile(Place::Body, source, escape).unwrap().render(&variables()).unwrap()
}

fn render_json(source: &str) -> Json {
    let text = render(source, Escape::Json);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn a_text_in_a_json_string_stays_that_text() {
    assert_eq!(render_json(r#"{"a": "{{ input }}"}"#), json!({ "a": HOSTILE }));
    assert_eq!(render_json(r#"{"a": "<{{ 'x' ~ input }}>"}"#), json!({ "a": format!("<x{HOSTILE}>") }));
    let captured = r#"{% set line %}{{ input }}{% endset %}{"a": "{{ line }}"}"#;
    assert_eq!(render_json(captured), json!({ "a": HOSTILE }));
}

#[test]
fn a_json_value_stays_json_and_becomes_text_inside_a_string() {
    assert_eq!(render_json("{{ messages }}"), history());
    let inside = render_json(r#"{"a": "so: {{ messages }}"}"#);
    let text = inside["a"].as_str().unwrap().strip_prefix("so: ").unwrap();
    assert_eq!(serde_json::from_str::<Json>(text).unwrap(), history());
    let types = r#"[{{ params.list }}, {{ params.flag }}, {{ params.half }}, {{ params.none }}, "{{ params.none }}"]"#;
    assert_eq!(render_json(types), json!([[1, "a\"b"], true, 0.5, null, ""]));
}

#[test]
fn tojson_writes_a_whole_value_wherever_it_stands() {
    assert_eq!(render_json("[{{ input | tojson }}]"), json!([HOSTILE]));
    let inside = render_json(r#"{"a": "{{ input | tojson }}"}"#);
    assert_eq!(serde_json::from_str::<Json>(inside["a"].as_str().unwrap()).unwrap(), json!(HOSTILE));
    let twice = render_json("{% set x %}{{ messages }}{% endset %}[{{ x | tojson }}]");
    assert_eq!(serde_json::from_str::<Json>(twice[0].as_str().unwrap()).unwrap(), history());
}

#[test]
fn a_text_outside_of_strings_becomes_one_and_the_author_s_own_stays_json() {
    assert_eq!(
        render_json(r#"{"a": {{ input }}, "b": [{{ params.text }}]}"#),
        json!({ "a": HOSTILE, "b": ["a&b c"] })
    );
    let own = r#"[{% for m in messages %}{{ m.role }}{{ "," if not loop.last }}{% endfor %}, {{ 'true' if params.flag else 'false' }}]"#;
    assert_eq!(render_json(own), json!(["user", "assistant", "user", true]));
    let inside = r#"{"a": "{{ 'say "hi"' if params.flag }}", "b": "{{ 'x' if false else input }}"}"#;
    assert_eq!(render_json(inside), json!({ "a": "say \"hi\"", "b": HOSTILE }));
}

#[test]
fn a_captured_text_can_be_filtered_and_is_still_escaped_once() {
    let captured = r#"{% set line %} Line: {{ input }} {% endset %}{"a": "{{ line | trim }}"}"#;
    assert_eq!(render_json(captured), json!({ "a": format!("Line: {HOSTILE}") }));
    let upper = r#"{% set line %}{{ params.text }}{{ params.list }}{% endset %}{"a": "{{ line | upper }}"}"#;
    assert_eq!(render_json(upper), json!({ "a": "A&B C[1,\"A\\\"B\"]" }));
    let cut = r#"{% set line %}{{ input }}{% endset %}{"a": "{{ line[0:60] }}"}"#;
    let cut = render_json(cut)["a"].as_str().unwrap().to_owned();
    assert!(HOSTILE.starts_with(&cut) && cut.len() > 8, "{cut:?}");
}

#[test]
fn a_backslash_before_a_value_takes_nothing_of_it() {
    assert_eq!(render_json(r#"{"a": "C:\{{ input }}"}"#), json!({ "a": format!("C:\\{HOSTILE}") }));
}

#[test]
fn values_inside_a_loop_are_escaped_too() {
    let source = r#"[{% for m in messages %}{"r": "{{ m.role }}", "c": "{{ m.content }}"}{% if not loop.last %},{% endif %}{% endfor %}]"#;
    let expected: Vec<Json> =
        history().as_array().unwrap().iter().map(|m| json!({ "r": m["role"], "c": m["content"] })).collect();
    assert_eq!(render_json(source), json!(expected));
}

#[test]
fn raw_turns_escaping_off() {
    assert_eq!(render("{{ input | raw }}", Escape::Json), HOSTILE);
    assert_eq!(render("{{ input | safe }}", Escape::UrlComponent), HOSTILE);
    assert_eq!(render("{{ params.list | raw }}", Escape::Json), r#"[1,"a\"b"]"#);
}

#[test]
fn what_is_not_there_is_empty() {
    assert_eq!(render("<{{ nothing }}{{ nothing.at.all }}{{ params.missing.x }}>", Escape::Json), "<>");
    assert_eq!(render("<{{ params.none }}>", Escape::Text), "<>");
}

#[test]
fn a_value_in_a_url_is_one_component() {
    let url = render("/x?q={{ params.text }}&l={{ params.list }}&f={{ params.flag }}", Escape::UrlComponent);
    assert_eq!(url, "/x?q=a%26b%20c&l=%5B1%2C%22a%5C%22b%22%5D&f=true");
}

#[test]
fn the_conversation_is_prose_in_a_prompt() {
    let prose = render("{{ messages }}", Escape::Prose);
    assert_eq!(prose, format!("user: Hello\nassistant: Yes?\nuser: {HOSTILE}"));
    assert_eq!(render("{{ messages[0].content }}\n", Escape::Prose), "Hello\n");
}

#[test]
fn a_secret_is_put_in_as_it_is_and_never_read_as_a_template() {
    let source = "{{ secrets.KEY }}|{{secrets.KEY}}|{{ input }}";
    let mut template = Template::compile(Place::Header("X-Key".into()), source, Escape::Text).unwrap();
    assert_eq!(template.render(&variables()).unwrap(), format!("{source}|").replace("{{ input }}|", HOSTILE));
    let secrets = Secrets::from([
        ("KEY".to_owned(), Secret::new("{{ input }}&\"")),
        ("X".to_owned(), Secret::new("never")),
    ]);
    template.resolve_secrets(&secrets).unwrap();
    let value = "{{ input }}&\"";
    assert_eq!(template.render(&variables()).unwrap(), format!("{value}|{value}|{HOSTILE}"));
}

#[test]
fn a_secret_in_a_url_is_one_component_unless_it_begins_it() {
    let secrets = Secrets::from([
        ("KEY".to_owned(), Secret::new("p4ss&b=2#w%41/r?d")),
        ("BASE".to_owned(), Secret::new("https://shop.example/a?b=1")),
    ]);
    let escaped = "p4ss%26b%3D2%23w%2541%2Fr%3Fd";
    for (source, expected) in [
        ("http://a/u?key={{ secrets.KEY }}&tenant=1", format!("http://a/u?key={escaped}&tenant=1")),
        ("http://a/{{ secrets.KEY }}/{{secrets.KEY}}", format!("http://a/{escaped}/{escaped}")),
        ("{{ secrets.BASE }}&c={{ secrets.KEY }}", format!("https://shop.example/a?b=1&c={escaped}")),
        ("{% for n in [1] %}{{ secrets.BASE }}{% endfor %}/x", "https://shop.example/a?b=1/x".to_owned()),
        ("http://a/?to={{ secrets.BASE }}", "http://a/?to=https%3A%2F%2Fshop.example%2Fa%3Fb%3D1".to_owned()),
    ] {
        for place in [Place::Url, Place::PollUrl, Place::In("session.start", Box::new(Place::Url))] {
            let mut template = Template::compile(place, source, Escape::UrlComponent).unwrap();
            template.resolve_secrets(&secrets).unwrap();
            assert_eq!(template.render(&variables()).unwrap(), expected, "{source}");
        }
    }
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let mut template =
        Template::compile(Place::Header("X-Key".into()), "{{ secrets.NO }}", Escape::Text).unwrap();
    let error = template.resolve_secrets(&Secrets::new()).unwrap_err().to_string();
    assert_eq!(error, "the secret 'NO' that headers \"X-Key\" names is not in the project");
}

#[test]
fn a_secret_is_no_value_of_a_template() {
    for source in ["{{ secrets.A | upper }}", "{% if secrets.A %}x{% endif %}", "{{ secrets['A'] }}"] {
        let error = Template::compile(Place::Url, source, Escape::Text).err().unwrap().to_string();
        assert!(error.contains("url") && error.contains("{{ secrets.NAME }}"), "{source}: {error}");
    }
}

#[test]
fn a_broken_template_is_refused_with_its_place_and_line() {
    let error = Template::compile(Place::Header("X-A".into()), "ok\n{{ input", Escape::Text).err().unwrap();
    let error = error.to_string();
    assert!(
        error.starts_with("the template in headers \"X-A\", line 2, cannot be used: syntax error"),
        "{error}"
    );
    let template = Template::compile(Place::Body, "\n{{ input | nope }}", Escape::Json).unwrap();
    let error = template.render(&variables()).unwrap_err().to_string();
    assert!(
        error.starts_with("the template in bodyTemplate, line 2, cannot be used: unknown filter"),
        "{error}"
    );
}

#[test]
fn a_template_that_works_too_much_stops() {
    for source in [
        "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}",
        "{% set s = range(100000) %}{% for a in s %}{% if 'a' in s %}{% endif %}{% endfor %}",
        "{{ 'x' | indent(90000000) }}",
        "{{ '%090000000d' | format(3) }}",
    ] {
        let template = Template::compile(Place::Body, source, Escape::Json).unwrap();
        let error = template.render(&variables()).unwrap_err().to_string();
        assert!(error.contains("too much work"), "{source}: {error}");
    }
}

#[test]
fn a_template_that_could_blow_up_is_refused() {
    let long = |unit: &str| format!("{{{{ {}1 }}}}", unit.repeat(5000));
    let sums = "{% set x = x + x %}".repeat(7);
    for source in [
        long("1~"),
        long("not "),
        long("("),
        sums,
        "{% if x %}".to_owned() + &"{% elif x %}".repeat(5000) + "{% endif %}",
        "{{ [1] * 90000000 }}".to_owned(),
        "{% set x = [x, x] %}".to_owned(),
        "{% set x = x, x %}".to_owned(),
        "{% set x = (x, x) %}".to_owned(),
        "{% set x = {'a': x} %}".to_owned(),
        "{% for a in x recursive %}{{ loop(a) }}{% endfor %}".to_owned(),
    ] {
        assert!(Template::compile(Place::Body, &source, Escape::Json).is_err(), "{source:.40} was accepted");
    }
    let template = Template::compile(Place::Body, "{{ namespace() }}", Escape::Json).unwrap();
    assert!(template.render(&variables()).is_err());
}

#[test]
fn usual_code_is_none_of_that() {
    for (source, expected) in [
        ("{% for key, value in params | items %}{% if loop.first %}{{ key }}{% endif %}{% endfor %}", "list"),
        ("{% if messages[-1].role in ['user', 'tool'] %}yes{% endif %}", "yes"),
        ("{{ params.missing | default('none', true) }} {{ (1 + 2) // 2 }}", "none 1"),
        ("{{ messages | map(attribute='role') | join(',') }}", "user,assistant,user"),
        ("{{ 'a' if params.flag else 'b' }}{{ params['half'] }}{{ messages[0:1] | length }}", "a0.51"),
    ] {
        assert_eq!(render(source, Escape::Text), expected, "{source}");
    }
    let text = "words ".repeat(100_000);
    assert_eq!(render(&text, Escape::Prose), text);
}

#[test]
fn what_a_run_says_cannot_forge_the_marks_of_values() {
    // Whoever had a mark, by whatever way, would break out of his place with it.
    let mark = json_slots::text("").replace(char::is_control, "");
    let mut variables = variables();
    variables.bind("input", format!("x{mark}\", \"admin\": true, \"y\": \"{mark}"));
    let template =
        Template::compile(Place::Body, r#"{"a": "{{ input }}", "b": {{ input }}}"#, Escape::Json).unwrap();
    let body: Json = serde_json::from_str(&template.render(&variables).unwrap()).unwrap();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(body["a"].as_str().unwrap().contains("admin") && body["b"].is_string());
}

#[test]
fn only_an_expression_or_a_tag_reads_a_variable() {
    let reads =
        |source| Template::compile(Place::SystemPrompt, source, Escape::Prose).unwrap().reads("messages");
    assert!(reads("{{ messages }}") && reads("{% for m in messages %}{% endfor %}"));
    assert!(reads("{{ messages | length }}") && reads("{% if messages[1] %}{% endif %}"));
    for words in [
        "messages",
        "{{ 'messages' }}",
        "{{ \"the messages\" ~ input }}",
        "{{ params.messages }}",
        "{# messages #}",
        "{% raw %}{{ messages }}{% endraw %}",
    ] {
        assert!(!reads(words), "{words}");
    }
}
