//! Fetching a token for client credentials (RFC 6749, section 4.4).

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::{Request, Response};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::auth::{ClientCredentials, Field};
use super::definition::ClientAuthDefinition;
use super::templates::parse_url;
use crate::adapters::codes;
use crate::definitions::Secret;
use crate::egress::{Client, ClientError, Redirects};
use crate::events::{Attribution, ProjectId};
use crate::execution::failure::{RunFailure, code};
use crate::scrub::Scrubber;
use crate::text::{chain, cut};

/// Time for one token, from the name's resolution to the last byte.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most of an answer that is read, in bytes: far more than a token is long.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The most of an answer that is shown where a token is refused, in bytes.
const SHOWN: usize = 512;
/// Who is called cannot be expected to take any other.
const BEARER: &str = "bearer";

/// What a token is fetched with.
pub(super) struct Grant {
    client: Client,
    token_url: Url,
    /// The value of the `Authorization` header, where the client says there who it is.
    basic: Option<Secret>,
    form: Secret,
    scrubber: Scrubber,
    digest: [u8; 32],
}

/// What was granted.
pub(super) struct Granted {
    pub(super) token: Secret,
    /// How long it lasts, where the server says so.
    pub(super) lifetime: Option<time::Duration>,
}

/// An answer that grants a token.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl Grant {
    /// Tokens for `credentials` of `project`, asked for through `client`, which is of the kind that `tls` stands for.
    pub(super) fn new(
        project: &ProjectId,
        credentials: &ClientCredentials,
        client: Client,
        tls: [u8; 32],
        scrubber: Scrubber,
    ) -> Result<Self, RunFailure> {
        let ClientCredentials { token_url, id, secret, style, .. } = credentials;
        let invalid = |problem| RunFailure::definition(code::INVALID_TARGET, problem);
        let url = parse_url(&token_url.place(), &token_url.url()).map_err(invalid)?;
        let form = form(credentials);
        let parts =
            [project.as_str(), url.as_str(), &id.text(), &secret.text(), &form, &format!("{style:?}")];
        let mut hasher = Sha256::new_with_prefix(tls);
        for part in parts {
            // A length before each part, so that no two sets of credentials run into each other.
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let basic = (*style == ClientAuthDefinition::Basic)
            .then(|| Secret::new(format!("Basic {}", credentials.basic())));
        let digest = hasher.finalize().into();
        Ok(Self { client, token_url: url, basic, form: Secret::new(form), scrubber, digest })
    }

    /// Stands for the credentials where they are only to be told apart.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Where tokens are asked for.
    pub(super) fn url(&self) -> &Url {
        &self.token_url
    }

    /// Asks for a token. Nobody is followed elsewhere with these credentials.
    pub(super) async fn fetch(&self) -> Result<Granted, RunFailure> {
        match tokio::time::timeout(TIMEOUT, self.ask()).await {
            Ok(granted) => granted,
            Err(_) => Err(self.failed(&format!("it did not answer within {} seconds", TIMEOUT.as_secs()))),
        }
    }

    /// Whoever needs the token cannot wait for it any longer than `limit`.
    pub(super) fn late(&self, limit: Duration) -> RunFailure {
        self.failed(&format!(
            "it did not answer within the {} seconds that timeoutSeconds leaves for everything",
            limit.as_secs()
        ))
    }

    async fn ask(&self) -> Result<Granted, RunFailure> {
        let request = self.request().map_err(|error| self.failed(&chain(&error.without_url())))?;
        let answer = self.client.execute(request, Redirects::Answer).await;
        let answer = answer.map_err(|error| self.unanswered(&error))?;
        let status = answer.status();
        let body = read(answer).await.map_err(|error| self.failed(&chain(&error.without_url())))?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        self.granted(&body)
    }

    fn request(&self) -> Result<Request, reqwest::Error> {
        let mut request = self
            .client
            .request(Method::POST, self.token_url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form.expose().to_owned());
        if let Some(basic) = &self.basic {
            request = request.header(AUTHORIZATION, basic.expose());
        }
        request.build()
    }

    fn granted(&self, body: &[u8]) -> Result<Granted, RunFailure> {
        // What is not understood may be a token, so it is not repeated.
        let answer: TokenAnswer = serde_json::from_slice(body)
            .map_err(|_| self.failed("its answer is no JSON with an access_token"))?;
        let TokenAnswer { access_token, token_type, expires_in } = answer;
        if access_token.expose().trim().is_empty() {
            return Err(self.failed("its access_token is empty"));
        }
        if let Some(other) = token_type.filter(|kind| !kind.eq_ignore_ascii_case(BEARER)) {
            return Err(
                self.failed(&format!("its token is of the type '{other}'; only bearer tokens are sent"))
            );
        }
        // Some servers write the number as a text.
        let seconds = expires_in.as_i64().or_else(|| expires_in.as_str()?.trim().parse().ok());
        let lifetime = seconds.filter(|seconds| *seconds >= 0).map(time::Duration::seconds);
        Ok(Granted { token: access_token, lifetime })
    }

    /// Whoever refuses the credentials says so with one of these; anything else is the server's own trouble.
    fn refused(&self, status: StatusCode, body: &[u8]) -> RunFailure {
        let reason = status.canonical_reason().unwrap_or("Unknown");
        let said = format!("HTTP {} {reason}: {}", status.as_u16(), self.shown(body));
        let refuses = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        if !refuses.contains(&status) {
            return self.failed(&said);
        }
        let message = format!("{} refuses the client credentials of auth: {said}", self.place());
        RunFailure::definition(codes::OAUTH2_REFUSED, message).with_hint(
            "Correct clientId, clientSecret, scope, audience or authStyle in the agent's definition",
        )
    }

    /// Secrets go before the cut, which could leave a part of one.
    fn shown(&self, body: &[u8]) -> String {
        cut(&self.scrubber.scrub(&words(body)), SHOWN)
    }

    fn unanswered(&self, error: &ClientError) -> RunFailure {
        match error {
            ClientError::Refused(refused) => {
                let message = format!("auth.tokenUrl: {} may not be called: {refused}", self.place());
                RunFailure::definition(code::EGRESS_REFUSED, message)
            }
            error => self.failed(&chain(error)),
        }
    }

    fn failed(&self, why: &str) -> RunFailure {
        let message = format!("No token came from {}: {why}", self.place());
        RunFailure::new(codes::OAUTH2_FAILED, Attribution::Target, message)
            .with_hint("Check that the token server runs at auth.tokenUrl of the agent's definition")
    }

    fn place(&self) -> String {
        format!("{}{}", self.token_url.origin().ascii_serialization(), self.token_url.path())
    }
}

/// What the server says, in the words of RFC 6749, section 5.2, if it uses them.
fn words(body: &[u8]) -> String {
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let word = |name: &str| said.as_ref().and_then(|said| said.get(name)?.as_str()).map(str::to_owned);
    match (word("error"), word("error_description")) {
        (Some(error), Some(description)) => format!("{error} ({description})"),
        (Some(error), None) => error,
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

fn form(credentials: &ClientCredentials) -> String {
    let ClientCredentials { id, secret, scope, audience, style, .. } = credentials;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, field) in [("scope", scope), ("audience", audience)] {
        if let Some(text) = field.as_ref().map(Field::text) {
            form.append_pair(name, &text);
        }
    }
    if *style == ClientAuthDefinition::Body {
        form.append_pair("client_id", &id.text()).append_pair("client_secret", &secret.text());
    }
    form.finish()
}

/// What is beyond the limit is left out: no token is that long.
async fn read(mut answer: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = ANSWER_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}
