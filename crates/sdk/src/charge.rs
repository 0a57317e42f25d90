//! What was spent.

use stint_api::{Amounts, Usage};

use crate::Reported;

/// Something that was spent: amounts, or a model's usage that the server prices.
///
/// ```
/// use stint::api::Amounts;
/// use stint::{Charge, Usage};
///
/// // So much, under an id of one's own.
/// let search = Charge::from(Amounts::of([("usd_micros", 5_000), ("calls", 1)])).id("search-17").step("search");
/// // What a model used, priced by the server's table.
/// let tokens = Charge::from(Usage { model: "m".into(), input_tokens: 90, output_tokens: 12, ..Usage::default() });
/// // A provider's answer says all there is to say, its id included.
/// let answer = serde_json::json!({"id": "c1", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
/// let answered = Charge::from(&answer);
/// # let _ = (search, tokens, answered);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a charge does nothing until it is said"]
pub struct Charge {
    pub(crate) id: Option<String>,
    pub(crate) spent: Option<Spent>,
    pub(crate) step: Option<String>,
}

/// How it is known what was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    Amounts(Amounts),
    Usage(Usage),
}

impl Charge {
    fn of(spent: Option<Spent>) -> Self {
        Self { id: None, spent, step: None }
    }

    /// Its id: the same charge said again under it counts once. A provider's response id is a good one, and is taken by
    /// itself out of what a provider answered.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The journaled step that it belongs to. What is charged inside of a step belongs to it without this.
    pub fn step(mut self, key: impl Into<String>) -> Self {
        self.step = Some(key.into());
        self
    }
}

impl From<Amounts> for Charge {
    fn from(amounts: Amounts) -> Self {
        Self::of(Some(Spent::Amounts(amounts)))
    }
}

impl From<Usage> for Charge {
    fn from(usage: Usage) -> Self {
        Self::of(Some(Spent::Usage(usage)))
    }
}

impl From<Reported> for Charge {
    fn from(reported: Reported) -> Self {
        Self { id: reported.response_id, ..Self::from(reported.usage) }
    }
}

impl From<&serde_json::Value> for Charge {
    /// What a provider answered. If it does not say what it used, charging it fails: nobody knows is not nothing.
    fn from(response: &serde_json::Value) -> Self {
        Reported::from_json(response).map_or_else(|| Self::of(None), Self::from)
    }
}
