//! Money: what calls of models cost, and what a run may cost.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Units of one US dollar. With a million of a million, the price of a single token is a whole number.
const UNITS_PER_USD: f64 = 1e12;
/// Digits behind the point that are worth showing: the cheapest call costs about that much.
const SHOWN_DIGITS: usize = 6;
/// Digits behind the point that an amount can have.
const UNIT_DIGITS: usize = 12;
/// Units of the last digit that is shown.
const UNITS_PER_SHOWN: u64 = 1_000_000;
/// Below this many units, which are 0.0001 US dollars, every digit of an amount is shown: it may be a price of few tokens.
const FINE: u64 = 100_000_000;

/// An amount of money. On the wire it is a number of US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Cost(u64);

/// An amount of money that is none.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{} is no amount of US dollars: it must be 0 or more, and no more than 1000000", shown(*.0))]
pub struct InvalidCost(f64);

/// Numbers from here on are shown with an exponent.
const LARGE: f64 = 1e15;

fn shown(number: f64) -> String {
    if number.abs() < LARGE { number.to_string() } else { format!("{number:e}") }
}

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that is taken, in US dollars: far above any run, far below what overflows.
    pub const MAX_USD: f64 = 1e6;

    /// What `tokens` cost at this price of a million of them; more than can be counted is the most that can.
    #[must_use]
    pub fn per_million(self, tokens: u64) -> Self {
        const MILLION: u128 = 1_000_000;
        let units = u128::from(self.0) * u128::from(tokens) / MILLION;
        Self(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Whether there is nothing to pay.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<f64> for Cost {
    type Error = InvalidCost;

    fn try_from(usd: f64) -> Result<Self, InvalidCost> {
        if !(0.0..=Self::MAX_USD).contains(&usd) {
            return Err(InvalidCost(usd));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked")]
        Ok(Self((usd * UNITS_PER_USD).round() as u64))
    }
}

impl From<Cost> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "sixteen digits of an amount of money are enough")]
    fn from(cost: Cost) -> Self {
        cost.0 as Self / UNITS_PER_USD
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usd = f64::from(*self);
        if self.0.is_multiple_of(UNITS_PER_SHOWN) || self.0 >= FINE {
            return write!(f, "{usd:.SHOWN_DIGITS$} USD");
        }
        let exact = format!("{usd:.UNIT_DIGITS$}");
        write!(f, "{} USD", exact.trim_end_matches('0'))
    }
}

/// What a run may cost; a limit that is not set is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The most money that its calls of models may cost together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<Cost>,
    /// The most tokens that its calls of models may use together, sent and received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

impl Budget {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The tighter of the limits of both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self {
            max_cost_usd: tighter(self.max_cost_usd, other.max_cost_usd),
            max_tokens: tighter(self.max_tokens, other.max_tokens),
        }
    }
}

fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(amount: f64) -> Cost {
        Cost::try_from(amount).unwrap()
    }

    #[test]
    fn tokens_cost_their_part_of_a_million() {
        assert_eq!(usd(0.25).per_million(1_000_000), usd(0.25));
        assert_eq!(usd(0.0125).per_million(3), usd(0.000_000_037_5));
        assert_eq!(Cost(u64::MAX).per_million(u64::MAX), Cost(u64::MAX));
        assert_eq!(usd(0.1).plus(usd(0.2)), usd(0.3), "no dust of fractions");
    }

    #[test]
    fn an_amount_travels_as_a_number_of_dollars() {
        assert_eq!(serde_json::to_string(&usd(0.000_375)).unwrap(), "0.000375");
        for wrong in ["-0.1", "1e7", "\"1\""] {
            assert!(serde_json::from_str::<Cost>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(usd(1.5).to_string(), "1.500000 USD");
    }

    #[test]
    fn an_amount_is_shown_with_as_many_digits_as_it_needs() {
        for (amount, shown) in [
            (0.0, "0.000000 USD"),
            (0.000_001, "0.000001 USD"),
            (0.000_000_037_5, "0.0000000375 USD"),
            (0.000_001_5, "0.0000015 USD"),
            (12.345_678_9, "12.345679 USD"),
            (1e6, "1000000.000000 USD"),
        ] {
            assert_eq!(usd(amount).to_string(), shown);
        }
        let wrong = Cost::try_from(1e300).unwrap_err().to_string();
        assert!(wrong.starts_with("1e300 is no amount of US dollars"), "{wrong}");
        assert!(Cost::try_from(-1.5).unwrap_err().to_string().starts_with("-1.5 is"));
    }

    #[test]
    fn of_two_budgets_the_tighter_limit_counts() {
        let money = Budget { max_cost_usd: Some(usd(1.0)), max_tokens: None };
        let both = Budget { max_cost_usd: Some(usd(2.0)), max_tokens: Some(5) };
        assert_eq!(money.within(both), Budget { max_cost_usd: Some(usd(1.0)), max_tokens: Some(5) });
    }
}
