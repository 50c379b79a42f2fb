//! Tests of `adapters`.

mod http_definitions;
mod http_failures;
mod http_hostile;
mod http_oauth2;
mod http_polls;
mod http_reply;
mod http_request;
mod http_retries;
mod http_session;
mod http_statuses;
mod http_streams;
mod http_tls;
mod http_tools;
mod limited;
mod presets;
mod prompt;
mod prompt_tools;
mod registry;
mod stage;
mod table;
