//! Taking secrets out of texts that people will see, by their values.
//!
//! A secret is looked for as it is and in every form in which servers give back what they were sent: in a URL, in JSON, in
//! HTML, in base64 (alone or within a longer text, as in basic authentication), in hexadecimal, and one of them in another.

mod base64_forms;
mod decode;
mod hosts;
mod numbers;
mod sensitive;

use std::ops::Range;

use aho_corasick::AhoCorasick;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use self::decode::Layers;
pub(crate) use self::sensitive::{credentials_in, parts_of_url, url_credentials};
use crate::definitions::REDACTED;
use crate::events::ToolCall;
use crate::execution::failure::RunFailure;
use crate::execution::ports::TargetReply;
use crate::execution::types::ChatReply;
use crate::text::TRUNCATED;

/// The shortest secret that is taken out of what agents and models say, in bytes: a shorter one occurs in what people say,
/// and is no secret there.
pub(crate) const SHORTEST_IN_ANSWERS: usize = 6;
/// The shortest secret that is taken out of anything, in bytes: a shorter one would leave no error that can be read.
const SHORTEST: usize = 3;

/// What a URL's path may not hold as it is (WHATWG URL, path percent-encode set).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// What a part of a URL may not hold as it is (RFC 3986, section 2.3).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Knows secrets, and finds them in texts.
#[derive(Clone)]
pub(crate) struct Scrubber {
    forms: Vec<Form>,
    finder: Option<AhoCorasick>,
}

/// How a secret may be written.
#[derive(Clone)]
struct Form {
    text: Vec<u8>,
    /// Bytes of the secret itself.
    secret: usize,
    /// It stands within base64, whose characters around it hold a part of the secret too.
    in_base64: bool,
    /// It may be (a part of) a host, whose letters are large or small as one likes (RFC 3986, section 3.2.2).
    in_host: bool,
}

impl Form {
    fn is(&self, text: &[u8]) -> bool {
        self.text.len() == text.len() && self.begins_with(text)
    }

    fn begins_with(&self, text: &[u8]) -> bool {
        let begin = &self.text[..text.len()];
        if self.in_host { begin.eq_ignore_ascii_case(text) } else { begin == text }
    }
}

impl Scrubber {
    /// Learns `secrets`. Blanks around one are no part of it; what is shorter than 3 bytes is none.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().map(str::trim).filter(|secret| secret.len() >= SHORTEST);
        Self::of_forms(secrets.flat_map(forms_of).collect())
    }

    /// Knows `secrets` beside those that it knows already.
    pub(crate) fn with<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = Self::new(secrets).forms;
        if forms.is_empty() {
            return self.clone();
        }
        forms.extend(self.forms.iter().cloned());
        Self::of_forms(forms)
    }

    fn of_forms(mut forms: Vec<Form>) -> Self {
        forms.sort_by(|one, other| one.text.cmp(&other.text));
        forms.dedup_by(|one, other| one.text == other.text && one.in_host == other.in_host);
        // Which forms need the very letters is seen with each match. It fails for more text than any project has. Then
        // nothing is let through, see `found`.
        let finder =
            AhoCorasick::builder().ascii_case_insensitive(true).build(forms.iter().map(|form| &form.text));
        let finder = finder.ok();
        Self { forms, finder }
    }

    /// `text` without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        redacted(text, self.found(text.as_bytes(), SHORTEST))
    }

    /// What an agent or a model says, without secrets. Short ones stay.
    pub(crate) fn scrub_answer(&self, text: &str) -> String {
        redacted(text, self.found(text.as_bytes(), SHORTEST_IN_ANSWERS))
    }

    /// `text`, which broke off somewhere, without secrets and without what may be the beginning of one.
    pub(crate) fn scrub_broken_off(&self, text: &str) -> String {
        self.without_begun(text, SHORTEST)
    }

    /// `text`, which the worker cut if it ends so, without secrets and without the beginning of one at the cut. Short ones
    /// stay.
    fn scrub_cut(&self, text: &str) -> String {
        match text.strip_suffix(TRUNCATED) {
            Some(begin) => self.without_begun(begin, SHORTEST_IN_ANSWERS) + TRUNCATED,
            None => self.scrub_answer(text),
        }
    }

    fn without_begun(&self, text: &str, shortest: usize) -> String {
        let end = self.begun_at(text.as_bytes(), Layers::NONE).unwrap_or(text.len());
        let mut found = self.found(text.as_bytes(), shortest);
        let end = found.iter().find(|range| range.contains(&end)).map_or(end, |range| range.end);
        found.retain(|range| range.start < end);
        redacted(&text[..text.floor_char_boundary(end)], found)
    }

    /// Every text and number within `value`, names included, without secrets. Short ones stay.
    pub(crate) fn scrub_json(&self, value: &mut Value) {
        self.scrub_each(value, Self::scrub_answer);
    }

    /// The same of what an agent told, whose texts may have been cut: the beginning of a secret at a cut goes, too.
    pub(crate) fn scrub_told(&self, told: &mut Value) {
        self.scrub_each(told, Self::scrub_cut);
    }

    fn scrub_each(&self, value: &mut Value, scrub: fn(&Self, &str) -> String) {
        match value {
            Value::Number(number) => {
                let written = number.to_string();
                // What is left of a number is none.
                if self.scrub_answer(&written) != written {
                    *value = Value::from(REDACTED);
                }
            }
            Value::String(text) => *text = scrub(self, text),
            Value::Array(list) => list.iter_mut().for_each(|item| self.scrub_each(item, scrub)),
            Value::Object(map) => {
                let entries = std::mem::take(map).into_iter();
                map.extend(entries.map(|(name, mut value)| {
                    self.scrub_each(&mut value, scrub);
                    (scrub(self, &name), value)
                }));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// What an agent answered, without secrets.
    pub(crate) fn clean_reply(&self, mut reply: TargetReply) -> TargetReply {
        reply.content = self.scrub_answer(&reply.content);
        reply.tool_calls.iter_mut().for_each(|call| self.clean_call(call));
        reply
    }

    /// What a model answered, without secrets.
    pub(crate) fn clean_answer(&self, mut reply: ChatReply) -> ChatReply {
        reply.content = self.scrub_answer(&reply.content);
        reply.tool_calls.iter_mut().for_each(|call| self.clean_call(call));
        for told in [&mut reply.model, &mut reply.response_id, &mut reply.finish_reason] {
            *told = told.take().map(|text| self.scrub_answer(&text));
        }
        if let Some(verbatim) = &mut reply.verbatim {
            self.scrub_json(verbatim);
        }
        reply
    }

    fn clean_call(&self, call: &mut ToolCall) {
        call.id = self.scrub_answer(&call.id);
        call.name = self.scrub_answer(&call.name);
        self.scrub_json(&mut call.arguments);
    }

    /// The failure without secrets.
    pub(crate) fn clean(&self, mut failure: RunFailure) -> RunFailure {
        failure.message = self.scrub(&failure.message);
        failure.hint = failure.hint.map(|hint| self.scrub(&hint));
        failure
    }

    /// Where secrets of at least `shortest` bytes are, in order, none of them touching another one.
    fn found(&self, text: &[u8], shortest: usize) -> Vec<Range<usize>> {
        let Some(finder) = &self.finder else { return std::iter::once(0..text.len()).collect() };
        let mut found = self.found_within(finder, text, shortest, Layers::NONE);
        found.sort_by_key(|range| range.start);
        found.into_iter().fold(Vec::new(), joined)
    }

    fn found_within(
        &self,
        finder: &AhoCorasick,
        text: &[u8],
        shortest: usize,
        layers: Layers,
    ) -> Vec<Range<usize>> {
        // All of them and not only the longest: where two overlap, each of them has to go.
        let matches = finder.find_overlapping_iter(text).filter_map(|found| {
            let form = &self.forms[found.pattern().as_usize()];
            (form.secret >= shortest && form.is(&text[found.range()])).then(|| {
                if form.in_base64 { base64_forms::around(text, found.range()) } else { found.range() }
            })
        });
        let mut found = matches.fold(Vec::new(), joined);
        for (decoded, layers) in decode::all(text, layers) {
            let within = self.found_within(finder, &decoded.bytes, shortest, layers);
            found.extend(within.into_iter().map(|range| decoded.origin(range)));
        }
        found
    }

    /// Where the beginning of a secret is with which `text` ends, or of an escape that may belong to one.
    fn begun_at(&self, text: &[u8], layers: Layers) -> Option<usize> {
        let whole = &text[..text.len() - decode::broken_off(text)];
        let escape = (whole.len() < text.len()).then_some(whole.len());
        let begun = [self.form_begun_at(text), self.form_begun_at(whole), escape];
        let below = decode::all(whole, layers).filter_map(|(decoded, layers)| {
            let start = self.begun_at(&decoded.bytes, layers)?;
            Some(decoded.origin(start..start + 1).start)
        });
        begun.into_iter().flatten().chain(below).min()
    }

    fn form_begun_at(&self, text: &[u8]) -> Option<usize> {
        let longest = self.forms.iter().filter_map(|form| longest_begin(form, text)).max();
        longest.map(|length| text.len() - length)
    }
}

/// How many bytes of `form` the text ends with, but not all of them.
fn longest_begin(form: &Form, text: &[u8]) -> Option<usize> {
    let most = form.text.len().saturating_sub(1).min(text.len());
    (1..=most).rev().find(|length| form.begins_with(&text[text.len() - length..]))
}

/// Appends a range, which ends behind every other one, joined with those that it overlaps.
fn joined(mut ranges: Vec<Range<usize>>, mut range: Range<usize>) -> Vec<Range<usize>> {
    while let Some(last) = ranges.last().filter(|last| range.start < last.end) {
        range = range.start.min(last.start)..range.end.max(last.end);
        ranges.pop();
    }
    ranges.push(range);
    ranges
}

fn redacted(text: &str, found: Vec<Range<usize>>) -> String {
    let (mut shown, mut done) = (String::with_capacity(text.len()), 0);
    for range in found {
        let start = text.floor_char_boundary(range.start).max(done);
        shown.push_str(&text[done..start]);
        shown.push_str(REDACTED);
        done = text.ceil_char_boundary(range.end.min(text.len()));
    }
    shown + &text[done..]
}

fn forms_of(secret: &str) -> Vec<Form> {
    let form = |text: Vec<u8>, in_base64| Form { text, secret: secret.len(), in_base64, in_host: false };
    let mut forms = vec![form(secret.into(), false)];
    forms
        .extend(hosts::of(secret).into_iter().map(|text| Form { in_host: true, ..form(text.into(), false) }));
    forms.extend(hosts::of_url(secret).map(|text| form(text.into(), false)));
    // Where it looks as if it were encoded, somebody may decode it.
    let decoded = decode::all(secret.as_bytes(), Layers::NONE).map(|(decoded, _)| decoded.bytes);
    forms.extend(decoded.filter(|text| text.len() >= SHORTEST).map(|text| form(text, false)));
    if secret.len() >= SHORTEST_IN_ANSWERS {
        forms.extend(numbers::of(secret).map(|text| form(text.into(), false)));
        for text in written(secret) {
            forms.extend([hex::encode(&text), hex::encode_upper(&text)].map(|text| form(text.into(), false)));
            forms.extend(base64_forms::of(text.as_bytes()).into_iter().map(|text| form(text, true)));
        }
    }
    forms
}

/// How a secret stands in a text that is then written in base64 or hexadecimal, which are not undone.
fn written(secret: &str) -> [String; 4] {
    let json = Value::from(secret).to_string();
    [
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        utf8_percent_encode(secret, PATH).to_string(),
        utf8_percent_encode(secret, COMPONENT).to_string(),
    ]
}

#[cfg(test)]
mod tests;
