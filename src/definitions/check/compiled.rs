//! Texts of a definition that have to be compiled: patterns, paths, schemas.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jsonschema::{PatternOptions, Validator};
use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::schema::affordable;
use crate::text::cut;

/// The most memory that a compiled pattern may take, in bytes: a page of alternatives fits, `(\w{99}){99}` does not.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// The most `..` of a path: each more multiplies the matches by the depth of a reply that the agent chooses.
const MAX_DESCENTS: usize = 1;
/// The most `,` of a path: each can double the matches.
const MAX_ALTERNATIVES: usize = 4;
/// The most of a foreign error message that is repeated, in bytes.
const MAX_REASON_BYTES: usize = 300;

/// What can be made of a text, once.
pub trait Compile: Sized {
    /// As people write it.
    type Source: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema;

    /// Makes it.
    ///
    /// # Errors
    /// What is wrong with the source, in words that follow on its name, such as “does not compile: …”.
    fn compile(source: &Self::Source) -> Result<Self, String>;
}

/// A source that is compiled when it is first needed, and only then found to be good.
pub struct Compiled<T: Compile> {
    source: T::Source,
    compiled: OnceLock<Arc<Result<T, String>>>,
}

/// A regular expression whose search takes time linear in the text.
pub type Pattern = Compiled<Regex>;
/// A `JSONPath` (RFC 9535) whose search does not blow up.
pub type Path = Compiled<JsonPath>;
/// A JSON Schema that needs nothing but itself.
pub type Schema = Compiled<Validator>;

impl<T: Compile> Compiled<T> {
    /// Takes it as it is written.
    pub fn new(source: impl Into<T::Source>) -> Self {
        Self { source: source.into(), compiled: OnceLock::new() }
    }

    /// As it is written.
    pub fn source(&self) -> &T::Source {
        &self.source
    }

    /// What it comes to.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow on its name.
    pub fn get(&self) -> Result<&T, &str> {
        let compiled = self.compiled.get_or_init(|| Arc::new(T::compile(&self.source)));
        compiled.as_ref().as_ref().map_err(String::as_str)
    }
}

impl Compile for Regex {
    type Source = String;

    fn compile(source: &String) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(source);
        builder.size_limit(MAX_COMPILED_BYTES).build().map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!(
                    "is too costly: compiled it takes more than {limit} bytes; repeat less, or fewer things"
                )
            }
            // Its message draws the pattern over several lines; the last one says what is wrong.
            error => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("does not compile: {}", cut(last, MAX_REASON_BYTES))
            }
        })
    }
}

impl Compile for JsonPath {
    type Source = String;

    fn compile(source: &String) -> Result<Self, String> {
        let path = Self::parse(source).map_err(|error| {
            format!("is no JSONPath (RFC 9535): {}", cut(&error.to_string(), MAX_REASON_BYTES))
        })?;
        let code = without_texts(source);
        if code.matches("..").count() > MAX_DESCENTS || code.matches(',').count() > MAX_ALTERNATIVES {
            return Err(format!(
                "is too costly: at most {MAX_DESCENTS} `..` and {MAX_ALTERNATIVES} `,` can be used"
            ));
        }
        // Each is worked out anew for every value that the filter looks at.
        if code.matches('$').count() > 1 || code.contains("match(") || code.contains("search(") {
            return Err("is too costly: a filter can use `@`, but not `$`, `match` or `search`".to_owned());
        }
        Ok(path)
    }
}

/// A path without the texts in quotes.
fn without_texts(path: &str) -> String {
    let (mut code, mut quote, mut escaped) = (String::new(), None, false);
    for char in path.chars() {
        match quote {
            None if matches!(char, '\'' | '"') => quote = Some(char),
            None => code.push(char),
            Some(_) if escaped => escaped = false,
            Some(_) if char == '\\' => escaped = true,
            Some(end) if char == end => quote = None,
            Some(_) => {}
        }
    }
    code
}

impl Compile for Validator {
    type Source = Value;

    /// Formats are checked too, and one that nobody knows is an error: it would let everything pass.
    fn compile(source: &Value) -> Result<Self, String> {
        affordable(source)?;
        let patterns = PatternOptions::regex().size_limit(MAX_COMPILED_BYTES);
        let options = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(patterns);
        options.build(source).map_err(|error| {
            let place = error.instance_path().as_str();
            let place = if place.is_empty() { String::new() } else { format!(" at {place}") };
            format!("is no JSON Schema{place}: {}", cut(&error.to_string(), MAX_REASON_BYTES))
        })
    }
}

impl<T: Compile> Clone for Compiled<T> {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), compiled: self.compiled.clone() }
    }
}

impl<T: Compile> fmt::Debug for Compiled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl<T: Compile> PartialEq for Compiled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl<T: Compile> Serialize for Compiled<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

impl<'de, T: Compile> Deserialize<'de> for Compiled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::Source::deserialize(deserializer).map(Self::new)
    }
}

impl<T: Compile> JsonSchema for Compiled<T> {
    fn inline_schema() -> bool {
        T::Source::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::Source::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::Source::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        T::Source::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal<T: Compile>(source: impl Into<T::Source>) -> String {
        Compiled::<T>::new(source).get().err().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_pattern_that_does_not_compile_says_why_in_one_line() {
        assert_eq!(refusal::<Regex>("(refund"), "does not compile: unclosed group");
        let around = refusal::<Regex>("(?=refund)");
        assert!(around.contains("look-around") && !around.contains('\n'), "{around}");
        assert!(refusal::<Regex>(r"(\w{99}){99}").contains("too costly"));
        assert_eq!(refusal::<Regex>(r"(?i)refund(ed)?\b"), "");
    }

    #[test]
    fn a_path_that_could_blow_up_is_refused() {
        for good in ["$", "$.a.b[0]", "$..price", "$['a,b,c,d,e,f', '$', 'x..y..z']", "$[?@.a == 'match(']"] {
            assert_eq!(refusal::<JsonPath>(good), "", "{good}");
        }
        assert!(refusal::<JsonPath>("a.b").starts_with("is no JSONPath (RFC 9535)"));
        for costly in ["$..a..b", "$[0,0,0,0,0,0]", "$[?count($..*) > 1]", "$[?search(@.a, 'x')]"] {
            assert!(refusal::<JsonPath>(costly).starts_with("is too costly"), "{costly}");
        }
    }

    #[test]
    fn a_schema_that_is_none_or_needs_the_network_is_refused() {
        assert_eq!(refusal::<Validator>(json!({ "type": "object", "required": ["total"] })), "");
        let wrong = refusal::<Validator>(json!({ "properties": { "a": { "type": "nubmer" } } }));
        assert!(wrong.starts_with("is no JSON Schema at /properties/a/type: "), "{wrong}");
        let elsewhere = refusal::<Validator>(json!({ "$ref": "https://example.com/schema.json" }));
        assert!(elsewhere.starts_with("refers to `https://example.com/schema.json`"), "{elsewhere}");
        for schema in [
            json!("text"),
            json!({ "$schema": "https://example.com/draft" }),
            json!({ "pattern": "(?=a)" }),
            json!({ "format": "no-such-format" }),
        ] {
            assert!(refusal::<Validator>(schema.clone()).starts_with("is no JSON Schema"), "{schema}");
        }
    }

    #[test]
    fn it_is_stored_as_it_is_written() {
        let pattern: Pattern = serde_json::from_value(json!("(")).unwrap();
        assert_eq!(serde_json::to_value(&pattern).unwrap(), json!("("), "even what does not compile");
        assert_eq!(format!("{:?}", pattern.clone()), "\"(\"");
    }
}
