//! What the process of a run may use of the machine.

use rustix::process::{Resource, Rlimit, setrlimit};

/// A limit cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("the {what} of the process cannot be limited")]
pub struct LimitError {
    what: &'static str,
    source: rustix::io::Errno,
}

/// Lets the process ask for `memory` bytes at most, and leave no image of itself behind when it crashes: that would hold
/// the run's credentials. There is no way back.
///
/// # Errors
/// [`LimitError`] if the system does not allow it.
pub fn confine(memory: u64) -> Result<(), LimitError> {
    limit(Resource::Core, 0, "core dump")?;
    // Memory that can be written, not addresses: allocators and threads reserve many times what they use.
    limit(Resource::Data, memory, "memory")
}

fn limit(resource: Resource, most: u64, what: &'static str) -> Result<(), LimitError> {
    let most = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, most).map_err(|source| LimitError { what, source })
}
