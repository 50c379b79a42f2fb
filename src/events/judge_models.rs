//! Who judges: one model, or a panel of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most models of a panel: each is paid for every judgement.
pub const MAX_JUDGES: usize = 9;

/// The models that judge, as `provider/model`: one, or several that decide by majority. On the wire one model is a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct JudgeModels(Vec<String>);

/// A panel that cannot decide anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} models cannot judge together: name 1 to {MAX_JUDGES}")]
pub struct InvalidPanel(usize);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a model's name or a list of them")]
enum OneOrMany {
    One(String),
    Many(#[schemars(length(min = 1, max = MAX_JUDGES))] Vec<String>),
}

impl JudgeModels {
    /// One model.
    #[must_use]
    pub fn one(name: impl Into<String>) -> Self {
        Self(vec![name.into()])
    }

    /// Their names, in the order of the definition; at least one.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for JudgeModels {
    type Error = InvalidPanel;

    fn try_from(names: Vec<String>) -> Result<Self, InvalidPanel> {
        if (1..=MAX_JUDGES).contains(&names.len()) { Ok(Self(names)) } else { Err(InvalidPanel(names.len())) }
    }
}

impl TryFrom<OneOrMany> for JudgeModels {
    type Error = InvalidPanel;

    fn try_from(models: OneOrMany) -> Result<Self, InvalidPanel> {
        match models {
            OneOrMany::One(name) => Ok(Self::one(name)),
            OneOrMany::Many(names) => names.try_into(),
        }
    }
}

impl From<JudgeModels> for OneOrMany {
    fn from(JudgeModels(mut names): JudgeModels) -> Self {
        if names.len() == 1 { Self::One(names.remove(0)) } else { Self::Many(names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_model_is_a_text_and_a_panel_is_a_list() {
        for json in [r#""a/b""#, r#"["a/b","c/d","e/f"]"#] {
            let models: JudgeModels = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&models).unwrap(), json);
        }
        assert_eq!(serde_json::from_str::<JudgeModels>(r#"["a/b"]"#).unwrap(), JudgeModels::one("a/b"));
    }

    #[test]
    fn nobody_and_a_crowd_cannot_judge() {
        let crowd = serde_json::to_string(&vec!["a/b"; MAX_JUDGES + 1]).unwrap();
        for wrong in ["[]", "5", crowd.as_str()] {
            assert!(serde_json::from_str::<JudgeModels>(wrong).is_err(), "{wrong}");
        }
    }
}
