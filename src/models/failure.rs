//! A failed call as the run's failure: what was asked of whom, what came back, what to do about it.

use reqwest::StatusCode;

use super::transport::CallError;
use super::upstream::Upstream;
use crate::events::Attribution;
use crate::execution::failure::{RunFailure, code};
use crate::execution::types::{AnswerForm, ModelName};
use crate::scrub::Scrubber;
use crate::text::{MAX_WORDS_BYTES, cut};

/// The statuses with which a server refuses what it understands but cannot do, such as tools or a schema.
///
/// Some say the same of a wrong model's name or a context that is too long. Then the same question in another form is
/// refused in the same way, for nothing but the time of the call.
const REFUSALS_OF_FORM: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::NOT_IMPLEMENTED,
];

/// The failure of a call of `name` at `upstream` after `tries` tries, which asked for an answer of this form.
pub(super) fn of_remote(
    name: &ModelName,
    upstream: &Upstream,
    error: CallError,
    tries: usize,
    form: &AnswerForm,
) -> RunFailure {
    if let CallError::Forbidden(refused) = &error {
        let message = format!("Provider '{}' cannot be called: {refused}", name.provider);
        return RunFailure::definition(code::EGRESS_REFUSED, message);
    }
    let hint = hint(&name.provider, upstream, &error);
    let (refused, throttled) = (refuses_form(&error, form), error.throttled());
    let reason = reason(error, Some(&upstream.scrubber));
    let place = format!(" at {}", upstream.origin());
    upstream.scrubber.clean(RunFailure { refused, throttled, ..failure(name, &place, tries, &reason, hint) })
}

/// The failure that an offline model plays.
pub(super) fn of_offline(name: &ModelName, status: u16, message: &str, form: &AnswerForm) -> RunFailure {
    let words = message.to_owned();
    let (error, hint) = match StatusCode::from_u16(status) {
        Ok(status) => (
            CallError::Refused { status, words, retry_after: None, answer: None },
            hint_for_status(&name.provider, &name.model, status),
        ),
        Err(_) => (CallError::ErrorInAnswer(words), None),
    };
    let (refused, throttled) = (refuses_form(&error, form), error.throttled());
    RunFailure { refused, throttled, ..failure(name, " (scripted)", 1, &reason(error, None), hint) }
}

fn refuses_form(error: &CallError, form: &AnswerForm) -> bool {
    form.spec().is_some()
        && matches!(error, CallError::Refused { status, .. } if REFUSALS_OF_FORM.contains(status))
}

/// What went wrong, with the provider's words without the key and not too many of them.
fn reason(error: CallError, scrubber: Option<&Scrubber>) -> String {
    let fit = |text: &str| {
        let clean = scrubber.map(|scrubber| scrubber.scrub(text));
        cut(clean.as_deref().unwrap_or(text), MAX_WORDS_BYTES)
    };
    match error {
        CallError::Refused { status, words, retry_after, answer } => {
            CallError::Refused { status, words: fit(&words), retry_after, answer }.to_string()
        }
        CallError::ErrorInAnswer(words) => CallError::ErrorInAnswer(fit(&words)).to_string(),
        other => fit(&other.to_string()),
    }
}

fn failure(name: &ModelName, place: &str, tries: usize, reason: &str, hint: Option<String>) -> RunFailure {
    let ModelName { provider, model } = name;
    let times = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
    let message = format!("Provider '{provider}'{place} failed for model '{model}' after {times}: {reason}");
    let failure = RunFailure::new(code::MODEL_PROVIDER_ERROR, Attribution::ModelProvider, message);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn hint(provider: &str, upstream: &Upstream, error: &CallError) -> Option<String> {
    Some(match error {
        CallError::Refused { status, .. } => return hint_for_status(provider, &upstream.model, *status),
        CallError::NoConnection(_) => {
            let server = upstream.host_and_port();
            format!("Is the server running at {server}? Else correct the baseUrl of provider '{provider}'.")
        }
        CallError::TimedOut(_) => {
            format!("If the model needs longer, raise timeoutSeconds of provider '{provider}'.")
        }
        CallError::Silent(_) => {
            format!("If the model pauses for longer, raise idleTimeoutSeconds of provider '{provider}'.")
        }
        CallError::HtmlPage | CallError::NotJson(_) | CallError::Unexpected(_) => {
            format!("Check that the baseUrl and the kind of provider '{provider}' belong to the same API.")
        }
        _ => return None,
    })
}

fn hint_for_status(provider: &str, model: &str, status: StatusCode) -> Option<String> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Some(format!("Check the API key of provider '{provider}'."))
        }
        StatusCode::NOT_FOUND => {
            Some(format!("Check the model's name '{model}' and the baseUrl of provider '{provider}'."))
        }
        StatusCode::TOO_MANY_REQUESTS => Some(format!(
            "Check the limits and the credit of provider '{provider}', or run fewer scenarios at once."
        )),
        status if status.is_redirection() => Some(format!(
            "Redirects are not followed: set the baseUrl of provider '{provider}' to the final address."
        )),
        _ => None,
    }
}
