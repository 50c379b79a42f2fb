//! Phrases that no customer says: the agent's, a model's own, and thoughts about the customer.

mod machine;
mod reported;
mod service;
mod service_english;
mod thinking;

use std::sync::LazyLock;

use super::Fault;
use super::pattern::Pattern;
use super::words::{sentences, unquoted, words};

struct Phrases {
    reported: Vec<Pattern>,
    machine: Vec<Pattern>,
    thinking: Vec<Pattern>,
    service: Vec<Pattern>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases {
    reported: parse(&[reported::PHRASES]),
    machine: parse(&[machine::PHRASES]),
    thinking: parse(&[thinking::PHRASES]),
    service: parse(&[service_english::PHRASES, service::PHRASES]),
});

fn parse(lists: &[&[&str]]) -> Vec<Pattern> {
    lists.iter().copied().flatten().map(|notation| Pattern::parse(notation)).collect()
}

/// The fault of a line in which somebody else's phrases are. What is quoted, or reported in the same sentence, is not
/// the customer's own.
pub(super) fn fault(line: &str) -> Option<Fault> {
    let own = unquoted(line);
    let sentences: Vec<Vec<String>> = sentences(&own).into_iter().map(words).collect();
    let has = |patterns: &[Pattern]| sentences.iter().any(|sentence| is_said(patterns, sentence));
    if has(&PHRASES.thinking) {
        return Some(Fault::LeakedReasoning);
    }
    if has(&PHRASES.machine) {
        return Some(Fault::AssistantPhrase);
    }
    has(&PHRASES.service).then_some(Fault::RoleInversion)
}

fn is_said(patterns: &[Pattern], sentence: &[String]) -> bool {
    let begin = patterns.iter().filter_map(|pattern| pattern.find(sentence)).min();
    begin
        .is_some_and(|begin| !PHRASES.reported.iter().any(|report| report.find(&sentence[..begin]).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_phrase_it_is_decides() {
        assert_eq!(fault("Hi! How can I help you?"), Some(Fault::RoleInversion));
        assert_eq!(fault("As an AI, I have no mug."), Some(Fault::AssistantPhrase));
        assert_eq!(fault("The customer should now say yes."), Some(Fault::LeakedReasoning));
        assert_eq!(fault("Thank you for your help!"), None);
    }

    #[test]
    fn what_is_quoted_or_reported_is_not_the_customers_own() {
        assert_eq!(fault("Stop writing \"how can I help you?\" to me"), None);
        assert_eq!(fault("You asked how can I help you and then left"), None);
        assert_eq!(fault("The mail says your order has been shipped"), None);
    }
}
