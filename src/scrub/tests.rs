use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::definitions::REDACTED;
use crate::text::cut;

/// Every character that some encoding writes otherwise.
const AWKWARD: &str = "a b+\"/\\<ü&'🙂%41\n=z";

fn lower_percent(text: &str) -> String {
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    encoded.split('%').enumerate().map(|(n, part)| lowered(n, part)).collect::<Vec<_>>().join("%")
}

fn lowered(number: usize, part: &str) -> String {
    let digits = if number == 0 { 0 } else { 2 };
    part[..digits].to_lowercase() + &part[digits..]
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn as_json(text: &str) -> String {
    let json = json!(text).to_string();
    json[1..json.len() - 1].to_owned()
}

fn as_ascii_json(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
}

fn as_html(text: &str) -> String {
    let named =
        [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;"), ('ü', "&#xFC;")];
    let escaped = |c: char| named.iter().find(|(known, _)| *known == c).map(|(_, name)| (*name).to_owned());
    text.chars().map(|c| escaped(c).unwrap_or_else(|| c.to_string())).collect()
}

/// Encodings of a whole text, which leave nothing around it.
fn plain_forms(secret: &str) -> Vec<String> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    vec![
        secret.to_owned(),
        lower_percent(secret),
        form_encoded(secret),
        as_json(secret),
        as_ascii_json(secret),
        as_json(&as_json(secret)),
        as_json(&as_json(&as_json(&as_json(secret)))),
        as_html(secret),
        as_json(&as_html(secret)),
        utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
        utf8_percent_encode(&as_json(secret), NON_ALPHANUMERIC).to_string(),
        hex::encode(secret),
        hex::encode_upper(secret),
        percent,
    ]
}

#[test]
fn a_secret_is_found_in_every_form_and_nothing_of_it_is_left() {
    let scrubber = Scrubber::new([AWKWARD]);
    for form in plain_forms(AWKWARD) {
        assert_eq!(scrubber.scrub(&format!("it is '{form}'.")), format!("it is '{REDACTED}'."), "{form}");
    }
}

#[test]
fn a_secret_is_found_in_base64_wherever_it_begins_and_whatever_the_alphabet() {
    let secret = "s3cr?t>>value~";
    let scrubber = Scrubber::new([secret]);
    for user in ["", "u:", "me:", "you:", "müller:"] {
        for tail in ["", "!", "!!", "{}}"] {
            let text = format!("{user}{secret}{tail}");
            for engine in [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD] {
                let shown = scrubber.scrub_answer(&format!("Basic {}, more", engine.encode(&text)));
                assert!(shown.starts_with("Basic ") && shown.ends_with(", more"), "{shown}");
                assert!(shown.contains(REDACTED), "{text}: {shown}");
                let left = shown["Basic ".len()..].replace(REDACTED, "").replace(", more", "");
                assert!(left.len() <= user.len() * 4 / 3 + tail.len() * 4 / 3, "{text} leaves {left}");
            }
        }
    }
}

#[test]
fn where_two_secrets_overlap_both_go() {
    let scrubber = Scrubber::new(["abc", "abcdef", "efgh"]);
    assert_eq!(scrubber.scrub("xabcdefx abc"), "x[redacted]x [redacted]");
    assert_eq!(scrubber.scrub("xabcdefghx"), "x[redacted]x");
    assert_eq!(scrubber.scrub("abcabc"), "[redacted][redacted]");
}

#[test]
fn what_is_too_short_stays_and_blanks_around_a_secret_are_no_part_of_it() {
    let scrubber = Scrubber::new(["", "ab", "abc", " hunter2\n"]);
    assert_eq!(scrubber.scrub("ab abc hunter2"), "ab [redacted] [redacted]");
    assert_eq!(scrubber.scrub_answer("ab abc hunter2"), "ab abc [redacted]", "words that people say");
}

#[test]
fn the_beginning_of_a_secret_at_a_break_goes_too() {
    let scrubber = Scrubber::new(["hunter2 \"the\" key", "abab"]);
    for (text, shown) in [
        ("it is hunter2", "it is "),
        ("it is hunter2%20%2", "it is "),
        ("it is hunter2%20%22th", "it is "),
        (r#"it is hunter2 \"th"#, "it is "),
        (r"it is hunter2 \", "it is "),
        ("it is abab", "it is [redacted]"),
        ("it is hunter2 \"the\" key", "it is [redacted]"),
        ("it is no secret", "it is no secret"),
        ("es ist grün", "es ist grün"),
    ] {
        assert_eq!(scrubber.scrub_broken_off(text), shown, "{text}");
    }
}

#[test]
fn the_beginning_of_a_secret_at_a_cut_goes_from_what_is_told() {
    let scrubber = Scrubber::new(["SECRET-abcdefghijklmnopqrstuvwxyz"]);
    for length in 1..33 {
        let said = format!("{} SECRET-abcdefghijklmnopqrstuvwxyz", "x".repeat(99 - length));
        let mut told =
            json!({ "arguments": { "q": cut(&said, 100) }, "error": cut(&said, 100), "cut": said });
        scrubber.scrub_told(&mut told);
        let told = told.to_string();
        assert!(!told.contains("SEC") && told.contains(TRUNCATED), "{length}: {told}");
    }
    let mut told = json!(["it is SECRET… [truncated]", "it is SECRET", "abc… [truncated]"]);
    scrubber.scrub_told(&mut told);
    assert_eq!(told, json!(["it is … [truncated]", "it is SECRET", "abc… [truncated]"]), "only what was cut");
}

#[test]
fn every_text_of_a_tool_call_is_cleaned() {
    let scrubber = Scrubber::new(["hunter2"]);
    let mut arguments = json!({ "hunter2": [{ "deep": "Bearer hunter2" }, 7, null], "ok": "fine" });
    scrubber.scrub_json(&mut arguments);
    assert_eq!(arguments, json!({ REDACTED: [{ "deep": "Bearer [redacted]" }, 7, null], "ok": "fine" }));
}

#[test]
fn a_number_that_is_a_secret_is_redacted_however_it_is_written() {
    let scrubber = Scrubber::new(["4815162342", "0071234567", "12345678901234567890123", "1234", "hunter2"]);
    for written in [
        "4815162342",
        "-4815162342",
        "4815162342.0",
        "4.815162342e9",
        "7123456700e-2",
        "71234567",
        "12345678901234567890123",
        "1.2345678901234567890123E22",
    ] {
        let mut arguments = serde_json::from_str(&format!(r#"{{"pins":[{written}]}}"#)).unwrap();
        scrubber.scrub_json(&mut arguments);
        assert_eq!(arguments, json!({ "pins": [REDACTED] }), "{written}");
    }
    let harmless = json!([1234, 0, 1.5, 4_815_162_341_u64, u64::MAX, -7, 1e300]);
    let mut arguments = harmless.clone();
    scrubber.scrub_json(&mut arguments);
    assert_eq!(arguments, harmless);
}

#[test]
fn a_secret_in_a_host_is_found_as_parsers_write_hosts() {
    for (secret, url) in [
        ("HDRCANARY12", "http://{}.invalid/x"),
        ("Hdr-Canary.Zone", "http://x.{}:8080/x"),
        ("Grün-Canary", "http://{}.invalid/x"),
        ("Canary%41Z", "http://{}.invalid/x"),
        ("https://Canary.Example/Path?Key=V", "{}&more=1"),
        ("https://Canary.Example", "{}/more"),
        ("https://Grün.Example/a b", "{}"),
    ] {
        let parsed = url::Url::parse(&url.replace("{}", secret)).unwrap();
        let expected = url.replace("{}", REDACTED);
        let scrubber = Scrubber::new([secret]);
        assert_eq!(scrubber.scrub_answer(parsed.as_str()), expected, "{secret}");
        assert_eq!(scrubber.scrub(&url.replace("{}", secret)), expected, "{secret}");
    }
}

#[test]
fn letters_count_where_a_secret_cannot_be_a_host() {
    let scrubber = Scrubber::new(["Hunter2/x"]);
    assert_eq!(scrubber.scrub("hunter2/x HUNTER2/X Hunter2/x"), "hunter2/x HUNTER2/X [redacted]");
    let scrubber = Scrubber::new(["Hunter2"]);
    assert_eq!(scrubber.scrub("HUNTER2, hunter2"), "[redacted], [redacted]");
    assert_eq!(scrubber.scrub_broken_off("http://hunt"), "http://");
    let base64 = BASE64_STANDARD.encode("Hunter2Hunter2");
    assert_eq!(scrubber.scrub(&base64.to_lowercase()), base64.to_lowercase(), "base64 of something else");
}

#[test]
fn a_text_without_secrets_stays_as_it_is() {
    let scrubber = Scrubber::new(["hunter2"]);
    for text in ["", "100% of a+b &amp; \\u00fc \\", "&#xZZ; \\ud800 %zz %", "🙂&"] {
        assert_eq!(scrubber.scrub(text), text);
    }
}

proptest! {
    #[test]
    fn no_form_of_a_secret_survives_in_any_text(
        secret in "[ -~üß🙂]{6,24}", before in "[ -~ü]{0,9}", behind in "[ -~ü]{0,9}",
    ) {
        prop_assume!(secret.trim().len() >= SHORTEST_IN_ANSWERS);
        let secret = secret.trim();
        let scrubber = Scrubber::new([secret]);
        for form in plain_forms(secret) {
            let scrubbed = scrubber.scrub_answer(&format!("{before} {form} {behind}"));
            prop_assert!(!scrubbed.contains(&form), "{} leaves {}", form, scrubbed);
        }
    }

    #[test]
    fn any_text_can_be_scrubbed(text in any::<String>(), secret in any::<String>()) {
        let scrubber = Scrubber::new([secret.as_str()]);
        scrubber.scrub(&text);
        scrubber.scrub_broken_off(&text);
    }
}
