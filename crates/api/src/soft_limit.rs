//! Soft limits: an amount, or a part of the hard limit.

use std::fmt;

use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A limit that is only told: `800000`, or `"80%"` of the hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLimit {
    /// An amount.
    Amount(u64),
    /// Hundredths of the hard limit, 1 to 100.
    Percent(u8),
}

impl Serialize for SoftLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Amount(amount) => serializer.serialize_u64(*amount),
            Self::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for SoftLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountOrPart;
        impl Visitor<'_> for AmountOrPart {
            type Value = SoftLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a percentage such as \"80%\"")
            }

            fn visit_u64<E: serde::de::Error>(self, amount: u64) -> Result<SoftLimit, E> {
                Ok(SoftLimit::Amount(amount))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SoftLimit, E> {
                let digits = text.strip_suffix('%').filter(|digits| !digits.starts_with(['0', '+']));
                match digits.and_then(|digits| digits.parse().ok()) {
                    Some(percent @ 1..=100) => Ok(SoftLimit::Percent(percent)),
                    Some(percent) => {
                        Err(E::custom(format_args!("{percent}% is out of range, expected 1% to 100%")))
                    }
                    None => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(AmountOrPart)
    }
}
