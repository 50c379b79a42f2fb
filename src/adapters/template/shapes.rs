//! Whatever a customer says and whatever a parameter holds, a body keeps its shape.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use super::transcript::Transcript;
use super::*;
use crate::events::MessageRole;
use crate::execution::types::Message;

/// Every kind of place that a value can have in a JSON body.
const BODY: &str = r#"{% set line %}so: {{ input }}{% endset %}{
    "text": "{{ input }}", "slot": {{ input }}, "list": [{{ input }}, {{ p }}, "{{ p }}"], "part": "<{{ input }}|{{ input }}>",
    "history": {{ messages }}, "told": "{{ messages }}", "json": {{ p | tojson }}, "param": {{ params.p }},
    "captured": "{{ line }}", "trimmed": "{{ line | trim }}", "windows": "C:\{{ input }}",
    "loop": [{% for m in messages %}{"c": "{{ m.content }}", "d": {{ m.content }}}{{ "," if not loop.last }}{% endfor %}],
    "end": true }"#;

/// Pieces of what would break out.
const PIECES: [&str; 27] = [
    "\"",
    "\\",
    "\\\"",
    "}",
    "{",
    "]",
    "[",
    ",",
    ":",
    "null",
    "true",
    "1",
    "{{",
    "}}",
    "{% raw %}",
    "\n",
    "\r",
    "\0",
    "\u{2028}",
    "\u{e000}",
    "\u{e001}",
    "0\u{e001}",
    "\u{fffd}",
    "ü",
    "{{ secrets.X }}",
    " ",
    "a",
];

fn hostile() -> impl Strategy<Value = String> {
    let text = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12);
    prop_oneof![any::<String>(), ".*", text.prop_map(|pieces| pieces.concat())]
}

fn plain_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        hostile().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        prop::collection::vec(hostile(), 0..3).prop_map(Json::from),
    ]
}

fn variables(line: &str, parameter: &Json) -> Variables {
    let message = |content: &str| Message {
        turn: 1,
        role: MessageRole::User,
        content: content.to_owned(),
        tool_calls: Vec::new(),
        at: OffsetDateTime::UNIX_EPOCH,
        latency_ms: None,
    };
    let messages: Arc<[Message]> = Arc::new([message("Hello"), message(line)]);
    let mut variables = Variables::none();
    variables.bind("messages", Value::from_object(Transcript::new(&messages)));
    variables.bind("input", line);
    variables.bind_json("p", parameter);
    variables.bind_json("params", &json!({ "p": parameter }));
    variables
}

fn render(source: &str, escape: Escape, variables: &Variables) -> String {
    Template::compile(Place::Body, source, escape).unwrap().render(variables).unwrap()
}

/// A value as it is inside a string.
fn as_text(value: &Json) -> Json {
    value.as_str().map_or_else(|| value.to_string().into(), Json::from)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_is_the_same_json_around_any_values(line in hostile(), parameter in plain_value()) {
        let body = render(BODY, Escape::Json, &variables(&line, &parameter));
        let history = json!([{ "role": "user", "content": "Hello" }, { "role": "user", "content": line }]);
        let captured = format!("so: {line}");
        let expected = json!({
            "text": line, "slot": line, "list": [line, parameter, as_text(&parameter)], "part": format!("<{line}|{line}>"),
            "history": history, "told": history.to_string(), "json": parameter, "param": parameter,
            "captured": captured, "trimmed": captured, "windows": format!("C:\\{line}"),
            "loop": [{ "c": "Hello", "d": "Hello" }, { "c": line, "d": line }],
            "end": true
        });
        prop_assert_eq!(serde_json::from_str::<Json>(&body).map_err(|error| format!("{error} in {body}")), Ok(expected));
    }

    #[test]
    fn a_form_and_a_url_have_as_many_parts_around_any_values(line in hostile(), parameter in plain_value()) {
        let text = render("a={{ input }}&b={{ p }}/{{ params.p }}#{{ messages }}", Escape::UrlComponent, &variables(&line, &parameter));
        for (separator, count) in [('&', 1), ('=', 2), ('/', 1), ('#', 1), ('?', 0), ('\\', 0), ('@', 0), (':', 0)] {
            prop_assert_eq!(text.matches(separator).count(), count, "{} in {}", separator, text);
        }
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
    }
}
