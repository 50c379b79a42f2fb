//! The kinds of failures that are told apart by what their messages say.

use super::is_unclassified;
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};

/// One kind of failure.
pub(super) struct Rule {
    /// Its code.
    pub(super) code: &'static str,
    /// The codes that it makes more precise, beside the one that says nothing.
    refines: &'static [&'static str],
    /// Only failures that are put down to this one; `None` is everybody.
    only_of: Option<Attribution>,
    /// Of each group one has to occur in the message, letter case aside.
    signs: &'static [&'static [&'static str]],
    /// What is said where the failure has no words that can be shown.
    pub(super) message: &'static str,
    /// The failure's own words are a crash, which nobody wants to read.
    pub(super) replaces_words: bool,
    /// What to do about it.
    pub(super) hint: Option<&'static str>,
    /// Who it is put down to; `None` leaves that to whoever noticed it.
    pub(super) attributed_to: Option<Attribution>,
}

/// What is said of a failure that came without a word.
pub(super) const NO_WORDS: &str = "The run failed before anything could be said of it.";

/// What is said of a failure that no rule knows.
pub(super) const ANYTHING_ELSE: Rule = Rule {
    code: code::UNCLASSIFIED,
    refines: &[],
    only_of: None,
    signs: &[],
    message: "The run failed, and gave no reason that can be shown.",
    replaces_words: false,
    hint: None,
    attributed_to: None,
};

/// The rules in order: the first that fits counts.
static RULES: [Rule; 9] = [
    Rule {
        code: code::UNTRUSTED_CERTIFICATE,
        refines: &[code::TARGET_UNREACHABLE, code::MODEL_PROVIDER_ERROR],
        signs: &[&[
            "invalid peer certificate",
            "self-signed certificate",
            "self signed certificate",
            "SELF_SIGNED_CERT_IN_CHAIN",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "unable to get local issuer certificate",
            "certificate verify failed",
        ]],
        message: "The certificate of an endpoint is not trusted.",
        hint: Some(
            "The endpoint needs a certificate that is valid, made for its host name, and of an authority that the \
             worker's machine trusts.",
        ),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::MODEL_TOOL_REASONING_CONFLICT,
        refines: &[code::MODEL_PROVIDER_ERROR],
        signs: &[&["Function tools with reasoning_effort are not supported"]],
        message: "The model does not take tools together with reasoning.",
        hint: Some("Set the reasoning effort of the model's role to `none`, or choose another model."),
        attributed_to: Some(Attribution::ModelProvider),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::MODEL_NOT_ALLOWED_FOR_SURFACE,
        refines: &[code::MODEL_PROVIDER_ERROR],
        signs: &[&["surfaces only"]],
        message: "The model may not be used for simulations.",
        hint: Some("Choose another model for the role."),
        attributed_to: Some(Attribution::Definition),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::MODEL_PROVIDER_ERROR,
        signs: &[&[
            "provider_error",
            "API key is invalid",
            "Incorrect API key",
            "invalid_api_key",
            "Model not found",
        ]],
        message: "The model's provider refused the request.",
        hint: Some("Check the provider's API key and the model's name."),
        attributed_to: Some(Attribution::ModelProvider),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::RUNNER_UNAVAILABLE,
        only_of: Some(Attribution::Worker),
        signs: &[&["MODULE_NOT_FOUND", "Cannot find module", "error while loading shared libraries"]],
        message: "What plays the run could not be started, so the scenario was never rehearsed.",
        replaces_words: true,
        hint: Some("The installation of the worker is incomplete; its log has the details."),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::EXECUTION_TIMEOUT,
        signs: &[&["timed out", "ETIMEDOUT"]],
        message: "The run took longer than it may.",
        hint: Some("Raise `timeoutSeconds` of the request, or look at who was waited for."),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::DEV_TUNNEL_UNREACHABLE,
        refines: &[code::TARGET_STATUS],
        signs: &[&["HTTP 530"], &["error code: 1033"]],
        message: "The agent's development tunnel leads nowhere.",
        hint: Some(
            "Start the tunnel on the machine where the agent runs, and put its present address into the agent's definition.",
        ),
        attributed_to: Some(Attribution::Target),
        ..ANYTHING_ELSE
    },
    Rule {
        code: code::ENDPOINT_UNREACHABLE,
        signs: &[&[
            "ECONNREFUSED",
            "ENOTFOUND",
            "EAI_AGAIN",
            "ECONNRESET",
            "fetch failed",
            "network error",
            "connection refused",
            "connection reset",
        ]],
        message: "An endpoint could not be reached.",
        hint: Some("Check that the endpoint runs, and that the worker's machine can reach it."),
        ..ANYTHING_ELSE
    },
    ANYTHING_ELSE,
];

/// The rule for a failure; none for one that knows better itself.
pub(super) fn find(failure: &RunFailure) -> Option<&'static Rule> {
    let message = failure.message.to_lowercase();
    RULES.iter().find(|rule| rule.covers(failure) && rule.is_shown_by(&message))
}

impl Rule {
    fn covers(&self, failure: &RunFailure) -> bool {
        let known_to_be = self.only_of.is_none_or(|only| only == failure.attributed_to);
        known_to_be && (is_unclassified(failure) || self.refines.contains(&&*failure.code))
    }

    fn is_shown_by(&self, message: &str) -> bool {
        let occurs = |sign: &&str| message.contains(&sign.to_lowercase());
        self.signs.iter().all(|group| group.iter().any(occurs))
    }
}
