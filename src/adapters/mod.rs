//! Targets: adapters for agents under test, behind one registry.
//!
//! A new type of target is one file with a [`TargetAdapterFactory`] and one [`Registry::with`] where the program
//! is wired.

pub mod codes;
pub mod http;
mod impersonal;
mod limited;
mod metered;
pub mod presets;
pub mod prompt;
mod registry;
mod template;

pub use http::HttpAdapterFactory;
pub use prompt::PromptAdapterFactory;
pub use registry::{Registry, TargetAdapterFactory};
pub use template::ScenarioTexts;
pub(crate) use template::secrets_named_in;
