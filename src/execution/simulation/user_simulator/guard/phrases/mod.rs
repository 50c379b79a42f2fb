//! Phrases that customers do not say: the agent's, a model's own, and thoughts about the customer.
//!
//! Customers use the agent's words, too: they quote them, ask for them, and some are agents elsewhere. So the line as a
//! whole decides. A clear phrase makes it the agent's unless something in it is a customer's; then it takes another one.
//! Faint phrases of two kinds in a line are as good as a clear one.

mod choices;
mod customers;
mod faint;
mod machine;
mod reported;
mod service;
mod service_english;
mod thinking;

use std::sync::LazyLock;

use super::Fault;
use super::pattern::Pattern;
use super::words::{sentences, unquoted, words};

/// What a clear phrase weighs, where a kind of faint ones weighs 1; also what makes a line the agent's.
const CLEAR: usize = 2;

struct Phrases {
    reported: Vec<Pattern>,
    machine: Vec<Pattern>,
    refusals: Vec<Pattern>,
    thinking: Vec<Pattern>,
    service: Vec<Pattern>,
    telling: Vec<Vec<Pattern>>,
    everyday: Vec<Vec<Pattern>>,
    customers: Vec<Pattern>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases {
    reported: parse(&[reported::PHRASES]),
    machine: parse(&[machine::PHRASES]),
    refusals: parse(&[machine::REFUSALS]),
    thinking: parse(&[thinking::PHRASES]),
    service: parse(&[service_english::PHRASES, service::PHRASES]),
    telling: faint::TELLING.iter().map(|kind| parse(&[*kind])).collect(),
    everyday: faint::EVERYDAY.iter().map(|kind| parse(&[*kind])).collect(),
    customers: parse(&[customers::PHRASES]),
});

fn parse(lists: &[&[&str]]) -> Vec<Pattern> {
    lists.iter().copied().flatten().map(|notation| Pattern::parse(notation)).collect()
}

/// The fault of a line in which somebody else's phrases are. What is quoted, or reported in the same sentence, is not
/// the customer's own.
pub(super) fn fault(line: &str) -> Option<Fault> {
    let own = Own::of(line);
    if own.has(&PHRASES.thinking) {
        return Some(Fault::LeakedReasoning);
    }
    let refuses = own.has(&PHRASES.refusals) && own.customers() == 0;
    if own.has(&PHRASES.machine) || refuses || choices::are_in(line) {
        return Some(Fault::AssistantPhrase);
    }
    own.is_agents().then_some(Fault::RoleInversion)
}

/// Whether something in `line` is what only customers say.
pub(super) fn is_customers(line: &str) -> bool {
    Own::of(line).customers() > 0
}

/// The words of a line that are its speaker's own, by sentence.
struct Own(Vec<Vec<String>>);

impl Own {
    fn of(line: &str) -> Self {
        Self(sentences(&unquoted(line)).into_iter().map(words).collect())
    }

    fn has(&self, patterns: &[Pattern]) -> bool {
        self.0.iter().any(|sentence| is_said(patterns, sentence))
    }

    /// How many of the sentences a customer says.
    fn customers(&self) -> usize {
        let is_customers = |sentence: &&Vec<String>| is_found(&PHRASES.customers, sentence);
        self.0.iter().filter(is_customers).count()
    }

    fn is_agents(&self) -> bool {
        let (clear, others): (Vec<_>, Vec<_>) =
            self.0.iter().partition(|sentence| is_said(&PHRASES.service, sentence));
        let kinds = |kinds: &[Vec<Pattern>]| {
            kinds.iter().filter(|kind| others.iter().any(|sentence| is_said(kind, sentence))).count()
        };
        let faint = kinds(&PHRASES.telling) + kinds(&PHRASES.everyday).div_ceil(2);
        CLEAR * clear.len() + faint >= CLEAR * (self.customers() + 1)
    }
}

fn is_found(patterns: &[Pattern], sentence: &[String]) -> bool {
    patterns.iter().any(|pattern| pattern.find(sentence).is_some())
}

fn is_said(patterns: &[Pattern], sentence: &[String]) -> bool {
    let begin = patterns.iter().filter_map(|pattern| pattern.find(sentence)).min();
    begin.is_some_and(|begin| !is_reported(&sentence[..begin]))
}

fn is_reported(words: &[String]) -> bool {
    is_found(&PHRASES.reported, words)
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

    #[test]
    fn the_line_as_a_whole_decides() {
        assert_eq!(fault("How can I help you get my refund faster?"), None);
        assert_eq!(fault("I have cancelled the order already."), None);
        assert_eq!(fault("Of course! I've issued the refund to your card."), Some(Fault::RoleInversion));
        assert_eq!(fault("Your order has been shipped, the email says. But nothing came."), None);
        assert_eq!(fault("I can't help with that, I don't have the receipt."), None);
        assert_eq!(fault("I'm sorry, I can't help with that."), Some(Fault::AssistantPhrase));
    }
}
