//! `outputPath`: where an agent's words are in its reply.

use serde_json::Value;
use serde_json_path::JsonPath;

/// The most `..` of a path: each more multiplies the matches by the depth of a reply that the agent chooses.
const MAX_DESCENTS: usize = 1;
/// The most `,` of a path: each can double the matches.
const MAX_ALTERNATIVES: usize = 4;

/// A `JSONPath` (RFC 9535).
pub(in crate::adapters) struct OutputPath {
    source: String,
    path: JsonPath,
}

impl OutputPath {
    /// Reads a path that does not blow up.
    pub(in crate::adapters) fn parse(source: &str) -> Result<Self, String> {
        let source = source.trim().to_owned();
        let path = JsonPath::parse(&source)
            .map_err(|error| format!("outputPath: '{source}' is no JSONPath (RFC 9535): {error}"))?;
        if source.matches("..").count() > MAX_DESCENTS || source.matches(',').count() > MAX_ALTERNATIVES {
            return Err(format!(
                "outputPath: '{source}' is too costly; at most {MAX_DESCENTS} `..` and {MAX_ALTERNATIVES} `,` can be used"
            ));
        }
        Ok(Self { source, path })
    }

    /// The first value that it matches.
    pub(in crate::adapters) fn first<'a>(&self, reply: &'a Value) -> Option<&'a Value> {
        self.path.query(reply).first()
    }

    /// The path as it is written.
    pub(in crate::adapters) fn source(&self) -> &str {
        &self.source
    }
}
