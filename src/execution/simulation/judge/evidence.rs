//! Evidence: whether the words that a judge quotes stand in the transcript.

use std::borrow::Cow;

use serde_json::Value;

use super::folding::{fold, folded, segments, weight, without_edges};
use crate::events::{MessageRole, Quote};
use crate::execution::simulation::transcript::work_in_words;
use crate::execution::types::judging::{MESSAGE_FIELD, QUOTE_FIELD};
use crate::execution::types::{MAX_QUOTE_BYTES, MAX_QUOTES};
use crate::execution::types::{Message, TargetReports};
use crate::text::cut;

/// How much a quote has to say in one piece, in letters: “I am sorry” counts, “sorry” does not, for it may be said of
/// anything. A whole message counts however short it is.
const MIN_QUOTE_WEIGHT: usize = 8;
/// The most quotes that are looked up for one criterion; who gives more has lost sight of it.
const MAX_CLAIMS: usize = 20;
/// Stands between the parts of a quote.
const ELLIPSIS: &str = " … ";
/// Who says a line, as the judge reads it.
const SPEAKERS: [&str; 5] = ["customer:", "agent:", "tool:", "agent calls tool", "agent reports"];

/// Words that a judge says stand in the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// In which message, from 0, if it says.
    pub(super) message: Option<u32>,
    /// The words.
    pub(super) quote: String,
}

/// What became of a criterion's claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Those that were found, with the words that stand in the transcript; the agent's and its tools' come first.
    pub(super) quotes: Vec<Quote>,
    /// Whether the agent or a tool says any of them.
    pub(super) of_agent: bool,
    /// How many were looked up.
    pub(super) given: usize,
    /// How many were not found, or say too little.
    pub(super) missing: usize,
}

/// A transcript in which quotes can be looked up.
pub(super) struct Source<'a> {
    passages: Vec<Passage<'a>>,
}

/// What one message says, one of its tool calls, or what the agent reports of its work.
struct Passage<'a> {
    index: u32,
    of_agent: bool,
    words: Cow<'a, str>,
    folded: String,
}

impl Claim {
    /// The claims of a criterion, in whatever shape the judge gave them.
    pub(super) fn list(evidence: Option<&Value>) -> Vec<Self> {
        match evidence {
            Some(Value::Array(claims)) => claims.iter().take(MAX_CLAIMS).filter_map(Self::read).collect(),
            Some(claim) => Self::read(claim).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn read(claim: &Value) -> Option<Self> {
        let quote = claim.as_str().or_else(|| claim.get(QUOTE_FIELD)?.as_str())?.trim().to_owned();
        let message = claim.get(MESSAGE_FIELD).and_then(index);
        (!quote.is_empty()).then_some(Self { message, quote })
    }
}

/// `3`, `"3"` or `"[3]"`.
fn index(value: &Value) -> Option<u32> {
    let number = value.as_u64().and_then(|index| index.try_into().ok());
    number.or_else(|| value.as_str()?.trim_matches(|char: char| !char.is_ascii_digit()).parse().ok())
}

impl<'a> Source<'a> {
    /// Makes the transcript ready.
    pub(super) fn new(messages: &'a [Message]) -> Self {
        Self { passages: (0..).zip(messages).flat_map(|(index, message)| passages(index, message)).collect() }
    }

    /// The same transcript, with what the agent reports of its work.
    pub(super) fn with(mut self, reports: &'a TargetReports) -> Self {
        let work = reports.iter().flat_map(|(index, report)| report.work().map(move |work| (*index, work)));
        self.passages.extend(work.map(|(index, work)| {
            let words = work_in_words(work);
            Passage { index, of_agent: true, folded: fold(&words), words: Cow::Owned(words) }
        }));
        self
    }

    /// Looks up a criterion's claims.
    pub(super) fn look_up(&self, claims: &[Claim]) -> Findings {
        let found: Vec<(bool, Quote)> = claims.iter().filter_map(|claim| self.find(claim)).collect();
        let missing = claims.len() - found.len();
        let (of_agent, of_customer): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(of_agent, _)| *of_agent);
        let mut findings =
            Findings { given: claims.len(), missing, of_agent: !of_agent.is_empty(), quotes: Vec::new() };
        for (_, quote) in of_agent.into_iter().chain(of_customer) {
            if findings.quotes.len() < MAX_QUOTES && !findings.quotes.contains(&quote) {
                findings.quotes.push(quote);
            }
        }
        findings
    }

    /// Where the claim stands, and whether the agent or a tool says it: in its message, else in the nearest one that has
    /// its words.
    fn find(&self, claim: &Claim) -> Option<(bool, Quote)> {
        let mut nearest: Vec<&Passage<'_>> = self.passages.iter().collect();
        nearest.sort_by_key(|passage| passage.index.abs_diff(claim.message.unwrap_or_default()));
        readings(&claim.quote).iter().find_map(|quote| {
            let segments = segments(quote);
            nearest.iter().find_map(|passage| Some((passage.of_agent, passage.quote(&segments)?)))
        })
    }
}

fn passages(index: u32, message: &Message) -> impl Iterator<Item = Passage<'_>> {
    let calls =
        message.tool_calls.iter().map(|call| Cow::Owned(format!("{}({})", call.name, call.arguments)));
    let words = std::iter::once(Cow::Borrowed(message.content.as_str())).chain(calls);
    let of_agent = message.role != MessageRole::User;
    words.map(move |words| Passage { index, of_agent, folded: fold(&words), words })
}

impl Passage<'_> {
    /// The words as they stand here, if all `segments` do, in their order.
    fn quote(&self, segments: &[String]) -> Option<Quote> {
        let mut found = Vec::new();
        let mut from = 0;
        for segment in segments {
            let start = from + self.folded[from..].find(segment.as_str())?;
            from = start + segment.len();
            found.push(start..from);
        }
        let says_enough = segments.iter().any(|segment| weight(segment) >= MIN_QUOTE_WEIGHT);
        let is_whole = !found.is_empty() && segments.concat() == without_edges(&self.folded);
        let quote = || Quote { index: self.index, quote: cut(&self.originals(&found), MAX_QUOTE_BYTES) };
        (says_enough || is_whole).then(quote)
    }

    /// What stands at these places of the folded text, before it was folded.
    fn originals(&self, places: &[std::ops::Range<usize>]) -> String {
        let parts: Vec<&str> = places.iter().map(|place| self.original(place)).collect();
        parts.join(ELLIPSIS)
    }

    fn original(&self, place: &std::ops::Range<usize>) -> &str {
        let ends = folded(&self.words).scan(0, |at, folded| {
            let here = *at;
            *at += folded.char.len_utf8();
            Some((here, folded))
        });
        let mut inside = ends.filter(|(at, _)| place.contains(at)).map(|(_, folded)| folded);
        let Some(first) = inside.next() else { return "" };
        let end = inside.last().map_or(first.end, |last| last.end);
        &self.words[first.start..end]
    }
}

/// How a quote may be meant: as it is, as the JSON string that the judge was shown, without the speaker.
fn readings(quote: &str) -> Vec<Cow<'_, str>> {
    let mut readings = vec![Cow::Borrowed(quote)];
    let bare = without_speaker(quote);
    if bare != quote {
        readings.push(Cow::Borrowed(bare));
    }
    let unquoted = bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(bare);
    if unquoted.contains('\\')
        && let Some(unescaped) = unescaped(unquoted)
    {
        readings.push(Cow::Owned(unescaped));
    }
    readings
}

/// `text` read as the inside of a JSON string. Quotation marks that stand in it as they are do not count in a quote.
fn unescaped(text: &str) -> Option<String> {
    let inside = |text: &str| serde_json::from_str(&format!("\"{text}\"")).ok();
    let bare = || text.replace("\\\"", "").replace(|char: char| char == '"' || char.is_control(), " ");
    inside(text).or_else(|| inside(&bare()))
}

/// `[3] agent: "Hello"` without what stands before the words.
fn without_speaker(quote: &str) -> &str {
    let numbered = quote.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let rest = match numbered {
        Some((number, rest)) if number.parse::<u32>().is_ok() => rest.trim_start(),
        _ => quote,
    };
    SPEAKERS.iter().find_map(|speaker| rest.strip_prefix(speaker)).map_or(rest, str::trim_start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::events::ToolCall;
    use crate::execution::simulation::transcript::render;

    fn message(role: MessageRole, content: &str) -> Message {
        let (content, at) = (content.to_owned(), datetime!(2026-01-01 0:00 UTC));
        Message { turn: 1, role, content, tool_calls: Vec::new(), at, latency_ms: None }
    }

    fn transcript() -> Vec<Message> {
        let mut refund =
            message(MessageRole::Assistant, "I’ve **refunded** you 30 euros… It may take\nthree days.");
        let arguments = json!({ "order": "A-17", "reason": "broken \"mug\"" });
        refund.tool_calls = vec![ToolCall { id: "1".into(), name: "issue_refund".into(), arguments }];
        vec![
            message(MessageRole::User, "My mug arrived broken!"),
            message(MessageRole::Assistant, "I am so sorry. Which order is it?"),
            message(MessageRole::User, "A-17"),
            refund,
            message(MessageRole::User, "壊れたカップの返金をお願いします。"),
            message(MessageRole::Assistant, "申し訳ございません。全額を返金いたします。"),
            message(MessageRole::User, "Спасибо, вы мне очень помогли"),
            message(MessageRole::Assistant, "👍"),
            message(MessageRole::User, "My mug arrived broken! Really."),
        ]
    }

    fn found(message: Option<u32>, quote: &str) -> Option<(u32, String)> {
        let claim = Claim { message, quote: quote.to_owned() };
        let messages = transcript();
        Source::new(&messages).look_up(&[claim]).quotes.pop().map(|quote| (quote.index, quote.quote))
    }

    #[test]
    fn a_quote_is_found_however_it_is_typed() {
        let cases = [
            (1, "I am so sorry", "I am so sorry"),
            (1, "i am  SO\nsorry", "I am so sorry"),
            (1, "I am so sorry!", "I am so sorry"),
            (1, "\"I am so sorry.\"", "I am so sorry"),
            (1, "I am so … order is it", "I am so … order is it"),
            (3, "I've refunded you 30 euros", "I’ve **refunded** you 30 euros"),
            (3, "I've refunded ... three days", "I’ve **refunded … three days"),
            (3, "30 euros... It may take three days.", "30 euros … It may take\nthree days"),
            (3, "It may take\\nthree days", "It may take\nthree days"),
            (5, "全額を 返金いたします", "全額を返金いたします"),
            (5, "申し訳…返金いたします", "申し訳 … 返金いたします"),
            (6, "ВЫ МНЕ ОЧЕНЬ ПОМОГЛИ", "вы мне очень помогли"),
            (1, "[1] agent: \"I am so sorry. Which", "I am so sorry. Which"),
            (3, "issue_refund({\"order\": \"A-17\"", "issue_refund({\"order\":\"A-17"),
            (3, "agent calls tool issue_refund({\"order\":\"A-17\"", "issue_refund({\"order\":\"A-17"),
        ];
        for (index, quote, words) in cases {
            assert_eq!(found(Some(index), quote), Some((index, words.to_owned())), "{quote:?}");
        }
    }

    #[test]
    fn a_quote_is_found_as_it_was_said_and_as_a_judge_is_shown_it() {
        let said = "Click <b>\u{202E}here\u{200B}</b> to\u{2028}get \"it\" <now>";
        let mut agent = message(MessageRole::Assistant, said);
        let arguments = json!({ "page": "<home>" });
        agent.tool_calls = vec![ToolCall { id: "1".into(), name: "open_page".into(), arguments }];
        let messages = [agent];
        let rendered = render(&messages);
        let mut quotes: Vec<&str> = rendered.lines().collect();
        quotes.extend([said, "Click <b>here</b> to get", r#"\u003c/b\u003e to\u2028get "it" \u003cnow"#]);
        for quote in quotes {
            let claim = Claim { message: Some(0), quote: quote.to_owned() };
            assert_eq!(Source::new(&messages).look_up(&[claim]).quotes.len(), 1, "{quote}");
        }
    }

    #[test]
    fn a_quote_that_does_not_stand_there_is_not_found() {
        let invented = [
            "I refund you the full price",
            "I am not sorry at all",
            "order is it … I am so sorry",
            "I am so sorry … three days",
            "I've refunded you 31 euros",
            "issue_refund({\"order\": \"A-18\"})",
            "全額は返金できません",
            "вы мне совсем не помогли",
            "…",
            "\"\"",
        ];
        for quote in invented {
            assert_eq!(found(Some(1), quote), None, "{quote:?}");
        }
    }

    #[test]
    fn a_quote_that_says_too_little_does_not_count_unless_it_is_the_whole_message() {
        for short in ["sorry", "order", "返金", "refunded", "I … am … so … sorry … it", "agent", "30 euros"]
        {
            let weighs = short == "refunded";
            assert_eq!(found(None, short).is_some(), weighs, "{short:?}");
        }
        assert_eq!(found(Some(2), "a-17"), Some((2, "A-17".to_owned())));
        assert_eq!(found(Some(7), "👍"), Some((7, "👍".to_owned())));
    }

    #[test]
    fn a_wrong_index_is_corrected_to_the_nearest_message_that_has_the_words() {
        assert_eq!(found(Some(2), "I am so sorry").unwrap().0, 1);
        assert_eq!(found(Some(99), "I am so sorry").unwrap().0, 1);
        assert_eq!(found(None, "My mug arrived broken").unwrap().0, 0);
        assert_eq!(found(Some(7), "My mug arrived broken").unwrap().0, 8);
        assert_eq!(found(Some(8), "My mug arrived broken").unwrap().0, 8);
    }

    #[test]
    fn claims_are_read_in_any_shape_and_counted() {
        let given = json!([
            { "message": 1, "quote": "I am so sorry" },
            { "message": "[1]", "quote": "i am so sorry" },
            "I will call the police",
            { "message": 1 },
            7,
        ]);
        let (claims, messages) = (Claim::list(Some(&given)), transcript());
        assert_eq!((claims.len(), claims[1].message), (3, Some(1)));
        let findings = Source::new(&messages).look_up(&claims);
        assert_eq!((findings.quotes.len(), findings.given, findings.missing), (1, 3, 1));
        assert_eq!(Claim::list(Some(&json!({ "message": -1, "quote": "x" })))[0].message, None);
        assert_eq!(Claim::list(None), []);
    }

    #[test]
    fn the_agents_words_are_told_from_the_customers_and_come_first() {
        let messages = transcript();
        let look_up = |quotes: &[&str]| Source::new(&messages).look_up(&Claim::list(Some(&json!(quotes))));
        assert!(!look_up(&["My mug arrived broken!", "Спасибо, вы мне очень помогли"]).of_agent);
        assert!(look_up(&["issue_refund({\"order\": \"A-17\""]).of_agent);
        let both = look_up(&["My mug arrived broken", "I am so sorry"]);
        let indices: Vec<u32> = both.quotes.iter().map(|quote| quote.index).collect();
        assert_eq!((both.of_agent, indices), (true, vec![1, 0]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "so sorry ".repeat(1_000);
        let messages = vec![message(MessageRole::Assistant, &long); 40];
        let quote = |index: u32| json!({ "message": index, "quote": long });
        let given: Value = (0..40).map(quote).collect();
        let findings = Source::new(&messages).look_up(&Claim::list(Some(&given)));
        assert_eq!((findings.quotes.len(), findings.given), (MAX_QUOTES, MAX_CLAIMS));
        assert!(findings.quotes.iter().all(|quote| quote.quote.len() < 2 * MAX_QUOTE_BYTES));
    }
}
