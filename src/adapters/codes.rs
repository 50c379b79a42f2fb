//! Stable codes of the failures of adapters. They are on the wire.

use crate::execution::failure::code;

/// The agent's status says that its answer is none.
pub const HTTP_STATUS: &str = code::TARGET_STATUS;
/// The agent did not answer in time.
pub const HTTP_TIMEOUT: &str = "http_timeout";
/// No connection to the agent came about.
pub const HTTP_UNREACHABLE: &str = code::TARGET_UNREACHABLE;
/// The agent's reply is larger than is read.
pub const HTTP_RESPONSE_TOO_LARGE: &str = "http_response_too_large";
/// The agent's reply broke off or cannot be read.
pub const HTTP_INVALID_RESPONSE: &str = "http_invalid_response";
/// The agent says in its reply that it failed.
pub const AGENT_ERROR: &str = "agent_error";
/// The agent answers bit by bit, and its definition does not say where the words are.
pub const STREAM_NOT_DESCRIBED: &str = "stream_not_described";
/// `outputPath` matches nothing in the agent's reply.
pub const OUTPUT_PATH_NO_MATCH: &str = "output_path_no_match";
/// The agent answered with nothing.
pub const EMPTY_REPLY: &str = "empty_reply";
/// The model went on calling tools for as long as it may.
pub const TOOL_ROUNDS_EXHAUSTED: &str = "tool_rounds_exhausted";
/// A template could not be rendered, or not to something that can be sent.
pub const TEMPLATE_FAILED: &str = "template_failed";
/// The definition names a secret that the project does not have.
pub const SECRET_NOT_FOUND: &str = "secret_not_found";
/// The token server refuses the definition's credentials.
pub const OAUTH2_REFUSED: &str = "oauth2_refused";
/// No token came from the token server.
pub const OAUTH2_FAILED: &str = "oauth2_failed";
/// What a session's start is to be read for is not in the reply.
pub const SESSION_CAPTURE_FAILED: &str = "session_capture_failed";
/// The stored session cannot be read.
pub const SESSION_UNREADABLE: &str = "session_unreadable";
