//! The lines of an offline customer or agent.

use crate::definitions::ScriptedReply;
use crate::events::MessageRole;
use crate::execution::types::{Scene, SceneRole};

/// What is said in `scene`: the first line whose occasion the last thing said to the speaker is, else the
/// line of the turn, else the last line. Nothing where the script has no such line.
pub(super) fn line(replies: &[ScriptedReply], scene: &Scene) -> String {
    let heard = heard(scene).to_lowercase();
    let fitting = replies.iter().find_map(|reply| match reply {
        ScriptedReply::Occasion { when, text } if heard.contains(&when.to_lowercase()) => Some(text),
        _ => None,
    });
    fitting.or_else(|| line_of_turn(replies, scene.turn)).cloned().unwrap_or_default()
}

/// The last thing that the speaker's counterpart said.
fn heard(scene: &Scene) -> &str {
    let counterpart = match scene.role {
        SceneRole::Target => MessageRole::User,
        SceneRole::UserSimulator | SceneRole::Judge => MessageRole::Assistant,
    };
    let last = scene.transcript.iter().rev().find(|message| message.role == counterpart);
    last.map(|message| message.content.as_str()).unwrap_or_default()
}

fn line_of_turn(replies: &[ScriptedReply], turn: u32) -> Option<&String> {
    let lines = replies.iter().filter_map(|reply| match reply {
        ScriptedReply::Line(line) => Some(line),
        ScriptedReply::Occasion { .. } => None,
    });
    let turns = usize::try_from(turn).unwrap_or(usize::MAX);
    lines.take(turns.max(1)).last()
}
