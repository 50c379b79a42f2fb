//! What one reply shows of a rule.

use std::borrow::Cow;
use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::json::{At, Schema};
use super::{Finding, SHOWN_BYTES, shown};
use crate::definitions::{Pattern, ReplyTest, Words};

/// The least that is shown on each side of a passage, in bytes: a few words.
const CONTEXT_BYTES: usize = 40;

/// What one reply shows.
pub(super) struct Seen<'r> {
    /// Whether it is what is asked for.
    pub(super) holds: bool,
    /// What it does, as a sentence that begins with it goes on.
    pub(super) says: String,
    /// The words that this rests on.
    pub(super) passage: Option<&'r str>,
}

/// A rule that one reply keeps or not, ready to look.
pub(super) enum Probe<'c> {
    /// A text or a pattern is found, or must not be.
    Words { what: String, finder: Finder<'c>, forbidden: bool },
    /// Something is in its JSON.
    At(At<'c>),
    /// Its JSON is of a schema.
    Schema(Schema<'c>),
}

/// The probes of `test`, each of which has to hold.
pub(super) fn probes(test: &ReplyTest) -> Result<Vec<Probe<'_>>, Finding> {
    match test {
        ReplyTest::Contains(words) => texts(words, false),
        ReplyTest::NotContains(words) => texts(words, true),
        ReplyTest::Matches(pattern) => Ok(vec![matching(pattern, false)?]),
        ReplyTest::NotMatches(pattern) => Ok(vec![matching(pattern, true)?]),
        ReplyTest::JsonPath(test) => Ok(vec![Probe::At(At::new(test)?)]),
        ReplyTest::JsonSchema(schema) => Ok(vec![Probe::Schema(Schema::new(schema)?)]),
    }
}

/// How words are found.
pub(super) enum Finder<'c> {
    /// As they are.
    Text(&'c str),
    /// By a pattern.
    Pattern(Cow<'c, Regex>),
}

impl<'c> Finder<'c> {
    fn of(text: &'c str, ignore_case: bool) -> Result<Self, Finding> {
        if !ignore_case {
            return Ok(Self::Text(text));
        }
        let pattern = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build();
        let too_long = |error| Finding::invalid("text", text, &format!("is too long: {error}"));
        pattern.map(|pattern| Self::Pattern(Cow::Owned(pattern))).map_err(too_long)
    }

    fn find(&self, reply: &str) -> Option<Range<usize>> {
        match self {
            Self::Text(text) => reply.find(text).map(|start| start..start + text.len()),
            Self::Pattern(pattern) => pattern.find(reply).map(|found| found.range()),
        }
    }
}

fn texts(words: &Words, forbidden: bool) -> Result<Vec<Probe<'_>>, Finding> {
    let mut probes = Vec::new();
    for text in words.texts.list() {
        let finder = Finder::of(text, words.ignore_case)?;
        probes.push(Probe::Words { what: format!("say “{}”", shown(text)), finder, forbidden });
    }
    Ok(probes)
}

fn matching(pattern: &Pattern, forbidden: bool) -> Result<Probe<'_>, Finding> {
    let finder = Finder::Pattern(Cow::Borrowed(compiled(pattern)?));
    let what = format!("match /{}/", shown(pattern.source()));
    Ok(Probe::Words { what, finder, forbidden })
}

/// The pattern, if it is one.
pub(super) fn compiled(pattern: &Pattern) -> Result<&Regex, Finding> {
    pattern.get().map_err(|reason| Finding::invalid("pattern", pattern.source(), reason))
}

impl Probe<'_> {
    /// Looks at a reply.
    pub(super) fn look<'r>(&self, reply: &'r str) -> Seen<'r> {
        match self {
            Self::Words { what, finder, forbidden } => words(what, finder, *forbidden, reply),
            Self::At(at) => at.look(reply),
            Self::Schema(schema) => schema.look(reply),
        }
    }
}

fn words<'r>(what: &str, finder: &Finder<'_>, forbidden: bool, reply: &'r str) -> Seen<'r> {
    let found = finder.find(reply);
    let says = match &found {
        Some(found) => format!("does {what}: “{}”", surroundings(reply, found.clone())),
        None => format!("does not {what}: “{}”", shown(reply)),
    };
    Seen { holds: found.is_some() != forbidden, says, passage: found.map(|found| &reply[found]) }
}

/// A passage with a few words before and behind it.
fn surroundings(text: &str, passage: Range<usize>) -> String {
    let from = text.floor_char_boundary(passage.start.saturating_sub(CONTEXT_BYTES));
    let most = (passage.end + CONTEXT_BYTES).min(passage.start + SHOWN_BYTES);
    let to = text.ceil_char_boundary(most.min(text.len()));
    let (before, behind) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    format!("{before}{}{behind}", text[from..to].trim())
}
