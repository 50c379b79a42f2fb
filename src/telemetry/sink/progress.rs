//! What the platform was told of a run.

use serde::{Deserialize, Serialize};

use super::{Body, Post, Story};

/// What the platform was told of a run, and what it will not be told any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Events up to this sequence of their stream are done with.
    pub through: u64,
    /// The time of the last post, in milliseconds since 1970.
    pub at: i64,
    /// The start is done with.
    pub started: bool,
    /// How many messages are done with.
    pub messages: usize,
    /// Nothing more is said of the run.
    pub over: bool,
}

impl Progress {
    /// Whether the event at this sequence of the stream is done with.
    #[must_use]
    pub fn has_told(&self, sequence: u64) -> bool {
        self.over || sequence <= self.through
    }

    /// The time, or the one behind the last post: events may have expired since by which it would be later.
    pub(super) fn behind_last(&self, at: i64) -> i64 {
        if self.at == 0 { at } else { at.max(self.at + 1) }
    }

    /// The progress behind a post that was taken, or that nobody will take.
    #[must_use]
    pub fn behind(self, post: &Post<'_>) -> Self {
        let next = Self { through: self.through.max(post.through), at: post.at, ..self };
        match post.body {
            Body::Started(_) | Body::Unplayed { .. } => Self { started: true, ..next },
            Body::Messages => Self { messages: post.messages, ..next },
            Body::Finished(_) => Self { over: true, ..next },
        }
    }

    /// The progress if all of `story` is given up.
    #[must_use]
    pub fn without(self, story: &Story) -> Self {
        Self {
            through: self.through.max(story.through()),
            started: true,
            messages: self.messages.max(story.messages()),
            over: self.over || story.is_over(),
            ..self
        }
    }

    /// The progress of a run that the platform does not want.
    #[must_use]
    pub fn unwanted(self) -> Self {
        Self { over: true, ..self }
    }
}
