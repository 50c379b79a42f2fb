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
    Words { what: String, regex: Cow<'c, Regex>, forbidden: bool },
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

fn texts(words: &Words, forbidden: bool) -> Result<Vec<Probe<'static>>, Finding> {
    let probe = |text: &String| {
        let regex = RegexBuilder::new(&regex::escape(text)).case_insensitive(words.ignore_case).build();
        let regex =
            regex.map_err(|error| Finding::invalid("text", text, &format!("is too long: {error}")))?;
        let what = format!("say “{}”", shown(text));
        Ok(Probe::Words { what, regex: Cow::Owned(regex), forbidden })
    };
    words.texts.list().iter().map(probe).collect()
}

fn matching(pattern: &Pattern, forbidden: bool) -> Result<Probe<'_>, Finding> {
    let regex = compiled(pattern)?;
    let what = format!("match /{}/", shown(pattern.source()));
    Ok(Probe::Words { what, regex: Cow::Borrowed(regex), forbidden })
}

/// The pattern, if it is one.
pub(super) fn compiled(pattern: &Pattern) -> Result<&Regex, Finding> {
    pattern.get().map_err(|reason| Finding::invalid("pattern", pattern.source(), reason))
}

impl Probe<'_> {
    /// Whether it forbids something.
    pub(super) fn forbids(&self) -> bool {
        matches!(self, Self::Words { forbidden: true, .. })
    }

    /// Looks at a reply.
    pub(super) fn look<'r>(&self, reply: &'r str) -> Seen<'r> {
        match self {
            Self::Words { what, regex, forbidden } => words(what, regex, *forbidden, reply),
            Self::At(at) => at.look(reply),
            Self::Schema(schema) => schema.look(reply),
        }
    }
}

fn words<'r>(what: &str, regex: &Regex, forbidden: bool, reply: &'r str) -> Seen<'r> {
    let found = regex.find(reply);
    let says = match &found {
        Some(found) => format!("does {what}: “{}”", surroundings(reply, found.range())),
        None => format!("does not {what}: “{}”", shown(reply)),
    };
    Seen { holds: found.is_some() != forbidden, says, passage: found.map(|found| found.as_str()) }
}

/// A passage with a few words before and behind it.
fn surroundings(text: &str, passage: Range<usize>) -> String {
    let from = text.floor_char_boundary(passage.start.saturating_sub(CONTEXT_BYTES));
    let most = (passage.end + CONTEXT_BYTES).min(passage.start + SHOWN_BYTES);
    let to = text.ceil_char_boundary(most.min(text.len()));
    let (before, behind) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    format!("{before}{}{behind}", text[from..to].trim())
}
