//! Dead letters: what can never be run, kept with its reason and its bytes, until somebody redrives or discards it.

mod burials;
mod bury;
mod letters;
mod redrive;

pub use burials::Burials;
pub use bury::{DeadLetters, Original};
pub use letters::{Letter, LetterError, Letters};
pub use redrive::{Redriven, Room};
