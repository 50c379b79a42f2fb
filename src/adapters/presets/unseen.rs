//! What an agent that keeps the conversation itself has not heard yet.

use crate::events::MessageRole;
use crate::execution::ports::TargetTurn;
use crate::execution::types::Message;

/// The first message that the agent has not heard. `heard` is how many it has; where nobody knows that any more, it is taken to have
/// heard everything up to its own last answer.
pub(super) fn first_unseen(turn: &TargetTurn<'_>, heard: Option<usize>) -> usize {
    let answered = || turn.transcript.iter().rposition(|message| message.role == MessageRole::Assistant);
    heard
        .filter(|heard| *heard <= turn.transcript.len())
        .unwrap_or_else(|| answered().map_or(0, |last| last + 1))
}

/// How many messages the agent has heard once it has answered this turn, its answer included.
pub(super) fn heard_after(turn: &TargetTurn<'_>) -> usize {
    turn.transcript.len() + 1
}

/// What customer and agent said from `first` on, with its place in the conversation. A tool's result is nothing that the protocols here
/// could place without the call that it belongs to.
pub(super) fn said<'a>(turn: &TargetTurn<'a>, first: usize) -> impl Iterator<Item = (usize, &'a Message)> {
    let messages = turn.transcript.iter().enumerate().skip(first);
    messages.filter(|(_, message)| message.role != MessageRole::Tool)
}
