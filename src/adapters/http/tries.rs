//! Asking more than once: what an attempt came to, and what is told of how often an agent was asked.

use std::time::Duration;

use super::attempt::Failed;
use super::response::asked_pause;
use super::retry::Trouble;
use crate::execution::failure::RunFailure;

impl Failed {
    /// What it is to whoever may ask again, and the pause that the agent asks for; `None` where that cannot help.
    pub(super) fn trouble(&self) -> Option<(Trouble, Option<Duration>)> {
        match self {
            Self::NoReply(error) => Some((error.trouble()?, None)),
            Self::Status(received) => {
                Some((Trouble::Status(received.status), asked_pause(&received.headers)))
            }
            Self::Reply(_) => None,
        }
    }
}

/// The failure, with how often the agent was asked, and the pause that was longer than there was time.
pub(super) fn told(failure: RunFailure, attempts: u32, too_long: Option<Duration>) -> RunFailure {
    let given_up = too_long.map(|pause| {
        let seconds = pause.as_secs_f64().ceil();
        format!("The next attempt would be in {seconds} seconds, which is later than timeoutSeconds allows")
    });
    let asked = (attempts > 1).then(|| format!("The agent was asked {attempts} times"));
    let hints: Vec<String> = failure.hint.clone().into_iter().chain(asked).chain(given_up).collect();
    if hints.is_empty() { failure } else { failure.with_hint(hints.join(". ")) }
}
