//! Groups of ready work that the same workers can serve, and the predicates that say which workers those are.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use winnow::ascii::{dec_int, multispace0};
use winnow::combinator::{alt, delimited, eof, opt, preceded, separated, terminated};
use winnow::prelude::*;
use winnow::token::{literal, take_while};

/// Ready work is grouped by what a worker must offer to run it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Group {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Lane.
    pub lane: Arc<str>,
    /// Kind: which handler.
    pub kind: Arc<str>,
    /// All of these must hold for the worker, in the order given.
    pub requires: Vec<Requirement>,
}

/// A predicate on a worker's capabilities: `gpu`, `not spot`, `region in (eu, us)`, `region = eu`, `mem_gb >= 16`.
/// Numbers are integers.
#[derive(Clone, Debug)]
pub struct Requirement {
    text: String,
    negated: bool,
    name: String,
    test: Test,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Test {
    Present,
    In(Vec<String>),
    Compare(Comparison, i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Less,
    AtMost,
    AtLeast,
    Greater,
}

/// Why a predicate can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is not a requirement; write `name`, `not name`, `name = value`, `name in (a, b)` or `name >= 16`"
)]
pub struct RequirementError {
    /// What was given.
    pub text: String,
}

impl Requirement {
    /// Reads a predicate.
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        let (negated, name, test) =
            predicate.parse(text).map_err(|_| RequirementError { text: text.to_owned() })?;
        Ok(Self { text: text.trim().to_owned(), negated, name: name.to_owned(), test })
    }

    /// The predicate as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a worker with these capabilities fulfils it. A capability without a value compares with nothing.
    pub fn holds(&self, worker: &Capabilities) -> bool {
        let value = worker.0.get(&self.name);
        let holds = match (&self.test, value) {
            (_, None) => false,
            (Test::Present, Some(_)) => true,
            (Test::In(values), Some(value)) => value.as_ref().is_some_and(|v| values.contains(v)),
            (Test::Compare(comparison, bound), Some(value)) => {
                value.as_ref().and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| match comparison {
                    Comparison::Less => v < *bound,
                    Comparison::AtMost => v <= *bound,
                    Comparison::AtLeast => v >= *bound,
                    Comparison::Greater => v > *bound,
                })
            }
        };
        holds != self.negated
    }
}

impl PartialEq for Requirement {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Requirement {}
impl PartialOrd for Requirement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Requirement {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a worker says of itself: `gpu`, `region=eu`, `mem_gb=64`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Capabilities(BTreeMap<String, Option<String>>);

impl Capabilities {
    /// Reads `name` and `name=value`; of a name given twice the last counts.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            texts
                .into_iter()
                .map(|text| match text.split_once('=') {
                    Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
                    None => (text.trim().to_owned(), None),
                })
                .collect(),
        )
    }

    /// Whether every requirement of the group holds.
    pub fn can_serve(&self, group: &Group) -> bool {
        group.requires.iter().all(|r| r.holds(self))
    }
}

fn word<'a>(input: &mut &'a str) -> ModalResult<&'a str> {
    take_while(1.., |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c)).parse_next(input)
}

fn token<'a>(text: &'static str) -> impl FnMut(&mut &'a str) -> ModalResult<&'a str> {
    move |input| delimited(multispace0, literal(text), multispace0).parse_next(input)
}

fn comparison(input: &mut &str) -> ModalResult<Test> {
    let comparison = alt((
        token("<=").value(Comparison::AtMost),
        token(">=").value(Comparison::AtLeast),
        token("<").value(Comparison::Less),
        token(">").value(Comparison::Greater),
    ))
    .parse_next(input)?;
    dec_int.map(|bound| Test::Compare(comparison, bound)).parse_next(input)
}

fn predicate<'a>(input: &mut &'a str) -> ModalResult<(bool, &'a str, Test)> {
    multispace0.parse_next(input)?;
    let negated = opt(terminated(literal("not"), winnow::ascii::multispace1)).parse_next(input)?.is_some();
    let name = word.parse_next(input)?;
    let test = alt((
        comparison,
        preceded(token("="), word).map(|value| Test::In(vec![value.to_owned()])),
        preceded(
            (winnow::ascii::multispace1, token("in"), token("(")),
            terminated(separated(1.., word.map(str::to_owned), token(",")), token(")")),
        )
        .map(Test::In),
        (multispace0, eof).value(Test::Present),
    ))
    .parse_next(input)?;
    multispace0.parse_next(input)?;
    Ok((negated, name, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_hold_as_they_read() {
        let worker = Capabilities::parse(["gpu", "region=eu", "mem_gb=64"]);
        for (text, holds) in [
            ("gpu", true),
            ("not gpu", false),
            ("spot", false),
            ("not spot", true),
            ("region = eu", true),
            ("region in (eu, us)", true),
            ("region in (us)", false),
            ("not region in (us,ap)", true),
            ("mem_gb >= 64", true),
            ("mem_gb>64", false),
            (" mem_gb < 65 ", true),
            ("mem_gb <= 63", false),
            ("region >= 1", false),
            ("gpu >= 1", false),
            ("nothing", false),
        ] {
            assert_eq!(Requirement::parse(text).unwrap().holds(&worker), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_predicate_is_refused() {
        for text in [
            "",
            "not",
            "not ",
            "a b",
            "a in",
            "a in ()",
            "a in (b",
            "a >= x",
            "a = ",
            "(a)",
            "a >= 1 2",
            "a in (b,)",
        ] {
            let parsed = Requirement::parse(text);
            // `not` alone reads as a capability of that name.
            assert!(parsed.is_err() || text.trim() == "not", "{text}: {parsed:?}");
        }
    }
}
