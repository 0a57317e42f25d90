//! Amounts: what is spent, held and allowed, by dimension.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use crate::{AMOUNT_MAX, Code, DIMENSION_BYTES, DIMENSIONS, Problem, check};

/// Whole numbers by dimension: `usd_micros`, `input_tokens`, `output_tokens`, `calls`, or any other name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amounts(pub BTreeMap<String, u64>);

impl Amounts {
    /// Amounts by name.
    pub fn of<N: Into<String>>(amounts: impl IntoIterator<Item = (N, u64)>) -> Self {
        Self(amounts.into_iter().map(|(name, amount)| (name.into(), amount)).collect())
    }

    /// The amount in a dimension; 0 if it is not named.
    pub fn get(&self, dimension: &str) -> u64 {
        self.0.get(dimension).copied().unwrap_or(0)
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks names and sizes. Fields are named within the amounts; the caller says which those are.
    pub fn validate(&self, field: &str) -> Result<(), Problem> {
        check::count(field, self.0.len(), DIMENSIONS)?;
        for (dimension, amount) in &self.0 {
            check_dimension(field, dimension)?;
            check_amount(*amount).map_err(|problem| problem.at(format!("{field}.{dimension}")))?;
        }
        Ok(())
    }

    /// The same, and at least one dimension.
    pub(crate) fn validate_some(&self, field: &str) -> Result<(), Problem> {
        if self.is_empty() {
            return Err(Problem::invalid(field, "expected at least one dimension, for example `usd_micros`"));
        }
        self.validate(field)
    }
}

/// An amount that an integer of any client can hold.
pub(crate) fn check_amount(amount: u64) -> Result<(), Problem> {
    if amount <= AMOUNT_MAX {
        return Ok(());
    }
    Err(Problem::new(Code::AmountOverflow, format!("the amount is larger than {AMOUNT_MAX}")))
}

/// The name of a dimension.
pub(crate) fn check_dimension(field: &str, text: &str) -> Result<(), Problem> {
    let is_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=DIMENSION_BYTES).contains(&text.len()) && text.bytes().all(is_byte) {
        return Ok(());
    }
    let detail = format!("dimensions have 1 to {DIMENSION_BYTES} characters of a-z 0-9 _ . -");
    Err(Problem::invalid(field, detail))
}

/// An amount as it is read: what is too large for the type is too large for the API, and is told as such.
#[derive(Clone, Copy)]
pub(crate) struct Amount(pub(crate) u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, 0 or more")
            }

            fn visit_u64<E: serde::de::Error>(self, amount: u64) -> Result<Amount, E> {
                Ok(Amount(amount))
            }

            fn visit_f64<E: serde::de::Error>(self, amount: f64) -> Result<Amount, E> {
                // 2^64: only what no u64 holds is read as one of these, or what has a fraction or an exponent.
                if amount >= 18_446_744_073_709_551_616.0 {
                    return Ok(Amount(u64::MAX));
                }
                Err(E::invalid_type(Unexpected::Float(amount), &self))
            }
        }
        deserializer.deserialize_u64(Whole)
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName;
        impl<'de> Visitor<'de> for ByName {
            type Value = Amounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of amounts by dimension")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Amounts, A::Error> {
                let mut read = BTreeMap::new();
                while let Some((dimension, Amount(amount))) = map.next_entry::<String, Amount>()? {
                    match read.entry(dimension) {
                        Entry::Vacant(free) => _ = free.insert(amount),
                        Entry::Occupied(taken) => {
                            let detail = format!("at `{}`: the dimension stands there twice", taken.key());
                            return Err(A::Error::custom(detail));
                        }
                    }
                }
                Ok(Amounts(read))
            }
        }
        deserializer.deserialize_map(ByName)
    }
}
