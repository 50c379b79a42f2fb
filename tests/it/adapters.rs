//! Tests of `adapters`.

mod http_failures;
mod http_reply;
mod http_request;
mod presets;
mod prompt;
mod registry;
mod stage;
