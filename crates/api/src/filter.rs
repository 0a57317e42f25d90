//! Which executions a list, a count or an action on many is about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::{objects_only, unique_keys};
use crate::{ERROR_TYPE_BYTES, ExecutionState, Instant, Problem, TAG_VALUE_BYTES, TAGS, check};

/// Conditions that must all hold; one without any is about everything in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExecutionFilter {
    /// In this state. `ready` is only what nothing holds back; the rest is `blocked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ExecutionState>,
    /// In this lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// With all of these tags.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Ended with an error of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Not before this instant: the end of those that have ended, else the submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
    /// Before this instant, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}

objects_only!(ExecutionFilter);

/// Before a tag's key in a query.
const TAG: &str = "tag.";

/// States that something in a list can be in, or will be in a later version.
pub(crate) const LISTED: [ExecutionState; 10] = [
    ExecutionState::Scheduled,
    ExecutionState::Blocked,
    ExecutionState::Ready,
    ExecutionState::Running,
    ExecutionState::Suspended,
    ExecutionState::Completed,
    ExecutionState::Failed,
    ExecutionState::Cancelled,
    ExecutionState::Expired,
    ExecutionState::Skipped,
];

impl ExecutionFilter {
    /// Checks names and sizes.
    pub fn validate(&self) -> Result<(), Problem> {
        if self.state.is_some_and(|state| !LISTED.contains(&state)) {
            return Err(no_state());
        }
        check::optional_name("lane", self.lane.as_ref())?;
        check::optional_name("kind", self.kind.as_ref())?;
        check::count("tags", self.tags.len(), TAGS)?;
        for (key, value) in &self.tags {
            check::name("tags", key)?;
            check::at_most(&format!("tags.{key}"), value, TAG_VALUE_BYTES)?;
        }
        self.error_type.as_ref().map_or(Ok(()), |text| check::text("error_type", text, ERROR_TYPE_BYTES))
    }

    /// Takes a parameter of a query: `state`, `lane`, `kind`, `tag.KEY`, `error_type`, `since` or `until`. False if
    /// it is none of these.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, Problem> {
        let twice =
            || Err(Problem::invalid(name, "the parameter stands there twice").remedy("Keep one of them."));
        if let Some(key) = name.strip_prefix(TAG) {
            check::name(name, key)?;
            check::at_most(name, value, TAG_VALUE_BYTES)?;
            let before = self.tags.insert(key.to_owned(), value.to_owned());
            return if before.is_some() { twice() } else { Ok(true) };
        }
        let is_new = match name {
            "state" => {
                let state = LISTED.iter().find(|state| state.as_str() == value).ok_or_else(no_state)?;
                self.state.replace(*state).is_none()
            }
            "lane" => self.lane.replace(value.to_owned()).is_none(),
            "kind" => self.kind.replace(value.to_owned()).is_none(),
            "error_type" => self.error_type.replace(value.to_owned()).is_none(),
            "since" => self.since.replace(instant(name, value)?).is_none(),
            "until" => self.until.replace(instant(name, value)?).is_none(),
            _ => return Ok(false),
        };
        if is_new { Ok(true) } else { twice() }
    }

    /// Itself as parameters of a query.
    pub fn query(&self) -> Vec<(String, String)> {
        let one = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), value));
        let known = [
            one("state", self.state.map(|state| state.to_string())),
            one("lane", self.lane.clone()),
            one("kind", self.kind.clone()),
            one("error_type", self.error_type.clone()),
            one("since", self.since.map(|at| at.to_string())),
            one("until", self.until.map(|at| at.to_string())),
        ];
        let tags = self.tags.iter().map(|(key, value)| (format!("{TAG}{key}"), value.clone()));
        known.into_iter().flatten().chain(tags).collect()
    }
}

fn no_state() -> Problem {
    let names: Vec<&str> = LISTED.iter().map(|state| state.as_str()).collect();
    Problem::invalid("state", format!("expected one of {}", names.join(", ")))
}

fn instant(name: &str, value: &str) -> Result<Instant, Problem> {
    let at = value.parse::<Instant>();
    at.map_err(|error| {
        let problem = Problem::invalid(name.to_owned(), error.to_string());
        // What was a plus before it was decoded.
        if value.contains(' ') {
            problem.remedy("Write `+` as `%2B` in a URL, or use UTC with `Z`.")
        } else {
            problem
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> ExecutionFilter {
        ExecutionFilter {
            state: Some(ExecutionState::Failed),
            lane: Some("mail".to_owned()),
            kind: Some("send".to_owned()),
            tags: [("team".to_owned(), "a=b&c d".to_owned()), ("run".to_owned(), String::new())].into(),
            error_type: Some("Broken pipe".to_owned()),
            since: Some(Instant::from_millis(1_000)),
            until: Some(Instant::from_millis(2_000)),
        }
    }

    #[test]
    fn a_query_reads_back() {
        let mut read = ExecutionFilter::default();
        for (name, value) in full().query() {
            assert_eq!(read.take(&name, &value), Ok(true), "{name}");
        }
        assert_eq!((read.validate(), &read), (Ok(()), &full()));
        assert_eq!(read.take("limit", "5"), Ok(false));
        assert!(ExecutionFilter::default().query().is_empty());
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (name, value) in [
            ("state", "trimmed"),
            ("state", "Ready"),
            ("since", "yesterday"),
            ("until", "2026-11-23T11:00:00 02:00"),
            ("tag.", "x"),
            ("tag.a b", "x"),
            ("tag.long", &"x".repeat(TAG_VALUE_BYTES + 1)),
        ] {
            let problem = ExecutionFilter::default().take(name, value).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(name), "{value}");
        }
        for (name, value) in full().query() {
            let problem = full().take(&name, &value).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(&*name), "twice");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        let tags = (0..=TAGS).map(|n| (n.to_string(), String::new())).collect();
        for (wrong, field) in [
            (ExecutionFilter { state: Some(ExecutionState::Trimmed), ..full() }, "state"),
            (ExecutionFilter { lane: Some(String::new()), ..full() }, "lane"),
            (ExecutionFilter { kind: Some("a b".to_owned()), ..full() }, "kind"),
            (ExecutionFilter { tags, ..full() }, "tags"),
            (ExecutionFilter { error_type: Some("\n".to_owned()), ..full() }, "error_type"),
        ] {
            assert_eq!(wrong.validate().unwrap_err().field.as_deref(), Some(field));
        }
        assert!(serde_json::from_str::<ExecutionFilter>(r#"{"namespace": "a"}"#).is_err());
        assert!(serde_json::from_str::<ExecutionFilter>(r#"["ready"]"#).is_err());
    }
}
