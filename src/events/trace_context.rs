//! W3C trace context, parsed strictly: a request's `traceparent` is used only if it is beyond doubt.
//!
//! Source: W3C Trace Context Level 2, sections 3.2 (`traceparent`) and 3.3 (`tracestate`).

mod state;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Length of a version-00 `traceparent` in bytes.
const TRACEPARENT_LENGTH: usize = 55;
/// The flags that are defined, sampled and random; whoever sends others on would make promises that nobody knows
/// (section 3.2.2.5).
const KNOWN_FLAGS: u8 = 0b11;

/// A `traceparent` or `tracestate` that breaks the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the trace context of the headers is not valid: {0}")]
pub struct InvalidTraceContext(&'static str);

/// A validated trace context. It is stored as its two headers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "[String; 2]", try_from = "[String; 2]")]
pub struct TraceContext {
    /// The trace, not all zero.
    pub trace_id: [u8; 16],
    /// The span, not all zero.
    pub span_id: [u8; 8],
    /// The trace flags, as far as they are defined.
    pub flags: u8,
    /// The `tracestate` members joined by commas; empty if there are none.
    pub state: String,
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext").field(&self.traceparent()).finish()
    }
}

impl From<TraceContext> for [String; 2] {
    fn from(context: TraceContext) -> Self {
        [context.traceparent(), context.state]
    }
}

impl TryFrom<[String; 2]> for TraceContext {
    type Error = InvalidTraceContext;

    fn try_from([parent, state]: [String; 2]) -> Result<Self, InvalidTraceContext> {
        Ok(Self { state: state::join(&[&state]).unwrap_or_default(), ..Self::parse_parent(&parent)? })
    }
}

impl TraceContext {
    /// Reads the values of every `traceparent` and `tracestate` header. No header at all is no context.
    ///
    /// # Errors
    /// [`InvalidTraceContext`] if there is not exactly one well-formed `traceparent`.
    pub fn from_headers(parents: &[&str], states: &[&str]) -> Result<Option<Self>, InvalidTraceContext> {
        let parent = match parents {
            [] => return Ok(None),
            [one] => *one,
            _ => return Err(InvalidTraceContext("there is more than one `traceparent`")),
        };
        let mut context = Self::parse_parent(parent)?;
        // A broken tracestate costs only the state, never the parent (section 3.3.1.5).
        context.state = state::join(states).unwrap_or_default();
        Ok(Some(context))
    }

    /// The `traceparent` value.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }

    fn parse_parent(value: &str) -> Result<Self, InvalidTraceContext> {
        check_shape(value)?;
        let mut fields = value.split('-').skip(1);
        let mut next = || fields.next().unwrap_or_default();
        let (trace_id, span_id) = (hex_field(next())?, hex_field(next())?);
        let [flags] = hex_field(next())?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(InvalidTraceContext("the trace id or span id is all zero"));
        }
        Ok(Self { trace_id, span_id, flags: flags & KNOWN_FLAGS, state: String::new() })
    }
}

/// Version 00 has exactly its length; a later one may go on behind a dash (section 3.2.4); ff is forbidden.
fn check_shape(value: &str) -> Result<(), InvalidTraceContext> {
    if !value.is_ascii() || value.len() < TRACEPARENT_LENGTH {
        return Err(InvalidTraceContext("`traceparent` is too short"));
    }
    let [version] = hex_field(value.split('-').next().unwrap_or_default())?;
    let rest = &value[TRACEPARENT_LENGTH..];
    match version {
        0xff => Err(InvalidTraceContext("version ff of `traceparent` is forbidden")),
        0 if !rest.is_empty() => Err(InvalidTraceContext("`traceparent` is too long for version 00")),
        _ if !rest.is_empty() && !rest.starts_with('-') => {
            Err(InvalidTraceContext("`traceparent` goes on without a separator"))
        }
        _ => Ok(()),
    }
}

fn hex_field<const N: usize>(text: &str) -> Result<[u8; N], InvalidTraceContext> {
    const BAD: InvalidTraceContext =
        InvalidTraceContext("a field of `traceparent` is not lowercase hexadecimal of its length");
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(BAD);
    }
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).map_err(|_| BAD)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
