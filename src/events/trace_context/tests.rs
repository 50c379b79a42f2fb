//! The table of cases, by the sections of W3C Trace Context Level 2.

use super::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn parse(value: &str) -> Result<Option<TraceContext>, InvalidTraceContext> {
    TraceContext::from_headers(&[value], &[])
}

/// What is sent on of a `traceparent` that is good.
fn sent_on(value: &str) -> String {
    parse(value).unwrap().unwrap().traceparent()
}

fn state(values: &[&str]) -> String {
    TraceContext::from_headers(&[GOOD], values).unwrap().unwrap().state
}

#[test]
fn a_valid_traceparent_round_trips_with_its_flags() {
    for flags in ["00", "01", "02", "03"] {
        let parent = format!("00-{TRACE}-{SPAN}-{flags}");
        assert_eq!(sent_on(&parent), parent);
    }
}

#[test]
fn flags_that_nobody_has_defined_are_not_sent_on() {
    for (given, sent) in [("04", "00"), ("09", "01"), ("fe", "02"), ("ff", "03")] {
        let parent = format!("00-{TRACE}-{SPAN}-{given}");
        assert_eq!(sent_on(&parent), format!("00-{TRACE}-{SPAN}-{sent}"), "{parent}");
    }
}

#[test]
fn a_later_version_may_go_on_behind_a_separator_and_is_sent_on_as_version_00() {
    for good in [
        format!("cc-{TRACE}-{SPAN}-01"),
        format!("01-{TRACE}-{SPAN}-01-"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
        format!("fe-{TRACE}-{SPAN}-01-.-"),
    ] {
        assert_eq!(sent_on(&good), GOOD, "{good}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line a case, as a table")]
fn anything_doubtful_in_a_traceparent_is_refused() {
    let table: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("a separator", "-".into()),
        ("a version alone", "00".into()),
        ("a version and a separator", "00-".into()),
        ("the version ff", format!("ff-{TRACE}-{SPAN}-01")),
        ("the version ff with more", format!("ff-{TRACE}-{SPAN}-01-x")),
        ("a version of one character", format!("0-{TRACE}-{SPAN}-01")),
        ("a version of three characters", format!("000-{TRACE}-{SPAN}-1")),
        ("a version of no hex", format!("0x-{TRACE}-{SPAN}-01")),
        ("a version in uppercase", format!("CC-{TRACE}-{SPAN}-01")),
        ("a trace id of zeros", format!("00-{}-{SPAN}-01", "0".repeat(32))),
        ("a trace id in uppercase", format!("00-{}-{SPAN}-01", TRACE.to_uppercase())),
        ("a trace id of no hex", format!("00-{}g-{SPAN}-01", &TRACE[1..])),
        ("a trace id too short", format!("00-{}-{SPAN}-01", &TRACE[1..])),
        ("a trace id too short, flags too long", format!("00-{}-{SPAN}-001", &TRACE[1..])),
        ("a trace id too long", format!("00-0{TRACE}-{SPAN}-01")),
        ("a trace id too long, flags too short", format!("00-0{TRACE}-{SPAN}-1")),
        ("a span id of zeros", format!("00-{TRACE}-{}-01", "0".repeat(16))),
        ("a span id in uppercase", format!("00-{TRACE}-{}-01", SPAN.to_uppercase())),
        ("a span id of no hex", format!("00-{TRACE}-{}.-01", &SPAN[1..])),
        ("a span id too short", format!("00-{TRACE}-{}-01", &SPAN[1..])),
        ("a span id too long", format!("00-{TRACE}-0{SPAN}-01")),
        ("flags too short", format!("00-{TRACE}-{SPAN}-1")),
        ("flags too long", format!("00-{TRACE}-{SPAN}-001")),
        ("flags of no hex", format!("00-{TRACE}-{SPAN}-.0")),
        ("flags in uppercase", format!("00-{TRACE}-{SPAN}-0A")),
        ("no flags", format!("00-{TRACE}-{SPAN}")),
        ("version 00 with an empty field more", format!("{GOOD}-")),
        ("version 00 with a field more", format!("{GOOD}-what")),
        ("a later version too short", format!("cc-{TRACE}-{SPAN}-1")),
        ("a later version that goes on without a separator", format!("cc-{TRACE}-{SPAN}-01.what")),
        ("a later version with longer flags", format!("cc-{TRACE}-{SPAN}-012")),
        ("another separator", GOOD.replace('-', "_")),
        ("spaces within", GOOD.replacen('-', " -", 1)),
        ("a space before it", format!(" {GOOD}")),
        ("a space behind it", format!("{GOOD} ")),
        ("two in one", format!("{GOOD},{GOOD}")),
        ("letters beyond ASCII", format!("00-{}é-{SPAN}-01", &TRACE[2..])),
    ];
    for (what, value) in table {
        assert!(parse(&value).is_err(), "{what} was accepted: {value:?}");
    }
}

#[test]
fn exactly_one_traceparent_counts() {
    assert_eq!(TraceContext::from_headers(&[], &[]).unwrap(), None);
    assert_eq!(TraceContext::from_headers(&[], &["a=1"]).unwrap(), None, "a state belongs to a parent");
    assert!(TraceContext::from_headers(&[GOOD, GOOD], &[]).is_err());
    let other = format!("00-{TRACE}-00f067aa0ba902b7-00");
    assert!(TraceContext::from_headers(&[GOOD, &other], &["a=1"]).is_err());
    assert!(TraceContext::from_headers(&["", GOOD], &[]).is_err());
}

#[test]
fn the_members_of_every_tracestate_are_joined_in_their_order() {
    for (given, joined) in [
        (&[][..], ""),
        (&[""], ""),
        (&["", "a=1", ""], "a=1"),
        (&["a=1"], "a=1"),
        (&["a=1,b=2", "c=3"], "a=1,b=2,c=3"),
        (&["a=1", "b=2 , c@d=3"], "a=1,b=2,c@d=3"),
        (&[" \ta=1\t ,\t b=2"], "a=1,b=2"),
        (&["a=1,,b=2,"], "a=1,b=2"),
        (&["a= 1"], "a= 1"),
        (&["0a=1,t@v=2,a_-*/=3,a@@b=4"], "0a=1,t@v=2,a_-*/=3,a@@b=4"),
        (&["a=!#$%&'()*+-./:;<>?@[]^_`{|}~"], "a=!#$%&'()*+-./:;<>?@[]^_`{|}~"),
    ] {
        assert_eq!(state(given), joined, "{given:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line a case, as a table")]
fn a_broken_tracestate_costs_only_the_state() {
    let long_key = format!("{}=1", "k".repeat(257));
    let long_value = format!("a={}", "v".repeat(257));
    for (what, given) in [
        ("a key twice", &["a=1,a=2"][..]),
        ("a key twice, in two headers", &["a=1", "b=2,a=1"]),
        ("a key in uppercase", &["A=1"]),
        ("a key that begins with a sign", &["@a=1"]),
        ("a key with a dot", &["a.b=1"]),
        ("a space behind the key", &["a =1"]),
        ("no key", &["=1"]),
        ("no value", &["a="]),
        ("no sign between", &["a"]),
        ("a second sign", &["a=1=2"]),
        ("a key too long", &[&long_key]),
        ("a value too long", &[&long_value]),
        ("a control character", &["a=1\u{7}2"]),
        ("a letter beyond ASCII", &["a=é"]),
        ("one bad among good", &["b=2,a,c=3"]),
    ] {
        assert_eq!(state(given), "", "{what}");
    }
}

#[test]
fn thirty_two_members_are_taken_and_thirty_three_are_not() {
    let members = |count: usize| (0..count).map(|i| format!("k{i}=v")).collect::<Vec<_>>();
    assert_eq!(state(&[&members(32).join(",")]), members(32).join(","));
    assert_eq!(state(&[&members(33).join(",")]), "");
    let (first, second) = (members(40)[..20].join(","), members(40)[20..].join(","));
    assert_eq!(state(&[&first, &second]), "");
}

#[test]
fn the_longest_key_and_value_are_valid() {
    for member in [format!("{}=1", "k".repeat(256)), format!("a={}", "v".repeat(256))] {
        assert_eq!(state(&[&member]), member);
    }
}

#[test]
fn five_hundred_and_twelve_characters_are_sent_on_in_whole_members_long_ones_first_to_go() {
    let member = |key: &str, chars: usize| format!("{key}={}", "v".repeat(chars - key.len() - 1));
    let exactly = [member("a", 128), member("b", 128), member("c", 128), member("d", 125)].join(",");
    assert_eq!((state(&[&exactly]), exactly.len()), (exactly.clone(), 512));
    let older = format!("{exactly},e=1");
    assert_eq!(state(&[&older]), exactly, "the oldest is left out");
    let long =
        format!("{},{}", member("x", 200), [member("a", 128), member("b", 128), member("c", 128)].join(","));
    assert_eq!(state(&[&long]), long.split_once(',').unwrap().1, "a long one goes before an old one");
}

#[test]
fn a_context_is_stored_as_its_headers_and_read_as_strictly() {
    let context = TraceContext::from_headers(&[GOOD], &["a=1"]).unwrap().unwrap();
    let stored = serde_json::to_string(&context).unwrap();
    assert_eq!(serde_json::from_str::<TraceContext>(&stored).unwrap(), context);
    let bad = stored.replace(TRACE, &"0".repeat(32));
    assert!(serde_json::from_str::<TraceContext>(&bad).is_err());
}
