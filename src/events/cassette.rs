//! What a request says of recording and replaying.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InvalidId;
use super::ids::CassetteName;

/// What is done with a cassette.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CassetteMode {
    /// Everything that the run says and hears is kept.
    Record,
    /// The run hears what was kept, and nobody is asked.
    Replay,
}

/// Which cassette, and what is done with it. On the wire `"record"` or `"replay"`, or an object that names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Wire", into = "Wire")]
pub struct CassetteRequest {
    /// What is done with it.
    pub mode: CassetteMode,
    /// Its name in the project; scenario and target name the one that has none.
    pub name: Option<CassetteName>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"record\", \"replay\" or an object with `mode` and `name`")]
enum Wire {
    Mode(CassetteMode),
    Named { mode: CassetteMode, name: CassetteName },
}

impl CassetteRequest {
    /// A cassette without a name of its own.
    #[must_use]
    pub fn unnamed(mode: CassetteMode) -> Self {
        Self { mode, name: None }
    }

    /// A cassette with a name.
    ///
    /// # Errors
    /// [`InvalidId`] if that is no name.
    pub fn named(mode: CassetteMode, name: impl Into<String>) -> Result<Self, InvalidId> {
        Ok(Self { mode, name: Some(CassetteName::parse(name)?) })
    }
}

impl From<Wire> for CassetteRequest {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Mode(mode) => Self::unnamed(mode),
            Wire::Named { mode, name } => Self { mode, name: Some(name) },
        }
    }
}

impl From<CassetteRequest> for Wire {
    fn from(CassetteRequest { mode, name }: CassetteRequest) -> Self {
        match name {
            Some(name) => Self::Named { mode, name },
            None => Self::Mode(mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cassette_is_a_word_or_has_a_name() {
        for json in [r#""record""#, r#"{"mode":"replay","name":"refund v2"}"#] {
            let cassette: CassetteRequest = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&cassette).unwrap(), json);
        }
        for wrong in [r#""erase""#, r#"{"mode":"replay","name":""}"#, "7"] {
            assert!(serde_json::from_str::<CassetteRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
