//! Comparing a definition with what the server has, field by field.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// Fields that travel in nanoseconds; people read them better with a unit.
const DURATION_FIELDS: [&str; 5] =
    ["max_age", "duplicate_window", "ack_wait", "inactive_threshold", "subject_delete_marker_ttl"];

/// A field that is not as needed. The names are those of the JetStream API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// What is needed.
    pub expected: String,
    /// What the server has.
    pub found: String,
}

/// Every field that is not as needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, difference) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            let Difference { field, expected, found } = difference;
            write!(f, "{separator}`{field}` must be {expected} but is {found}")?;
        }
        Ok(())
    }
}

/// Compares `expected` with `found`: two configurations of the same type.
pub(super) fn compare(
    expected: &impl Serialize,
    found: &impl Serialize,
) -> Result<Differences, serde_json::Error> {
    let (expected, found) = (fields(expected)?, fields(found)?);
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differs = |name: &&&String| expected.get(**name) != found.get(**name);
    let difference = |name: &String| Difference {
        field: name.clone(),
        expected: show(name, expected.get(name)),
        found: show(name, found.get(name)),
    };
    Ok(Differences(names.iter().filter(differs).map(|name| difference(name)).collect()))
}

fn fields(config: &impl Serialize) -> Result<BTreeMap<String, Value>, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(config)?)
}

fn show(field: &str, value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "unset".to_owned(),
        Some(value) => match value.as_u64().filter(|_| DURATION_FIELDS.contains(&field)) {
            Some(nanoseconds) => format!("{:?}", Duration::from_nanos(nanoseconds)),
            None => value.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let expected = json!({ "ack_wait": 30_000_000_000_u64, "max_ack_pending": 256, "name": "a" });
        let found = json!({ "ack_wait": 5_000_000_000_u64, "name": "a" });
        assert_eq!(
            compare(&expected, &found).unwrap().to_string(),
            "`ack_wait` must be 30s but is 5s, `max_ack_pending` must be 256 but is unset"
        );
        assert_eq!(compare(&found, &found).unwrap(), Differences::default());
    }
}
