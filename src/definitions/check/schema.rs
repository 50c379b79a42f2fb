//! What a schema may cost: each of its parts is looked at for each value of a reply, and a reference is one more look.

use serde_json::Value;

/// The most parts of a schema, its references followed: a few hundred describe any reply that people read.
const MAX_PARTS: usize = 2000;
/// References whose end depends on more than the schema's text.
const UNKNOWN_ENDS: [&str; 3] = ["$dynamicRef", "$recursiveRef", "$anchor"];

/// Finds out whether `schema` looks at a bounded number of things, whatever the reply.
///
/// # Errors
/// What is wrong with it, in words that follow on its name.
pub(super) fn affordable(schema: &Value) -> Result<(), String> {
    Walk { root: schema, parts: 0, within: Vec::new() }.part(schema)
}

struct Walk<'a> {
    root: &'a Value,
    parts: usize,
    /// The references that are being followed.
    within: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn part(&mut self, part: &'a Value) -> Result<(), String> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(format!(
                "is too costly: with its references followed it has more than {MAX_PARTS} parts"
            ));
        }
        match part {
            Value::Array(items) => items.iter().try_for_each(|item| self.part(item)),
            Value::Object(entries) => {
                entries.iter().try_for_each(|(key, value)| self.entry(key, value, part))
            }
            _ => Ok(()),
        }
    }

    fn entry(&mut self, key: &str, value: &'a Value, part: &Value) -> Result<(), String> {
        match value {
            Value::String(target) if key == "$ref" => self.follow(target),
            Value::String(_) if UNKNOWN_ENDS.contains(&key) => Err(format!(
                "uses `{key}`, which is not supported: refer to a part by its place, as in `#/$defs/name`"
            )),
            Value::String(_) if key == "$id" && !std::ptr::eq(part, self.root) => {
                Err("has an `$id` in a part of it, which is not supported".to_owned())
            }
            value => self.part(value),
        }
    }

    fn follow(&mut self, target: &'a str) -> Result<(), String> {
        let place = target.strip_prefix('#').filter(|place| place.is_empty() || place.starts_with('/'));
        let place = place.ok_or_else(|| {
            format!("refers to `{target}`; only parts of the schema itself can be referred to, as in `#/$defs/name`")
        })?;
        if self.within.contains(&target) || place.is_empty() {
            return Err(format!("refers to itself at `{target}`, which is not supported"));
        }
        let part = self
            .root
            .pointer(place)
            .ok_or_else(|| format!("refers to `{target}`, which it does not have"))?;
        self.within.push(target);
        self.part(part)?;
        self.within.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_may_refer_to_its_own_parts() {
        let item = json!({ "type": "object", "properties": { "$ref": { "type": "string" } } });
        let schema = json!({
            "$id": "https://example.com/order", "$defs": { "item": item },
            "properties": { "first": { "$ref": "#/$defs/item" }, "rest": { "items": { "$ref": "#/$defs/item" } } },
        });
        assert_eq!(affordable(&schema), Ok(()));
    }

    #[test]
    fn references_that_go_round_or_multiply_are_refused() {
        let doubling = (0..40).map(|n| {
            let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            (format!("d{n}"), json!({ "anyOf": [next, next] }))
        });
        let doubling = Value::Object(doubling.chain([("d40".to_owned(), json!(true))]).collect());
        for (schema, reason) in [
            (json!({ "properties": { "next": { "$ref": "#" } } }), "refers to itself"),
            (json!({ "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } } }), "refers to itself"),
            (json!({ "$ref": "#/$defs/d0", "$defs": doubling }), "is too costly"),
            (json!({ "$ref": "#/nowhere" }), "refers to `#/nowhere`, which it does not have"),
            (json!({ "$ref": "https://example.com/a" }), "refers to `https://example.com/a`; only parts"),
            (json!({ "$dynamicRef": "#a" }), "uses `$dynamicRef`"),
            (json!({ "items": { "$id": "b" } }), "has an `$id`"),
        ] {
            let refused = affordable(&schema).unwrap_err();
            assert!(refused.starts_with(reason), "{refused}");
        }
    }
}
