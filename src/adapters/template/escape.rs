//! How a value is written into the text around it.

use std::io;

use minijinja::{Error, ErrorKind, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::json_slots;
use super::limits::PRINT_LIMIT;
use super::transcript::Transcript;

/// What stays as it is in a URL component: the unreserved characters of RFC 3986, section 2.3.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The kind of text that values land in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// JSON: inside a string every value is escaped, outside a text becomes a string and anything else stays JSON.
    Json,
    /// A URL or a form: every value is one component.
    UrlComponent,
    /// A header or a text: as it is, structures as JSON.
    Text,
    /// A prompt: as it is, the conversation as prose.
    Prose,
}

impl Escape {
    /// A value as a template prints it.
    pub(super) fn write(self, value: &Value) -> Result<String, Error> {
        if value.is_safe() {
            return Ok(value.as_str().unwrap_or_default().to_owned());
        }
        match self {
            Self::Json if value.is_undefined() => Ok(String::new()),
            Self::Json => match value.as_str() {
                Some(text) => Ok(json_slots::text(&json_slots::unmarked(text))),
                None => Ok(json_slots::json(&json(value)?)),
            },
            Self::UrlComponent => Ok(url_component(&self.plain(value)?)),
            Self::Text | Self::Prose => self.plain(value),
        }
    }

    /// A value without any escaping.
    pub(super) fn plain(self, value: &Value) -> Result<String, Error> {
        if let Some(text) = value.as_str() {
            return Ok(text.to_owned());
        }
        match value.downcast_object_ref::<Transcript>() {
            Some(transcript) if self == Self::Prose => Ok(transcript.to_string()),
            _ if value.is_undefined() || value.is_none() => Ok(String::new()),
            _ => json(value),
        }
    }

    /// A value as JSON, whatever it is.
    pub(super) fn as_json(self, value: &Value) -> Result<Value, Error> {
        let captured = value.as_str().filter(|_| self == Self::Json).map(json_slots::settle);
        let json = json(&captured.map_or_else(|| value.clone(), Value::from))?;
        Ok(match self {
            Self::Json => Value::from_safe_string(json_slots::json(&json)),
            _ => Value::from(json),
        })
    }

    /// A text of the template itself, which a value is never taken for.
    pub(super) fn literal(self, value: &Value) -> Value {
        let text = value.as_str().unwrap_or_default();
        Value::from_safe_string(if self == Self::Json { json_slots::literal(text) } else { text.to_owned() })
    }

    /// A secret's value as it is written behind the template's back. Inside JSON it always stands in a string.
    pub(super) fn secret(self, value: &str) -> String {
        match self {
            Self::Json => json_slots::inside_string(value),
            Self::UrlComponent => url_component(value),
            Self::Text | Self::Prose => value.to_owned(),
        }
    }

    /// What stands for a secret until then, as a value of the run would be written.
    pub(super) fn stand_in(self, placeholder: &str) -> String {
        if self == Self::Json { json_slots::text(placeholder) } else { placeholder.to_owned() }
    }

    /// Finishes a rendered text.
    pub(super) fn settle(self, rendered: String) -> String {
        match self {
            Self::Json => json_slots::settle(&rendered),
            _ => rendered,
        }
    }
}

/// `text` as one component of a URL.
pub(crate) fn url_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

fn json(value: &Value) -> Result<String, Error> {
    let mut text = BoundedText::default();
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => Ok(String::from_utf8_lossy(&text.0).into_owned()),
        Err(error) if error.is_io() => Err(ErrorKind::OutOfFuel.into()),
        Err(error) => Err(Error::new(ErrorKind::BadSerialization, "it is no JSON").with_source(error)),
    }
}

/// Takes no more than may be printed: a template can make a list far larger than itself.
#[derive(Default)]
struct BoundedText(Vec<u8>);

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > PRINT_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
