//! What a definition adds to a request in the provider's own names.

use serde_json::{Map, Value};

/// Puts `extra` into `body`, what an object there lacks included. Names what stays as it is, because it is there already.
pub(in crate::models) fn merge(body: &mut Value, extra: &Map<String, Value>) -> Vec<String> {
    let Some(body) = body.as_object_mut() else { return Vec::new() };
    let mut taken = Vec::new();
    for (key, value) in extra {
        match (body.get_mut(key), value) {
            (None, value) => drop(body.insert(key.clone(), value.clone())),
            (Some(Value::Object(there)), Value::Object(more)) => {
                taken.extend(add(there, more).into_iter().map(|name| format!("{key}.{name}")));
            }
            (Some(_), _) => taken.push(key.clone()),
        }
    }
    taken
}

fn add(there: &mut Map<String, Value>, more: &Map<String, Value>) -> Vec<String> {
    let (new, taken): (Vec<_>, Vec<_>) = more.iter().partition(|(name, _)| !there.contains_key(*name));
    there.extend(new.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    taken.into_iter().map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_stays_and_is_named() {
        let mut body = json!({ "model": "m", "generationConfig": { "topP": 1 }, "stop": ["a"] });
        let extra =
            json!({ "model": "x", "generationConfig": { "topP": 2, "topK": 3 }, "stop": {}, "user": "u" });
        let taken = merge(&mut body, extra.as_object().unwrap());
        assert_eq!(taken, ["model", "generationConfig.topP", "stop"]);
        let expected =
            json!({ "model": "m", "generationConfig": { "topP": 1, "topK": 3 }, "stop": ["a"], "user": "u" });
        assert_eq!(body, expected);
    }
}
