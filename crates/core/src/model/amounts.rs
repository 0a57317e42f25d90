//! Amounts: what is spent, held and allowed, by dimension.

use std::cmp::Ordering;
use std::sync::Arc;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{self, Encoder, Write};
use minicbor::{Decode, Encode};

/// Dimensions that one budget, hold or charge may have: each is a row in every window it touches.
pub const DIMENSIONS_MAX: usize = 16;

/// Dimensions that a sum of amounts may have: it stands in records that are always in memory.
pub const SUM_DIMENSIONS_MAX: usize = 64;

/// Longest name of a dimension, in bytes.
pub const DIMENSION_BYTES_MAX: usize = 64;

/// Unsigned integers by dimension (`usd_micros`, `input_tokens`, ..., or any other name), sorted by name. What is not
/// named is zero, and no zeros are kept, so that equal amounts are equal values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Amounts(Vec<(Arc<str>, u64)>);

/// A sum that does not fit: it is more than 64 bits hold, or has too many dimensions.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the sum of `{dimension}` does not fit in 64 bits, or into {SUM_DIMENSIONS_MAX} dimensions")]
pub struct AmountOverflow {
    /// The dimension it happened in.
    pub dimension: String,
}

/// Why amounts can't be accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountsError {
    /// A name that is none.
    #[error("`{name}` is no dimension; use 1 to {DIMENSION_BYTES_MAX} of a-z, 0-9, `_`, `.`, `-`")]
    Name {
        /// What was given.
        name: String,
    },
    /// Too many of them.
    #[error("{count} dimensions are more than {DIMENSIONS_MAX}")]
    Many {
        /// How many were given.
        count: usize,
    },
}

/// The dimensions of two amounts in order, each once, with its value in both.
struct Both<'a> {
    left: &'a [(Arc<str>, u64)],
    right: &'a [(Arc<str>, u64)],
}

impl Amounts {
    /// Amounts by name; of a name given twice the last counts.
    pub fn of<'a>(amounts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        Self::sorted(amounts.into_iter().map(|(name, n)| (Arc::from(name), n)).collect())
    }

    /// Fails unless every name is one and there are at most [`DIMENSIONS_MAX`]: for amounts that come from outside.
    pub fn check(&self) -> Result<(), AmountsError> {
        if self.0.len() > DIMENSIONS_MAX {
            return Err(AmountsError::Many { count: self.0.len() });
        }
        match self.0.iter().find(|(name, _)| !is_dimension(name)) {
            Some((name, _)) => Err(AmountsError::Name { name: name.to_string() }),
            None => Ok(()),
        }
    }

    /// The amount in a dimension.
    pub fn get(&self, dimension: &str) -> u64 {
        self.iter().find(|(name, _)| *name == dimension).map_or(0, |(_, n)| n)
    }

    /// Every dimension that is not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, n)| (&**name, *n))
    }

    /// Whether it is nothing at all.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of `other`, or changes nothing.
    pub fn add(&mut self, other: &Self) -> Result<(), AmountOverflow> {
        let is_wide = self.0.len() + other.0.len() > SUM_DIMENSIONS_MAX
            && self.both(other).count() > SUM_DIMENSIONS_MAX;
        for (name, here, there) in self.both(other) {
            let is_too_many = is_wide && here == 0 && there > 0;
            if here.checked_add(there).is_none() || is_too_many {
                return Err(AmountOverflow { dimension: name.to_string() });
            }
        }
        let mut at = 0;
        for (name, n) in &other.0 {
            at = self.place(name, at);
            match self.0.get_mut(at) {
                Some((here, sum)) if here == name => *sum = sum.saturating_add(*n),
                _ => self.0.insert(at, (name.clone(), *n)),
            }
        }
        Ok(())
    }

    /// Takes `other` off, down to zero at most.
    pub fn take(&mut self, other: &Self) {
        let mut at = 0;
        for (name, n) in &other.0 {
            at = self.place(name, at);
            if let Some((here, rest)) = self.0.get_mut(at)
                && here == name
            {
                *rest = rest.saturating_sub(*n);
            }
        }
        self.0.retain(|(_, n)| *n != 0);
    }

    /// What is left when `other` is taken off: zero where `other` is more.
    pub fn less(&self, other: &Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    /// The smaller of both in every dimension.
    pub fn at_most(&self, other: &Self) -> Self {
        self.each(other, u64::min)
    }

    /// The larger of both in every dimension.
    pub fn or_more(&self, other: &Self) -> Self {
        self.each(other, u64::max)
    }

    /// Whether it is at least `other` in every dimension.
    pub fn covers(&self, other: &Self) -> bool {
        self.both(other).all(|(_, here, there)| here >= there)
    }

    fn each(&self, other: &Self, merge: impl Fn(u64, u64) -> u64) -> Self {
        Self(
            self.both(other)
                .map(|(name, here, there)| (name, merge(here, there)))
                .filter(|(_, n)| *n != 0)
                .map(|(name, n)| (name.clone(), n))
                .collect(),
        )
    }

    fn both<'a>(&'a self, other: &'a Self) -> Both<'a> {
        Both { left: &self.0, right: &other.0 }
    }

    /// Where `name` is or would be, at `from` or later.
    fn place(&self, name: &Arc<str>, from: usize) -> usize {
        from + self.0.iter().skip(from).take_while(|(here, _)| here < name).count()
    }

    fn sorted(mut amounts: Vec<(Arc<str>, u64)>) -> Self {
        // Stable, so the last of equal names comes first when read from the end.
        amounts.sort_by(|(a, _), (b, _)| a.cmp(b));
        amounts.reverse();
        amounts.dedup_by(|(a, _), (b, _)| a == b);
        amounts.retain(|(_, n)| *n != 0);
        amounts.reverse();
        Self(amounts)
    }
}

/// Whether a dimension may be called this.
fn is_dimension(name: &str) -> bool {
    (1..=DIMENSION_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
}

impl<'a> Iterator for Both<'a> {
    type Item = (&'a Arc<str>, u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.left.first(), self.right.first()) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let left = if order.is_le() { next(&mut self.left) } else { None };
        let right = if order.is_ge() { next(&mut self.right) } else { None };
        let (name, _) = left.or(right)?;
        Some((name, left.map_or(0, |(_, n)| *n), right.map_or(0, |(_, n)| *n)))
    }
}

fn next<'a, T>(items: &mut &'a [T]) -> Option<&'a T> {
    let (first, rest) = items.split_first()?;
    *items = rest;
    Some(first)
}

impl<C> Encode<C> for Amounts {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.map(self.0.len() as u64)?;
        for (name, n) in &self.0 {
            e.str(name)?.u64(*n)?;
        }
        Ok(())
    }

    fn is_nil(&self) -> bool {
        self.is_zero()
    }
}

/// A record leaves a field out that is zero.
impl<'b, C> Decode<'b, C> for Amounts {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, Error> {
        let mut amounts = Vec::new();
        for amount in d.map_iter_with::<C, &str, u64>(context)? {
            let (name, n) = amount?;
            amounts.push((Arc::from(name), n));
        }
        Ok(Self::sorted(amounts))
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<String, u64>;

    fn model(amounts: &Amounts) -> Model {
        amounts.iter().map(|(name, n)| (name.to_owned(), n)).collect()
    }

    fn some() -> impl Strategy<Value = Amounts> {
        let n = prop_oneof![0..4_u64, Just(u64::MAX - 1), Just(u64::MAX)];
        proptest::collection::vec(("[a-e]", n), 0..6)
            .prop_map(|all| Amounts::of(all.iter().map(|(name, n)| (name.as_str(), *n))))
    }

    #[test]
    fn the_last_of_a_name_counts_and_zeros_are_dropped() {
        let amounts = Amounts::of([("b", 1), ("a", 2), ("b", 3), ("c", 4), ("c", 0)]);
        assert_eq!(amounts.iter().collect::<Vec<_>>(), [("a", 2), ("b", 3)]);
        assert_eq!(amounts, Amounts::of([("a", 2), ("b", 3)]));
        assert!(Amounts::of([("a", 0)]).is_zero());
    }

    #[test]
    fn a_sum_that_overflows_changes_nothing() {
        let mut amounts = Amounts::of([("a", 1), ("b", u64::MAX)]);
        let before = amounts.clone();
        let error = amounts.add(&Amounts::of([("a", 1), ("b", 1), ("c", 1)])).unwrap_err();
        assert_eq!((error.dimension.as_str(), &amounts), ("b", &before));
    }

    #[test]
    fn a_sum_has_so_many_dimensions_and_no_more() {
        let mut sum = Amounts::default();
        let name = |n: usize| format!("d{n:02}");
        for n in (0..SUM_DIMENSIONS_MAX).rev() {
            sum.add(&Amounts::of([(name(n).as_str(), 1)])).unwrap();
        }
        let before = sum.clone();
        for other in ["a", "z"] {
            sum.add(&Amounts::of([(other, 1)])).unwrap_err();
            assert_eq!(sum, before);
        }
        sum.add(&before).unwrap();
        assert_eq!((sum.get("d00"), sum.get("d63")), (2, 2));
    }

    #[test]
    fn names_and_their_number_are_checked() {
        let long = "x".repeat(DIMENSION_BYTES_MAX);
        assert_eq!(Amounts::of([("usd_micros", 1), ("a.b-9", 1), (&long, 1)]).check(), Ok(()));
        for name in ["", "Usd", "a b", "a/b", &format!("{long}x")] {
            assert_eq!(
                Amounts::of([(name, 1)]).check(),
                Err(AmountsError::Name { name: name.to_owned() }),
                "{name}"
            );
        }
        let names: Vec<String> = (0..=DIMENSIONS_MAX).map(|n| format!("d{n}")).collect();
        let many = Amounts::of(names.iter().map(|name| (name.as_str(), 1)));
        assert_eq!(many.check(), Err(AmountsError::Many { count: DIMENSIONS_MAX + 1 }));
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_a_map(a in some(), b in some()) {
            let get = |amounts: &Model, name: &str| amounts.get(name).copied().unwrap_or(0);
            let (left, right) = (model(&a), model(&b));
            let names: Vec<&String> = left.keys().chain(right.keys()).collect();
            let each = |merge: fn(u64, u64) -> u64| -> Model {
                names
                    .iter()
                    .map(|name| ((*name).clone(), merge(get(&left, name), get(&right, name))))
                    .filter(|(_, n)| *n != 0)
                    .collect()
            };

            let mut sum = a.clone();
            let fits = names.iter().all(|name| get(&left, name).checked_add(get(&right, name)).is_some());
            prop_assert_eq!(sum.add(&b).is_ok(), fits);
            prop_assert_eq!(model(&sum), if fits { each(u64::wrapping_add) } else { left.clone() });

            let mut rest = a.clone();
            rest.take(&b);
            prop_assert_eq!(&rest, &a.less(&b));
            prop_assert_eq!(model(&rest), each(u64::saturating_sub));
            prop_assert_eq!(model(&a.at_most(&b)), each(u64::min));
            prop_assert_eq!(model(&a.or_more(&b)), each(u64::max));
            prop_assert_eq!(a.covers(&b), names.iter().all(|name| get(&left, name) >= get(&right, name)));
            for name in ["a", "b", "c", "d", "e", "f"] {
                prop_assert_eq!(a.get(name), get(&left, name));
            }

            let bytes = minicbor::to_vec(&a).unwrap();
            prop_assert_eq!(minicbor::decode::<Amounts>(&bytes).unwrap(), a);
        }
    }
}
