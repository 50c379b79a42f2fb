//! Chat models: from `provider/model` to a client that answers.
//!
//! [`Factory`] reads the providers of a project and makes a client: a remote one for the kinds `openai`,
//! `anthropic` and `gemini`, an offline one for `scripted`. Remote clients share one connection pool and
//! one transport with a time limit, a bound on answers, and bounded retries; what is particular to an API
//! is a file of `wire`. Prices of the definition turn the tokens of a reply into its cost.
//!
//! The clients are our own rather than a library's, such as `genai`, because the port promises what
//! it does not: answers are read up to a bound, a key is not needed where a server asks for none, the model's
//! name goes out as it is written, arguments that are not JSON are kept, the answer's id is told, and no
//! request travels in an error.

mod factory;
mod failure;
mod gated;
mod listening;
mod metered;
mod priced;
mod remote;
mod retry;
mod scripted;
mod transport;
mod upstream;
mod wire;

pub use factory::Factory;
