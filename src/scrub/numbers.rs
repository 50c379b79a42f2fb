//! How a secret of digits looks once JSON has read it as a number.

use serde_json::Number;

use super::SHORTEST_IN_ANSWERS;

/// What is written behind a whole number that was read as a fraction.
const NO_FRACTION: &str = ".0";

/// How JSON writes `secret`, without leading zeros, and as exactly as its numbers are; `None` if it is no number, or
/// so short a one that it occurs by chance.
pub(super) fn of(secret: &str) -> Option<String> {
    let has_digits_only = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let value = secret.chars().all(has_digits_only).then(|| secret.parse::<f64>().ok())??;
    let written = match secret.trim_start_matches('0').parse::<u64>() {
        Ok(whole) => whole.to_string(),
        Err(_) => Number::from_f64(value)?.to_string(),
    };
    let written = written.strip_suffix(NO_FRACTION).unwrap_or(&written).to_owned();
    (written != secret && written.len() >= SHORTEST_IN_ANSWERS).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_as_json_writes_it() {
        for (secret, written) in [
            ("4815162342", None),
            ("004815162342", Some("4815162342")),
            ("4.815162342e9", Some("4815162342")),
            ("9007199254740993000", None),
            ("09007199254740993000", Some("9007199254740993000")),
            ("12345678901234567890123", Some("1.2345678901234568e+22")),
            ("1234.5600", Some("1234.56")),
            ("000012", None),
            ("12.5000", None),
            ("hunter2", None),
            ("infinity", None),
            ("1e999999", None),
        ] {
            assert_eq!(of(secret).as_deref(), written, "{secret}");
        }
    }
}
