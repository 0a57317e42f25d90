//! `GET /v1/doctor`: what is not as it should be.

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    /// As it should be.
    Ok,
    /// It works, and something is worth knowing.
    Warning,
    /// Something has to be done.
    Problem,
}

impl CheckLevel {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// What was looked at: the same words each time.
    pub name: String,
    /// How it is.
    pub level: CheckLevel,
    /// What was found.
    pub detail: String,
    /// What to do, unless it is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), level: CheckLevel::Ok, detail: detail.into(), remedy: None }
    }

    /// Worth knowing.
    pub fn warning(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.to_owned(), level: CheckLevel::Warning, detail: detail.into(), remedy }
    }

    /// To be mended.
    pub fn problem(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.to_owned(), level: CheckLevel::Problem, detail: detail.into(), remedy }
    }
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DoctorReply {
    /// The worst of them.
    pub level: CheckLevel,
    /// One after the other.
    pub checks: Vec<Check>,
}

impl From<Vec<Check>> for DoctorReply {
    fn from(checks: Vec<Check>) -> Self {
        let level = checks.iter().map(|check| check.level).max().unwrap_or(CheckLevel::Ok);
        Self { level, checks }
    }
}
