//! What is told of a failure: a code as precise as is known, and a message without internals.
//!
//! A failure that knows what it is keeps its code and its words. One that says little, such as "the target could not be
//! reached", is made more precise by what its message says; one that knows nothing is classified by it.

mod presentable;
mod rules;

use self::presentable::presentable;
use self::rules::Rule;
use super::failure::{RunFailure, code};
use crate::events::RunError;
use crate::text::{MAX_WORDS_BYTES, cut};

/// The most bytes of a message that was made here: others' words, which whoever heard them has cut at
/// [`MAX_WORDS_BYTES`], and what is said around them.
const MAX_MESSAGE_BYTES: usize = 2 * MAX_WORDS_BYTES;

/// The failure as it is reported.
pub(super) fn seal(failure: &RunFailure) -> RunError {
    let unclassified = is_unclassified(failure);
    let limit = if unclassified { MAX_WORDS_BYTES } else { MAX_MESSAGE_BYTES };
    let words = presentable(&failure.message).map(|words| cut(&words, limit));
    let Some(rule) = rules::find(failure) else {
        return RunError {
            code: failure.code.clone().into_owned(),
            message: words.unwrap_or_else(|| rules::ANYTHING_ELSE.message.to_owned()),
            hint: failure.hint.clone(),
            attributed_to: failure.attributed_to,
        };
    };
    let own_hint = failure.hint.clone().filter(|_| unclassified);
    RunError {
        code: rule.code.to_owned(),
        message: rule.message(failure, words),
        hint: own_hint.or_else(|| rule.hint.map(str::to_owned)),
        attributed_to: rule.attributed_to.unwrap_or(failure.attributed_to),
    }
}

fn is_unclassified(failure: &RunFailure) -> bool {
    failure.code == code::UNCLASSIFIED || failure.code.trim().is_empty()
}

impl Rule {
    /// The failure's own words, else what the rule says.
    fn message(&self, failure: &RunFailure, words: Option<String>) -> String {
        match words {
            Some(words) if !self.replaces_words => words,
            None if failure.message.trim().is_empty() => rules::NO_WORDS.to_owned(),
            _ => self.message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
