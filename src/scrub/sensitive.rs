//! Credentials that a definition has as they are, not as a reference to a secret.

use serde_json::{Map, Value};
use url::Url;

/// Parts of names of fields, headers and query parameters whose values are credentials.
const TELLING_NAMES: [&str; 11] = [
    "authorization",
    "cookie",
    "credential",
    "key",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "signature",
    "token",
];
/// Names that sound like it and are none.
const HARMLESS_NAMES: [&str; 6] =
    ["idempotency-key", "inputtokens", "keyid", "maxtokens", "outputtokens", "tokenurl"];
/// The field that says how a request is authenticated.
const AUTH: &str = "auth";
/// Fields that name what stands in the field `value` beside them.
const NAMES_OF_VALUES: [&str; 3] = ["header", "key", "name"];
const VALUE: &str = "value";
/// The field that says where in a reply something stands: places, and none of the values.
const CAPTURE: &str = "capture";
/// The shortest part of a secret that is looked for by itself, in bytes: shorter ones occur by chance.
const SHORTEST_PIECE: usize = 8;

/// Every text in a definition that its name tells to be a credential, and those within URLs.
pub(crate) fn credentials_in(definition: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    within_object(definition, false, &mut found);
    found
}

/// User, password and query values of telling names in a URL, as they were meant and not as they are encoded.
pub(crate) fn url_credentials(url: &Url) -> Vec<String> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = if url.password().is_some() { "" } else { url.username() };
    let of_user = [user, url.password().unwrap_or_default()].map(decoded);
    let of_query =
        url.query_pairs().filter(|(name, _)| is_telling(name)).map(|(_, value)| value.into_owned());
    of_user.into_iter().chain(of_query).filter(|text| !text.is_empty()).collect()
}

/// What is left of a secret that was put into a URL: it may be a URL itself, or end where a query or a fragment begins.
pub(crate) fn parts_of_url(secret: &str) -> Vec<String> {
    let url = Url::parse(secret).ok().filter(Url::has_host);
    let of_url = url.iter().flat_map(|url| url_credentials(url).into_iter().chain([url.path().to_owned()]));
    let pieces = secret.split(['?', '#']).filter(|piece| *piece != secret).map(str::to_owned);
    of_url.chain(pieces).filter(|piece| piece.trim().len() >= SHORTEST_PIECE).collect()
}

fn within(value: &Value, telling: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if telling => found.extend(parts(text)),
        Value::String(text) => found.extend(Url::parse(text).iter().flat_map(url_credentials)),
        Value::Array(list) => list.iter().for_each(|item| within(item, telling, found)),
        Value::Object(map) => within_object(map, telling, found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A header is either a field, or an object with its name and its value.
fn within_object(map: &Map<String, Value>, telling: bool, found: &mut Vec<String>) {
    let names_value = |field: &str| map.contains_key(VALUE) && NAMES_OF_VALUES.contains(&field);
    let named = map.iter().any(|(field, name)| names_value(field) && name.as_str().is_some_and(is_telling));
    for (field, value) in map {
        match value {
            Value::Object(auth) if field == AUTH => {
                auth.get(VALUE).into_iter().for_each(|value| within(value, true, found));
                within_object(auth, telling, found);
            }
            _ if names_value(field) || field == CAPTURE => {}
            _ => within(value, telling || is_telling(field) || (named && field == VALUE), found),
        }
    }
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING_NAMES.iter().any(|part| name.contains(part)) && !HARMLESS_NAMES.contains(&name.as_str())
}

/// A credential, without the name of its scheme (`Bearer …`); a reference to a secret is none.
fn parts(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.contains("{{") {
        return Vec::new();
    }
    let words = text.split_whitespace().collect::<Vec<_>>();
    match words.as_slice() {
        [_, credential] => vec![text.to_owned(), (*credential).to_owned()],
        _ => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_known_by_the_names_of_their_places() {
        let Value::Object(definition) = json!({
            "type": "http",
            "url": "https://me:pass%20word@h.example/chat?api_key=of-query&page=2",
            "headers": [
                { "key": "Authorization", "value": "Bearer of-header" },
                { "key": "X-Region", "value": "europe" },
                { "key": "X-Api-Key", "value": "{{ secrets.SHOP }}" },
            ],
            "auth": { "type": "api_key", "header": "X-Shop", "value": "of-auth", "clientSecret": "of-client" },
            "outputPath": "$.reply",
        }) else {
            panic!("an object")
        };
        let mut found = credentials_in(&definition);
        found.sort();
        let expected = ["Bearer of-header", "of-auth", "of-client", "of-header", "of-query", "pass word"];
        assert_eq!(found, expected);
    }
}
