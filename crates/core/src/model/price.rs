//! Prices: what usage costs.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::amounts::Amounts;
use super::payload::Hash;

/// Money, in millionths of a dollar.
pub const USD_MICROS: &str = "usd_micros";

/// Tokens read, cached ones included.
pub const INPUT_TOKENS: &str = "input_tokens";

/// Tokens written.
pub const OUTPUT_TOKENS: &str = "output_tokens";

/// Calls made.
pub const CALLS: &str = "calls";

/// Calls that usage stands for, unless it says how many.
pub const DEFAULT_CALLS: u64 = 1;

/// Models that a table may price: every partition has a copy.
pub const MODELS_MAX: usize = 1_000;

/// Longest name of a model, in bytes.
pub const MODEL_BYTES_MAX: usize = 128;

/// Tokens that a price is for.
const TOKENS: u128 = 1_000_000;

/// What the operator says that usage costs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct PriceTable {
    /// Grows with every change; a charge records which one priced it.
    #[n(0)]
    pub version: u64,
    /// What becomes of usage that it has no price for.
    #[n(1)]
    pub unpriced: Unpriced,
    /// Prices by name of the model; a name that ends in `*` stands for all that begin with the rest.
    #[n(2)]
    pub models: BTreeMap<String, Price>,
}

/// What becomes of usage without a price. It never counts as zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Unpriced {
    /// The charge is refused.
    #[default]
    #[n(0)]
    Refuse,
    /// It is kept aside, visibly, until there is a price.
    #[n(1)]
    Quarantine,
}

/// What one model costs, in `usd_micros`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Price {
    /// For 1,000,000 tokens read.
    #[n(0)]
    pub input: u64,
    /// For 1,000,000 tokens read out of the provider's cache, if they cost something else.
    #[n(1)]
    pub cached_input: Option<u64>,
    /// For 1,000,000 tokens written into the provider's cache, if they cost something else.
    #[n(4)]
    pub cache_write: Option<u64>,
    /// For 1,000,000 tokens written.
    #[n(2)]
    pub output: u64,
    /// For each call.
    #[n(3)]
    pub call: u64,
}

/// What a provider says it has done.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Usage {
    /// Which model did it.
    #[n(0)]
    pub model: String,
    /// Tokens read, cached ones included.
    #[n(1)]
    pub input_tokens: u64,
    /// Those of them that came out of the provider's cache.
    #[n(2)]
    pub cached_input_tokens: u64,
    /// Others of them, that were written into it.
    #[n(5)]
    pub cache_write_tokens: u64,
    /// Tokens written.
    #[n(3)]
    pub output_tokens: u64,
    /// Calls it took.
    #[n(4)]
    pub calls: u64,
}

/// Why usage has no amounts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceError {
    /// No entry is for this model.
    #[error("the price table has no price for model `{model}`")]
    Unknown {
        /// The model.
        model: String,
    },
    /// It costs more than 64 bits hold.
    #[error("the price does not fit in 64 bits")]
    Overflow,
    /// More tokens came out of the cache, or went into it, than were read.
    #[error(
        "cached_input_tokens and cache_write_tokens are parts of input_tokens, and can't be more together"
    )]
    Inconsistent,
}

/// Why a table can't be accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceTableError {
    /// A name that no usage can match.
    #[error(
        "`{model}` can't be priced: names have 1 to {MODEL_BYTES_MAX} bytes without control characters, and `*` only at the end"
    )]
    Model {
        /// What was given.
        model: String,
    },
    /// Too many of them.
    #[error("{count} models are more than {MODELS_MAX}")]
    Many {
        /// How many were given.
        count: usize,
    },
}

impl Usage {
    /// Hash of all that it says.
    pub fn hash(&self) -> Hash {
        let Self { model, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, calls } =
            self;
        let text = format!(
            "{model}\0{input_tokens}\0{cached_input_tokens}\0{cache_write_tokens}\0{output_tokens}\0{calls}"
        );
        xxhash_rust::xxh3::xxh3_128(text.as_bytes()).to_be_bytes()
    }

    /// Tokens read that the provider's cache had no part in. `None` if more are said to be in it than were read.
    fn plain_input(&self) -> Option<u64> {
        self.input_tokens.checked_sub(self.cached_input_tokens)?.checked_sub(self.cache_write_tokens)
    }
}

impl PriceTable {
    /// Fails if a name can't be used, or there are too many: for tables that come from outside.
    pub fn check(&self) -> Result<(), PriceTableError> {
        if self.models.len() > MODELS_MAX {
            return Err(PriceTableError::Many { count: self.models.len() });
        }
        let usable = |model: &str| {
            (1..=MODEL_BYTES_MAX).contains(&model.len())
                && !model.chars().any(char::is_control)
                && !model.strip_suffix('*').unwrap_or(model).contains('*')
        };
        match self.models.keys().find(|model| !usable(model)) {
            Some(model) => Err(PriceTableError::Model { model: model.clone() }),
            None => Ok(()),
        }
    }

    /// The price of a model: that of its own name, else that of the longest beginning of it that ends in `*`.
    pub fn price(&self, model: &str) -> Option<&Price> {
        let beginning = |(name, price)| {
            let beginning = str::strip_suffix(name, "*")?;
            model.starts_with(beginning).then_some((beginning.len(), price))
        };
        self.models.get(model).or_else(|| {
            let all = self.models.iter().map(|(name, price)| (name.as_str(), price));
            all.filter_map(beginning).max_by_key(|(length, _)| *length).map(|(_, price)| price)
        })
    }

    /// What usage counts as in every dimension it has. Money is exact, and rounded up once at the end.
    pub fn amounts(&self, usage: &Usage) -> Result<Amounts, PriceError> {
        let price =
            self.price(&usage.model).ok_or_else(|| PriceError::Unknown { model: usage.model.clone() })?;
        let plain = usage.plain_input().ok_or(PriceError::Inconsistent)?;
        let money = price.of(plain, usage).ok_or(PriceError::Overflow)?;
        Ok(Amounts::of([
            (USD_MICROS, money),
            (INPUT_TOKENS, usage.input_tokens),
            (OUTPUT_TOKENS, usage.output_tokens),
            (CALLS, usage.calls),
        ]))
    }
}

impl Price {
    /// `None` if it does not fit.
    fn of(&self, plain: u64, usage: &Usage) -> Option<u64> {
        let tokens = [
            (plain, self.input),
            (usage.cache_write_tokens, self.cache_write.unwrap_or(self.input)),
            (usage.cached_input_tokens, self.cached_input.unwrap_or(self.input)),
            (usage.output_tokens, self.output),
        ];
        let calls = u128::from(usage.calls).checked_mul(u128::from(self.call))?.checked_mul(TOKENS)?;
        let all = tokens.iter().try_fold(calls, |sum, (tokens, price)| {
            sum.checked_add(u128::from(*tokens).checked_mul(u128::from(*price))?)
        })?;
        u64::try_from(all.div_ceil(TOKENS)).ok()
    }
}
