//! What attempts of a kind have cost: a histogram of what they settled, from which holds are estimated.

use minicbor::{Decode, Encode};

use super::amounts::Amounts;

/// So many attempts must have settled before their costs are an estimate.
pub const ESTIMATED_FROM: u32 = 10;

/// With so many counted all counts are halved, so that what was long ago matters less.
const HALVED_AT: u32 = 1_000;

/// Buckets of each power of two: an estimate is at most a quarter too high.
const PARTS: u64 = 4;

/// Costs by dimension, counted in buckets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Estimate {
    /// Attempts counted, the halved ones by half.
    #[n(0)]
    pub count: u32,
    /// By dimension: bucket and count, in the order of buckets.
    #[n(1)]
    pub costs: Vec<(String, Vec<(u16, u32)>)>,
}

impl Estimate {
    /// Counts what an attempt has cost.
    pub fn record(&mut self, cost: &Amounts) {
        if self.count >= HALVED_AT {
            self.count /= 2;
            for (_, buckets) in &mut self.costs {
                buckets.iter_mut().for_each(|(_, count)| *count /= 2);
                buckets.retain(|(_, count)| *count > 0);
            }
        }
        self.count += 1;
        for (dimension, amount) in cost.iter() {
            let place = match self.costs.iter().position(|(name, _)| name == dimension) {
                Some(place) => place,
                None => {
                    self.costs.push((dimension.to_owned(), Vec::new()));
                    self.costs.len() - 1
                }
            };
            let Some((_, buckets)) = self.costs.get_mut(place) else { continue };
            let bucket = bucket(amount);
            match buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => _ = buckets.get_mut(at).map(|(_, count)| *count += 1),
                Err(at) => buckets.insert(at, (bucket, 1)),
            }
        }
    }

    /// What 95 of 100 attempts did not exceed, rounded up to a bucket; none until enough were counted. Attempts that cost
    /// nothing in a dimension count as 0.
    pub fn p95(&self) -> Option<Amounts> {
        if self.count < ESTIMATED_FROM {
            return None;
        }
        let beyond = u64::from(self.count) * 5 / 100;
        let amounts = self.costs.iter().map(|(dimension, buckets)| {
            let mut above = 0;
            for (bucket, count) in buckets.iter().rev() {
                above += u64::from(*count);
                if above > beyond {
                    return (dimension.as_str(), top(*bucket));
                }
            }
            (dimension.as_str(), 0)
        });
        Some(Amounts::of(amounts))
    }
}

/// Which bucket an amount falls into: those below 4 each have their own.
fn bucket(amount: u64) -> u16 {
    if amount < PARTS {
        return amount as u16;
    }
    let power = u64::from(amount.ilog2());
    let part = (amount >> (power - 2)) & (PARTS - 1);
    ((power - 1) * PARTS + part) as u16
}

/// The largest amount of a bucket.
fn top(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < PARTS {
        return bucket;
    }
    let (power, part) = (bucket / PARTS + 1, bucket % PARTS);
    let next = u128::from(PARTS + part + 1) << (power - 2);
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_falls_into_it_and_is_at_most_a_quarter_too_high() {
        for amount in (0..2_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let top = top(bucket(amount));
            assert!(top >= amount && u128::from(top) * 4 <= u128::from(amount) * 5 + 4, "{amount} {top}");
            assert!(bucket(top) == bucket(amount), "{amount}");
        }
    }

    #[test]
    fn the_estimate_is_what_most_did_not_exceed() {
        let mut estimate = Estimate::default();
        for n in 0..9 {
            estimate.record(&Amounts::of([("usd_micros", n)]));
            assert_eq!(estimate.p95(), None);
        }
        for n in 9..100 {
            estimate.record(&Amounts::of([("usd_micros", n)]));
        }
        let p95 = estimate.p95().unwrap().get("usd_micros");
        assert!((94..=120).contains(&p95), "{p95}");
        for _ in 0..2_000 {
            estimate.record(&Amounts::default());
        }
        assert_eq!(estimate.p95().unwrap().get("usd_micros"), 0, "what is long ago is forgotten");
    }
}
