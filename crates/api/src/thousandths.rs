//! Decimals with at most three places, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A number of at least 0 with at most three decimals, counted in thousandths. It is read from the JSON
/// text itself, so that 1.005 is 1,005 and never what binary rounding makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thousandths(pub u32);

/// The text is not such a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of at least 0 with at most three decimals and no exponent, such as 1.5")]
pub struct ThousandthsError;

impl FromStr for Thousandths {
    type Err = ThousandthsError;

    fn from_str(text: &str) -> Result<Self, ThousandthsError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(ThousandthsError);
        }
        let thousandths = format!("{decimals:0<3}").parse::<u32>().map_err(|_| ThousandthsError)?;
        whole
            .parse::<u32>()
            .ok()
            .and_then(|whole| whole.checked_mul(1_000)?.checked_add(thousandths))
            .map(Self)
            .ok_or(ThousandthsError)
    }
}

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        text.get().parse().map_err(serde::de::Error::custom)
    }
}
