use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMIT: usize = 4096;

fn rules(definition: Value) -> Result<StreamRules, String> {
    StreamRules::read(&serde_json::from_value(definition).map_err(|error| error.to_string())?)
}

fn assemble<'a>(
    rules: &StreamRules,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Assembled, String> {
    let counting = UsageRules::default();
    let mut assembly = Assembly::new(rules, None, &counting, LIMIT);
    for piece in pieces {
        assembly.push(piece).map_err(|fault| fault.to_string())?;
    }
    assembly.finish().map_err(|fault| fault.to_string())
}

fn said(definition: Value, stream: &str) -> Result<String, String> {
    assemble(&rules(definition).unwrap(), [stream.as_bytes()]).map(|told| told.words)
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn words_are_put_together_as_the_definition_says() {
    let sse = |more: Value| {
        let mut rules = json!({ "format": "sse", "delta": "$.t" });
        rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rules
    };
    for (definition, stream, expected) in [
        (sse(json!({})), "data: {\"t\":\"a\"}\n\ndata: {\"t\":\"b\"}\n\n", "ab"),
        (sse(json!({})), "data: {\"t\":\"a\"}\n\ndata: [DONE]\n\ndata: no json\n\n", "a"),
        (sse(json!({})), "data: {\"t\":null}\n\ndata: {}\n\ndata\n\ndata: {\"t\":1}\n\n", "1"),
        (sse(json!({ "done": "END" })), "data: {\"t\":\"a\"}\n\ndata: END\n\ndata: {\"t\":\"b\"}\n\n", "a"),
        (
            sse(json!({ "done": "$.last" })),
            "data: {\"t\":\"a\"}\n\ndata: {\"t\":\"b\",\"last\":true}\n\ndata: {\"t\":\"c\"}\n\n",
            "ab",
        ),
        (
            sse(json!({ "done": { "path": "$.n", "equals": 2 } })),
            "data: {\"t\":\"a\",\"n\":1}\n\ndata: {\"n\":2}\n\n",
            "a",
        ),
        (sse(json!({ "done": { "event": "end" } })), "data: {\"t\":\"a\"}\n\nevent: end\ndata: bye\n\n", "a"),
        (
            sse(json!({ "event": "delta" })),
            "event: ping\ndata: x\n\nevent: delta\ndata: {\"t\":\"a\"}\n\ndata: {\"t\":\"b\"}\n\n",
            "a",
        ),
        (
            sse(json!({ "event": ["one", "two"] })),
            "event: one\ndata: {\"t\":\"a\"}\n\nevent: two\ndata: {\"t\":\"b\"}\n\n",
            "ab",
        ),
        (
            sse(json!({ "accumulate": "last" })),
            "data: {\"t\":\"a\"}\n\ndata: {\"t\":\"ab\"}\n\ndata: {}\n\n",
            "ab",
        ),
        (
            json!({ "format": "sse" }),
            "data: Sure,\n\ndata:  I can\ndata: help\n\ndata: 5\n\ndata: [DONE]\n\n",
            "Sure, I can\nhelp5",
        ),
        (
            json!({ "format": "sse", "delta": "$.parts[*].text" }),
            "data: {\"parts\":[{\"text\":\"a\"},{},{\"text\":\"b\"}]}\n\n",
            "ab",
        ),
        (json!({ "format": "ndjson", "delta": "$.t" }), "{\"t\":\"a\"}\n\n{\"t\":\"b\"}", "ab"),
        (
            json!({ "format": "ndjson", "delta": "$.t", "done": "$.done" }),
            "{\"t\":\"a\"}\n{\"t\":\"b\",\"done\":true}\nno json\n",
            "ab",
        ),
    ] {
        assert_eq!(said(definition.clone(), stream).as_deref(), Ok(expected), "{definition} {stream:?}");
    }
}

#[test]
fn a_stream_that_is_no_answer_says_why() {
    let ndjson = json!({ "format": "ndjson", "delta": "$.t", "error": "$.error", "done": "$.done" });
    let sse = json!({ "format": "sse", "delta": "$.t", "error": { "event": "error" }, "done": "END" });
    for (definition, stream, part) in [
        (&ndjson, "{\"t\":\"a\"}\n{\"error\":\"out of order\"}\n", "out of order"),
        (&ndjson, "{\"t\":\"a\"}\n", "ended before `stream.done`"),
        (&ndjson, "{\"t\":\"a\"}\n{\"t\":", "line 2 of the stream is not JSON"),
        (&sse, "data: {\"t\":\"a\"}\n\nevent: error\ndata: too busy\n\n", "too busy"),
        (&sse, "data: {\"t\":\"a\"}\n\ndata: oh\n\n", "event 2 of the stream is not JSON"),
        (&sse, "data: {\"t\":\"a\"}\n\n", "ended before `stream.done`"),
        (&sse, "data: {\"t\":\"a\"}\n\ndata: END", "ended before `stream.done`"),
        (&sse, "", "ended before `stream.done`"),
    ] {
        let problem = said(definition.clone(), stream).unwrap_err();
        assert!(problem.contains(part), "{stream:?}: {problem}");
    }
    let long = format!("data: {}\n\n", "x".repeat(LIMIT));
    assert!(said(json!({ "format": "sse" }), &long).unwrap_err().contains("larger than 4096 bytes"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn a_definition_that_cannot_be_meant_is_refused() {
    for (definition, part) in [
        (json!({}), "missing field `format`"),
        (json!({ "format": "xml" }), "unknown variant `xml`"),
        (json!({ "format": "sse", "delta": "text" }), "stream.delta: 'text' is no JSONPath"),
        (json!({ "format": "sse", "done": " " }), "stream.done: it is empty"),
        (json!({ "format": "sse", "done": "$.a[" }), "stream.done: '$.a['"),
        (json!({ "format": "sse", "done": 5 }), "no marker, no JSONPath"),
        (json!({ "format": "sse", "error": { "events": "x" } }), "no marker, no JSONPath"),
        (json!({ "format": "sse", "event": 5 }), "neither a name nor a list"),
        (json!({ "format": "sse", "words": "$" }), "unknown field `words`"),
        (json!({ "format": "ndjson" }), "stream.delta: "),
        (json!({ "format": "ndjson", "delta": "$", "event": "a" }), "stream.event: "),
        (json!({ "format": "ndjson", "delta": "$", "done": "END" }), "stream.done: of ndjson only"),
        (
            json!({ "format": "ndjson", "delta": "$", "error": { "event": "e" } }),
            "stream.error: of ndjson only",
        ),
    ] {
        let problem = rules(definition.clone()).unwrap_err();
        assert!(problem.contains(part), "{definition}: {problem}");
    }
}

#[test]
fn tools_and_tokens_are_found_in_whatever_event_they_are() {
    let rules = rules(json!({ "format": "sse", "delta": "$.t", "event": "delta" })).unwrap();
    let calls = ToolCallRules::read(&serde_json::from_value(json!({ "path": "$.call" })).unwrap()).unwrap();
    let usage = json!({ "inputTokens": "$.usage.in", "outputTokens": "$.usage.out" });
    let counting = UsageRules::read(Some(&serde_json::from_value(usage).unwrap())).unwrap();
    let mut assembly = Assembly::new(&rules, Some(&calls), &counting, LIMIT);
    assert!(!assembly.has_begun());
    assembly
        .push(b"event: tool\ndata: {\"call\":{\"id\":\"1\",\"name\":\"look\",\"arguments\":\"{\"}}\n\n")
        .unwrap();
    assert!(assembly.has_begun(), "a call is a beginning, too");
    assembly.push(b"event: tool\ndata: {\"call\":{\"id\":\"1\",\"arguments\":\"}\"}}\n\n").unwrap();
    assembly.push(b"event: end\ndata: {\"usage\":{\"in\":11,\"out\":5}}\n\ndata: [DONE]\n\n").unwrap();
    assert!(assembly.is_done());
    let told = assembly.finish().unwrap();
    let call = ToolCall { id: "1".into(), name: "look".into(), arguments: json!({}) };
    assert_eq!((told.words.as_str(), told.calls), ("", vec![call]));
    assert_eq!((told.usage.input_tokens, told.usage.output_tokens), (11, 5));
}

/// Streams of events, half of them sensible.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        6 => prop::sample::select(vec![
            "data: {\"t\":\"a\"}\n\n", "data: {\"t\":\"ü\"}\r\n\r\n", "event: e\n", "data: [DONE]\n\n", "data: x\n\n",
            "{\"t\":\"b\"}\n", "\n", "\r", ": ping\n\n", "data: {\"error\":\"e\"}\n\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn however_the_bytes_arrive_the_answer_is_the_same(stream in streams(), size in 1usize..16) {
        for definition in [
            json!({ "format": "sse" }),
            json!({ "format": "sse", "delta": "$.t", "error": "$.error" }),
            json!({ "format": "sse", "delta": "$.t", "done": { "event": "e" } }),
            json!({ "format": "ndjson", "delta": "$.t" }),
        ] {
            let rules = rules(definition).unwrap();
            let whole = assemble(&rules, [stream.as_slice()]);
            prop_assert_eq!(assemble(&rules, stream.chunks(size)), whole);
        }
    }
}
