//! Definitions kept in SQLite or PostgreSQL, and the way from definition files into them.
//!
//! [`Store`] is the database; it implements the repositories of [`crate::execution::ports`]. [`files`] reads
//! definition files; [`Store::import`] brings what they say into the database in one transaction. Definitions that may hold
//! credentials are sealed by a [`Keyring`] before the database sees them, and opened where they are asked for.

mod address;
mod database;
mod error;
pub mod files;
mod history;
mod import;
mod kind;
mod names;
mod plan;
mod report;
mod repositories;
mod reseal;
mod sealing;
mod sqlite;
mod tables;

pub use database::Store;
pub use error::{ImportError, StoreError};
pub use import::ImportMode;
pub use kind::Kind;
pub use plan::AgentCheck;
pub use report::{Changes, ImportReport};
pub use sealing::{InvalidKeys, Keyring, SealError, UnsealError};
