//! JSON from somebody who may contradict themselves.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The most values of one key that are kept: two show already that they contradict each other.
const MOST_VALUES: usize = 4;

/// A value in which nothing is lost that an object says twice: a key with different values has the list of them,
/// where other readers keep whichever comes last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verbatim(pub(crate) Value);

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Verbatim(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut said: Map<String, Value> = Map::new();
        while let Some((key, Verbatim(value))) = entries.next_entry::<String, _>()? {
            match said.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) if values.len() < MOST_VALUES && !values.contains(&value) => {
                    values.push(value);
                }
                _ => {}
            }
        }
        said.values_mut().for_each(unwrap_single);
        Ok(said.into())
    }
}

fn unwrap_single(values: &mut Value) {
    if let Some(single) = values.as_array_mut().filter(|list| list.len() == 1).and_then(Vec::pop) {
        *values = single;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let Verbatim(value) = serde_json::from_str(text).unwrap();
        value.to_string()
    }

    #[test]
    fn what_is_said_once_is_read_as_it_is() {
        for text in [r#"{"b":[1,-2,0.5],"a":{"c":null,"d":[true,"x",[]]}}"#, "[]", "7", r#""x""#, "[[1]]"] {
            assert_eq!(read(text), text);
        }
    }

    #[test]
    fn a_key_with_two_values_has_both() {
        assert_eq!(read(r#"{"a":1,"b":2,"a":{"c":3,"c":[4]},"b":2}"#), r#"{"a":[1,{"c":[3,[4]]}],"b":2}"#);
        let many: Vec<String> = (0..1_000).map(|n| format!(r#""a":{n}"#)).collect();
        assert_eq!(read(&format!("{{{}}}", many.join(","))), r#"{"a":[0,1,2,3]}"#);
    }
}
