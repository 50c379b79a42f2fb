//! Rules of what the agent said.

use std::slice;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Path, Pattern, Schema};

/// Which of the agent's replies a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The latest.
    Last,
    /// At least one.
    Any,
    /// All of them.
    Every,
    /// The first.
    First,
}

/// A rule of the agent's replies.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyRule {
    /// Which of them, where the definition says so.
    pub on: Option<On>,
    /// What is asked of them.
    pub test: ReplyTest,
}

/// What is asked of a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyTest {
    /// It has each of these texts. A list is as many rules: the texts need not stand in the same reply.
    Contains(Words),
    /// It has none of these texts.
    NotContains(Words),
    /// The pattern is found in it.
    Matches(Pattern),
    /// The pattern is not found in it.
    NotMatches(Pattern),
    /// It is JSON, and this holds of what is in it.
    JsonPath(PathTest),
    /// It is JSON of this schema.
    JsonSchema(Schema),
}

/// Texts that are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The texts.
    pub texts: Texts,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
}

/// A text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum Texts {
    /// One.
    One(String),
    /// Several.
    List(Vec<String>),
}

/// What has to hold of the values that a path finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathTest {
    /// Where the values are.
    pub path: Path,
    /// One of them is this.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// The pattern is found in one of them: in a text, or in the JSON of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// Whether there is one at all; true where nothing says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// Null is a value that another may equal.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Texts {
    /// The texts, in the order of the definition.
    #[must_use]
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(text) => slice::from_ref(text),
            Self::List(texts) => texts,
        }
    }
}

impl ReplyTest {
    /// Whether it forbids something.
    #[must_use]
    pub fn forbids(&self) -> bool {
        matches!(self, Self::NotContains(_) | Self::NotMatches(_))
    }

    /// What is looked for, forbidden or not.
    fn in_words(&self) -> String {
        match self {
            Self::Contains(words) | Self::NotContains(words) => {
                format!("says {}", words.in_words())
            }
            Self::Matches(pattern) | Self::NotMatches(pattern) => {
                format!("matches /{}/", pattern.source())
            }
            Self::JsonPath(test) => test.in_words(),
            Self::JsonSchema(_) => "is JSON of the schema".to_owned(),
        }
    }
}

impl ReplyRule {
    /// Which replies are meant: what has to be said, in any of them; what must not be said, in none of them; and of
    /// JSON the last word counts.
    #[must_use]
    pub fn on(&self) -> On {
        self.on.unwrap_or(match self.test {
            ReplyTest::Contains(_) | ReplyTest::Matches(_) => On::Any,
            ReplyTest::NotContains(_) | ReplyTest::NotMatches(_) => On::Every,
            ReplyTest::JsonPath(_) | ReplyTest::JsonSchema(_) => On::Last,
        })
    }

    pub(super) fn in_words(&self) -> String {
        let test = self.test.in_words();
        let which = match (self.on(), self.test.forbids()) {
            (On::Every, false) => "every reply of the agent",
            (On::Every, true) => "no reply of the agent",
            (On::Any, false) => "a reply of the agent",
            (On::Any, true) => "not every reply of the agent",
            (On::Last, false) => "the agent's last reply",
            (On::Last, true) => "not the agent's last reply",
            (On::First, false) => "the agent's first reply",
            (On::First, true) => "not the agent's first reply",
        };
        format!("{which} {test}")
    }
}

impl Words {
    fn in_words(&self) -> String {
        self.texts.list().iter().map(|text| format!("“{text}”")).collect::<Vec<_>>().join(", ")
    }
}

impl PathTest {
    fn in_words(&self) -> String {
        let path = self.path.source();
        match (&self.equals, &self.matches) {
            (Some(value), Some(pattern)) => {
                format!("has {value} at {path}, which matches /{}/", pattern.source())
            }
            (Some(value), None) => format!("has {value} at {path}"),
            (None, Some(pattern)) => format!("matches /{}/ at {path}", pattern.source()),
            (None, None) if self.exists == Some(false) => format!("has nothing at {path}"),
            (None, None) => format!("has something at {path}"),
        }
    }
}
