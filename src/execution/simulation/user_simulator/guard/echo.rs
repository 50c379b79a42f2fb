//! Whether a line repeats what was said before it.

use std::collections::HashSet;

use super::words::{unquoted, weight, words};
use super::{Fault, Heard};

/// Words in a row that are compared.
const RUN: usize = 3;
/// A line of less than this weight may be what the agent said: six words of courtesy are.
const MIN_WEIGHT_OF_AGENTS: usize = 14;
/// A line of less than this weight may be said again: people insist, but briefly.
const MIN_WEIGHT_OF_OWN: usize = 12;
/// A line of less than this weight has to be the same to be an echo.
const MIN_WEIGHT_NEARLY: usize = 16;
/// The part, in percent, of a line's runs of words that an echo has from elsewhere.
const ALMOST_ALL: usize = 85;
/// The part, in percent, of the agent's words that an echo repeats: who picks one of the agent's options repeats less.
const LARGE_PART: usize = 50;

/// The echo that `line` is, if it is one.
pub(super) fn fault(line: &str, heard: &Heard<'_>) -> Option<Fault> {
    // Who quotes somebody and adds nothing of weight is an echo all the same.
    let said = words(&unquoted(line));
    let of_agent = heard.agent.is_some_and(|agent| repeats(&said, &words(agent), MIN_WEIGHT_OF_AGENTS));
    let of_self = || heard.own.is_some_and(|own| repeats(&said, &words(own), MIN_WEIGHT_OF_OWN));
    if of_agent {
        return Some(Fault::EchoOfAgent);
    }
    of_self().then_some(Fault::EchoOfSelf)
}

fn repeats(said: &[String], before: &[String], min_weight: usize) -> bool {
    let weight = weight(said);
    let is_same = said == before && weight >= min_weight;
    is_same || (weight >= MIN_WEIGHT_NEARLY && is_nearly(said, before))
}

fn is_nearly(said: &[String], before: &[String]) -> bool {
    let known: HashSet<&[String]> = before.windows(RUN).collect();
    let (mut runs, mut repeated) = (0, 0);
    for run in said.windows(RUN) {
        runs += 1;
        repeated += usize::from(known.contains(run));
    }
    repeated * 100 >= runs * ALMOST_ALL && said.len() * 100 >= before.len() * LARGE_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(agent: &str, own: &str, line: &str) -> Option<Fault> {
        fault(line, &Heard { agent: Some(agent), own: Some(own) })
    }

    #[test]
    fn a_whole_sentence_again_is_an_echo_of_whoever_said_it() {
        let (agent, own) =
            ("Please unplug it, wait thirty seconds and try again.", "my router has been red all day");
        assert_eq!(
            after(agent, own, "please unplug it wait thirty seconds and try again"),
            Some(Fault::EchoOfAgent)
        );
        assert_eq!(after(agent, own, "My router has been red all day!"), Some(Fault::EchoOfSelf));
        assert_eq!(after(agent, own, "I did unplug it and waited thirty seconds, it is still red"), None);
    }

    #[test]
    fn brief_words_may_be_said_again() {
        assert_eq!(after("Have a nice day!", "ok thank you", "Have a nice day!"), None);
        assert_eq!(after("Anything else?", "i want my money back", "I want my money back"), None);
    }

    #[test]
    fn who_picks_one_of_the_options_is_no_echo() {
        let agent = "Would you like us to send a new one to your home address at no cost, or would you rather have a \
                     full refund to the card that you paid with?";
        assert_eq!(after(agent, "it broke", "send a new one to your home address at no cost"), None);
    }
}
