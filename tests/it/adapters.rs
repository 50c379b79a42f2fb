//! Tests of `adapters`.

mod http_failures;
mod http_oauth2;
mod http_reply;
mod http_request;
mod http_session;
mod http_tls;
mod limited;
mod prompt;
mod registry;
mod stage;
