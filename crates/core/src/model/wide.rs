//! Sums that no ledger can overflow: what a report adds up need not fit into an amount.

use std::collections::BTreeMap;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

use super::amounts::Amounts;

/// Sums by dimension.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wide(BTreeMap<String, u128>);

impl Wide {
    /// Adds amounts.
    pub fn add(&mut self, amounts: &Amounts) {
        for (dimension, amount) in amounts.iter() {
            self.add_to(dimension, u128::from(amount));
        }
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        for (dimension, sum) in &other.0 {
            self.add_to(dimension, *sum);
        }
    }

    /// Every dimension that is not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u128)> {
        self.0.iter().map(|(dimension, sum)| (dimension.as_str(), *sum))
    }

    /// Whether it is nothing at all.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn add_to(&mut self, dimension: &str, more: u128) {
        match self.0.get_mut(dimension) {
            Some(sum) => *sum = sum.saturating_add(more),
            None => _ = self.0.insert(dimension.to_owned(), more),
        }
    }
}

/// A sum is a number, or an array of its upper and its lower 64 bits.
impl<C> Encode<C> for Wide {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.map(self.0.len() as u64)?;
        for (dimension, sum) in &self.0 {
            e.str(dimension)?;
            match u64::try_from(*sum) {
                Ok(sum) => e.u64(sum)?,
                Err(_) => e.array(2)?.u64((*sum >> 64) as u64)?.u64(*sum as u64)?,
            };
        }
        Ok(())
    }

    fn is_nil(&self) -> bool {
        self.is_zero()
    }
}

/// A record leaves a field out that is zero.
impl<'b, C> Decode<'b, C> for Wide {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let mut sums = BTreeMap::new();
        let length = d.map()?.ok_or_else(|| Error::message("a map of sums says how long it is"))?;
        for _ in 0..length {
            let dimension = d.str()?.to_owned();
            let sum = if d.datatype()? == minicbor::data::Type::Array {
                if d.array()? != Some(2) {
                    return Err(Error::message("a wide sum has two halves"));
                }
                (u128::from(d.u64()?) << 64) | u128::from(d.u64()?)
            } else {
                u128::from(d.u64()?)
            };
            sums.insert(dimension, sum);
        }
        Ok(Self(sums))
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_goes_beyond_an_amount_and_reads_back() {
        let mut sums = Wide::default();
        for _ in 0..3 {
            sums.add(&Amounts::of([("calls", 1), ("usd", u64::MAX)]));
        }
        let known: Vec<_> = sums.iter().collect();
        assert_eq!(known, [("calls", 3), ("usd", 3 * u128::from(u64::MAX))]);
        let bytes = minicbor::to_vec(&sums).unwrap();
        assert_eq!(minicbor::decode::<Wide>(&bytes).unwrap(), sums);
        let mut twice = sums.clone();
        twice.merge(&sums);
        assert_eq!(twice.iter().map(|(_, sum)| sum).sum::<u128>(), 6 * (u128::from(u64::MAX) + 1));
    }
}
