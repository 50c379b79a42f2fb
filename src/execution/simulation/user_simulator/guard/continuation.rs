//! Whether a line has speakers in it: the customer's answer is one line of one speaker.

use super::Fault;
use super::labels::{Speaker, labelled};
use super::phrases;
use super::words::{sentences, words};

/// A value of this many words is something that is said, not the value of a form's field.
const WORDS_OF_SPEECH: usize = 4;

/// The fault of a line that names speakers, if it is one.
pub(super) fn fault(line: &str) -> Option<Fault> {
    let lines = own_lines(line);
    let labels: Vec<_> = lines.iter().map(|line| labelled(line)).collect();
    let knows = |speaker| labels.iter().flatten().any(|(known, _)| *known == speaker);
    let only_first = labels.iter().skip(1).flatten().all(|(speaker, _)| *speaker == Speaker::Other);
    let takes_over = lines.iter().any(|line| agent_takes_over(line));
    if let Some(Some((Speaker::Agent, said))) = labels.first()
        && only_first
    {
        // Whoever speaks to an agent may name them first.
        let is_address = phrases::is_customers(said) && !takes_over;
        return (!is_address).then_some(Fault::RoleInversion);
    }
    if knows(Speaker::Agent) || takes_over || takes_turns(&lines) {
        return Some(Fault::Continuation);
    }
    // A form that somebody has filled in has fields, too.
    (knows(Speaker::Customer) && !knows(Speaker::Other)).then_some(Fault::SpeakerLabel)
}

/// The lines that are not an older conversation, which who shows one announces with a colon.
fn own_lines(text: &str) -> Vec<&str> {
    let mut announced = false;
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.retain(|line| {
        if labelled(line).is_some_and(|(_, words)| !words.is_empty()) {
            return !announced;
        }
        announced = line.ends_with([':', '：']);
        true
    });
    lines
}

/// The agent's label behind a sentence of the same line.
fn agent_takes_over(line: &str) -> bool {
    let is_agents = |sentence: &str| {
        let is_name =
            sentence.trim_start_matches('*').starts_with(|c: char| c.is_uppercase() || !c.is_ascii());
        is_name && matches!(labelled(sentence), Some((Speaker::Agent, _)))
    };
    sentences(line).iter().skip(1).any(|sentence| is_agents(sentence))
}

/// Whatever the speakers are called: one label, another, and the first one again, before something that is said.
fn takes_turns(lines: &[&str]) -> bool {
    let labelled: Vec<_> =
        lines.iter().filter_map(|line| labelled(line).map(|(_, said)| (label_of(line), said))).collect();
    let alternates = labelled.windows(3).any(|turns| turns[0].0 == turns[2].0 && turns[0].0 != turns[1].0);
    let is_said = |said: &str| said.ends_with(['.', '!', '?', '。']) || words(said).len() >= WORDS_OF_SPEECH;
    alternates && labelled.iter().any(|(_, said)| is_said(said))
}

fn label_of(line: &str) -> Vec<String> {
    words(line.split([':', '：']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_plays_the_agent_too_goes_on_with_the_conversation() {
        for line in [
            "4711\nAgent: thanks",
            "Customer: 4711\nAgent: thanks\nCustomer: bye",
            "it's 4711. Agent: Thanks! Customer: bye",
            "Klient: 4711\nKonsultant: dziękuję bardzo.\nKlient: pa",
        ] {
            assert_eq!(fault(line), Some(Fault::Continuation), "{line}");
        }
        assert_eq!(fault("Agent: how are you?"), Some(Fault::RoleInversion));
        assert_eq!(fault("hi\nCustomer: 4711"), Some(Fault::SpeakerLabel));
    }

    #[test]
    fn a_form_and_an_older_conversation_are_the_customers_own() {
        for line in [
            "Amount: 340\nDate: 2 June\nthat is wrong",
            "he wrote:\nAgent: we call you\nCustomer: when?\nnobody called",
            "Account: 17\nUser: jsmith",
            "I asked the agent: nothing",
            "here is what I need: a refund",
            "Agent: you told me yesterday that it would be refunded.",
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
    }
}
