use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

fn event(name: &str, data: &str) -> SseEvent {
    SseEvent { name: name.into(), data: data.into() }
}

/// The events, and whether the stream could be read to its end.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, bool) {
    let (mut decoder, mut events) = (SseDecoder::new(LIMIT), Vec::new());
    for piece in pieces {
        if decoder.push(piece, &mut events).is_err() {
            return (events, false);
        }
    }
    (events, true)
}

fn all(stream: &str) -> Vec<SseEvent> {
    let (events, complete) = decode([stream.as_bytes()]);
    assert!(complete, "{stream}");
    events
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn events_are_read_as_the_standard_has_them() {
    let message = |data| vec![event("message", data)];
    for (stream, expected) in [
        ("data: one\n\n", message("one")),
        ("data:one\n\n", message("one")),
        ("data:  two spaces\n\n", message(" two spaces")),
        ("data: a\r\ndata: b\r\n\r\n", message("a\nb")),
        ("data: a\rdata: b\r\r", message("a\nb")),
        ("data: a\n\r", message("a")),
        ("\u{feff}data: a\n\n", message("a")),
        ("data\n\n", message("")),
        ("data\ndata\n\n", message("\n")),
        ("data: x: y\n\n", message("x: y")),
        (": ping\n\ndata: a\n: in between\ndata: b\n\n", message("a\nb")),
        ("id: 7\nretry: 10\nother: z\nnothing\ndata: a\n\n", message("a")),
        ("Data: a\n\n", vec![]),
        (" data: a\n\n", vec![]),
        ("event: named\n\ndata: a\n\n", message("a")),
        ("event: a\nevent: b\ndata: x\n\n", vec![event("b", "x")]),
        ("event: delta\ndata: a\n\ndata: b\n\n", vec![event("delta", "a"), event("message", "b")]),
        ("data: never ended", vec![]),
        ("data: never ended\n", vec![]),
        ("\n\n\r\n\r", vec![]),
        ("data: \u{feff}\n\n", message("\u{feff}")),
        ("", vec![]),
    ] {
        assert_eq!(all(stream), expected, "{stream:?}");
    }
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let (events, _) = decode([&b"data: caf\xe9 \xf0\x9f\n\n"[..]]);
    assert_eq!(events, [event("message", "caf\u{fffd} \u{fffd}")]);
}

#[test]
fn an_event_that_is_too_large_ends_the_stream_after_those_before_it() {
    let long_line = format!("data: a\n\ndata: {}", "x".repeat(LIMIT));
    let many_lines = format!("data: a\n\n{}", "data: xxxxxxx\n".repeat(LIMIT));
    for stream in [long_line, many_lines] {
        assert_eq!(decode([stream.as_bytes()]), (vec![event("message", "a")], false));
    }
}

#[test]
fn a_long_stream_of_small_events_is_no_large_event() {
    assert_eq!(all(&"data: x\n\n".repeat(LIMIT)).len(), LIMIT);
}

/// Bytes that look like events more often than chance would have it.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![
            &b"data"[..], b"event", b"id", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf",
            b"data: x\n\n", "\u{fc}".as_bytes(), b"[DONE]",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(stream in streams(), cuts in prop::collection::vec(0usize..200, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([stream.len()]);
        let pieces = ends.scan(0, |begin, end| Some(&stream[std::mem::replace(begin, end)..end]));
        let whole = decode([stream.as_slice()]);
        prop_assert_eq!(decode(pieces), whole.clone());
        prop_assert_eq!(decode(stream.chunks(1)), whole);
    }

    #[test]
    fn what_a_server_writes_is_what_is_read(
        sent in prop::collection::vec(("[a-z]{1,8}", "[^\r\n]{0,10}(\n[^\r\n]{0,10}){0,2}"), 0..6),
        end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
    ) {
        let mut stream = String::new();
        for (name, data) in &sent {
            let lines = data.replace('\n', &format!("{end}data: "));
            stream.extend(["event: ", name, end, "data: ", &lines, end, end]);
        }
        let (mut decoder, mut events) = (SseDecoder::new(1024), Vec::new());
        decoder.push(stream.as_bytes(), &mut events).unwrap();
        let expected: Vec<SseEvent> = sent.iter().map(|(name, data)| event(name, data)).collect();
        prop_assert_eq!(events, expected);
    }
}
