//! Lines out of bytes that come in any pieces.

use super::StreamError;

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// LF alone; a CR before it belongs to the line.
    Lf,
    /// LF, CR, or both as one.
    Any,
}

impl LineEnd {
    fn is(self, byte: u8) -> bool {
        byte == b'\n' || (byte == b'\r' && self == Self::Any)
    }
}

/// Collects one line at a time.
#[derive(Debug)]
pub(super) struct Lines {
    end: LineEnd,
    /// The most bytes of one line.
    limit: usize,
    line: Vec<u8>,
    /// The last byte was a CR that ended a line: an LF belongs to it.
    after_cr: bool,
}

impl Lines {
    pub(super) fn new(end: LineEnd, limit: usize) -> Self {
        Self { end, limit, line: Vec::new(), after_cr: false }
    }

    /// Gives `each` every line that `bytes` completes.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| self.end.is(*byte)) else { return self.keep(bytes) };
            self.keep(&bytes[..end])?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            each(&self.line)?;
            self.line.clear();
        }
        Ok(())
    }

    /// What came after the last end of a line.
    pub(super) fn rest(self) -> Vec<u8> {
        self.line
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), StreamError> {
        if part.len() > self.limit - self.line.len() {
            return Err(StreamError::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }
}
