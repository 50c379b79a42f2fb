//! Failures and what is told of them.

use super::*;
use crate::events::Attribution::{self, Definition, Judge, ModelProvider, Target, Worker};

fn sealed(code: &'static str, by: Attribution, message: &str) -> RunError {
    seal(&RunFailure::new(code, by, message))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_failure_that_knows_nothing_is_classified_by_its_words_in_order() {
    for (by, message, code, to) in [
        (Target, "Error: self-signed certificate", code::UNTRUSTED_CERTIFICATE, Target),
        (Judge, "UNABLE_TO_VERIFY_LEAF_SIGNATURE, provider_error", code::UNTRUSTED_CERTIFICATE, Judge),
        (
            Judge,
            "400: function tools with reasoning_effort are not supported, provider_error",
            code::MODEL_TOOL_REASONING_CONFLICT,
            ModelProvider,
        ),
        (Judge, "This model serves some surfaces only.", code::MODEL_NOT_ALLOWED_FOR_SURFACE, Definition),
        (Target, "incorrect api key provided", code::MODEL_PROVIDER_ERROR, ModelProvider),
        (Worker, "Cannot find module 'x': timed out", code::RUNNER_UNAVAILABLE, Worker),
        (Target, "Cannot find module 'x': timed out", code::EXECUTION_TIMEOUT, Target),
        (Target, "connect ETIMEDOUT 10.0.0.1:80", code::EXECUTION_TIMEOUT, Target),
        (Target, "HTTP 530: error code: 1033", code::DEV_TUNNEL_UNREACHABLE, Target),
        (Target, "HTTP 530: error code: 1016", code::UNCLASSIFIED, Target),
        (Target, "TypeError: fetch failed", code::ENDPOINT_UNREACHABLE, Target),
        (Target, "Connection refused (os error 111)", code::ENDPOINT_UNREACHABLE, Target),
        (Worker, "the moon is full", code::UNCLASSIFIED, Worker),
    ] {
        for unclassified in [code::UNCLASSIFIED, ""] {
            let error = sealed(unclassified, by, message);
            assert_eq!((error.code.as_str(), error.attributed_to), (code, to), "{message}");
        }
    }
}

#[test]
fn every_kind_has_a_hint_but_the_one_that_is_none() {
    let hint = |message| sealed(code::UNCLASSIFIED, Worker, message).hint;
    for message in
        ["certificate verify failed", "invalid_api_key", "MODULE_NOT_FOUND", "timed out", "ENOTFOUND"]
    {
        assert!(hint(message).is_some(), "{message}");
    }
    assert_eq!(hint("the moon is full"), None);
    let own = RunFailure::new(code::UNCLASSIFIED, Worker, "timed out").with_hint("Wait.");
    assert_eq!(seal(&own).hint.as_deref(), Some("Wait."));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn only_the_generic_codes_are_made_more_precise() {
    let certificate =
        "https://h/ could not be reached: the TLS connection failed: invalid peer certificate: UnknownIssuer";
    let tunnel = "HTTP 530 Unknown from https://h/ (request-id: none): error code: 1033";
    for (from, by, message, code) in [
        (code::TARGET_UNREACHABLE, Target, certificate, code::UNTRUSTED_CERTIFICATE),
        (code::MODEL_PROVIDER_ERROR, ModelProvider, certificate, code::UNTRUSTED_CERTIFICATE),
        (code::TARGET_STATUS, Target, tunnel, code::DEV_TUNNEL_UNREACHABLE),
        (code::TARGET_STATUS, Target, certificate, code::TARGET_STATUS),
        (code::TARGET_STATUS, Target, "HTTP 504: upstream timed out, invalid_api_key", code::TARGET_STATUS),
        (code::TARGET_UNREACHABLE, Target, "connection refused", code::TARGET_UNREACHABLE),
        (
            code::MODEL_PROVIDER_ERROR,
            ModelProvider,
            "no connection: ECONNREFUSED",
            code::MODEL_PROVIDER_ERROR,
        ),
        (code::JUDGE_NO_VERDICT, Judge, "provider_error timed out", code::JUDGE_NO_VERDICT),
        (code::EXECUTION_TIMEOUT, Target, "Scenario execution timed out", code::EXECUTION_TIMEOUT),
    ] {
        let error = sealed(from, by, message);
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
        assert_eq!(error.attributed_to, by, "{message}");
    }
}

#[test]
fn a_more_precise_failure_gets_the_hint_that_fits() {
    let failure =
        RunFailure::new(code::MODEL_PROVIDER_ERROR, ModelProvider, "invalid peer certificate: Expired")
            .with_hint("Is the server running at h:443?");
    assert!(seal(&failure).hint.unwrap().starts_with("The endpoint needs a certificate"));
    let failure = RunFailure { message: "no connection: Connection refused".to_owned(), ..failure };
    assert_eq!(seal(&failure).hint, failure.hint);
}

#[test]
fn a_crash_is_told_in_a_plain_sentence() {
    let dump = "Error: Cannot find module '/app/runner.js'\n    at Module._load (node:internal/x:1:2)";
    let error = sealed(code::UNCLASSIFIED, Worker, dump);
    assert_eq!(
        error.message,
        "What plays the run could not be started, so the scenario was never rehearsed."
    );
    let frames = "    at Module._load (node:internal/x:1:2)";
    assert_eq!(sealed(code::UNCLASSIFIED, Target, frames).message, rules::ANYTHING_ELSE.message);
    assert_eq!(sealed(code::TARGET_STATUS, Target, frames).message, rules::ANYTHING_ELSE.message);
    assert_eq!(sealed(code::UNCLASSIFIED, Target, " ").message, rules::NO_WORDS);
    assert_eq!(
        sealed(code::UNCLASSIFIED, Worker, "<html>timed out</html>").message,
        "The run took longer than it may."
    );
}

#[test]
fn words_are_kept_up_to_a_bound_and_what_is_said_around_them() {
    let long = "é".repeat(3000);
    let cut_at = |bytes: usize| format!("{}… [truncated]", "é".repeat(bytes / 2));
    assert_eq!(sealed(code::UNCLASSIFIED, Target, &long).message, cut_at(2048));
    let head = "HTTP 500 Internal Server Error from http://h/ (request-id: none): ";
    let message = format!("{head}{}", cut_at(2048));
    assert_eq!(sealed(code::TARGET_STATUS, Target, &message).message, message);
    assert_eq!(sealed("of_another_adapter", Target, &long).message, cut_at(4096));
}
