//! Profiles: which server a name stands for. A TOML file of the user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use config::{Config, File, FileFormat};
use serde::Deserialize;

use crate::exit::Failed;

/// What a profile says. What it leaves out has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Addresses of one server, or of several over one store.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    /// Whose everything is.
    pub(crate) namespace: Option<String>,
    /// How long to go on trying while no server answers.
    pub(crate) patience_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profiles {
    default: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// The profile of this name, or the file's default, or none. `file` is where the user says the file is; a file at
/// the usual place need not exist.
pub(crate) fn load(file: Option<&Path>, name: Option<&str>) -> Result<Profile> {
    let usual = usual_place();
    let path = match (file, &usual) {
        (Some(path), _) => path,
        (None, Some(path)) if name.is_some() || path.exists() => path,
        (None, None) if name.is_some() => {
            let what =
                "neither XDG_CONFIG_HOME nor HOME is set, so there is no place for profiles: use --config";
            return Err(Failed::Usage(what.to_owned()).into());
        }
        _ => return Ok(Profile::default()),
    };
    if let (None, Some(name), false) = (file, name, path.exists()) {
        let what = format!("there is no profile `{name}`: {} does not exist", path.display());
        return Err(Failed::Usage(what).into());
    }
    let mut read = read(path)?;
    let Some(name) = name.map(str::to_owned).or(read.default) else { return Ok(Profile::default()) };
    match read.profiles.remove(&name) {
        Some(profile) => Ok(profile),
        None => {
            let known: Vec<&str> = read.profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let what = format!("{} has no profile `{name}`; it has: {known}", path.display());
            Err(Failed::Usage(what).into())
        }
    }
}

fn read(path: &Path) -> Result<Profiles> {
    let source = File::from(path).format(FileFormat::Toml);
    let read = Config::builder().add_source(source).build().and_then(Config::try_deserialize);
    read.map_err(|error| {
        let example =
            "expected `default = \"NAME\"` and tables [profiles.NAME] with servers, namespace, patience_ms";
        Failed::Usage(format!("{}: {error}; {example}", path.display())).into()
    })
}

/// `$XDG_CONFIG_HOME/stint/config.toml`, else `~/.config/stint/config.toml`.
fn usual_place() -> Option<PathBuf> {
    let dir = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = dir("XDG_CONFIG_HOME").or_else(|| Some(dir("HOME")?.join(".config")))?;
    Some(base.join("stint").join("config.toml"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn load_text(text: &str, name: Option<&str>) -> Result<Profile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), name).map_err(|error| format!("{error:#}"))
    }

    const TWO: &str = r#"
        default = "Local"
        [profiles.Local]
        servers = ["http://127.0.0.1:7400"]
        [profiles.team]
        servers = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        namespace = "search"
        patience_ms = 5000
    "#;

    #[test]
    fn the_default_is_the_files_and_a_name_chooses() {
        let local = load_text(TWO, None).unwrap();
        assert_eq!(local.servers, ["http://127.0.0.1:7400"]);
        let team = load_text(TWO, Some("team")).unwrap();
        assert_eq!((team.servers.len(), team.namespace.as_deref()), (2, Some("search")));
        assert_eq!(team.patience_ms, Some(5_000));
        assert_eq!(load_text("", None).unwrap(), Profile::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let error = load_text(TWO, Some("prod")).unwrap_err();
        assert!(error.contains("config.toml has no profile `prod`; it has: Local, team"), "{error}");
        let error = load_text("[profiles.a]\nsever = 1", Some("a")).unwrap_err();
        assert!(error.contains("config.toml") && error.contains("sever"), "{error}");
        let error = load_text("[profiles.a]\nservers = 1.5", Some("a")).unwrap_err();
        assert!(error.contains("config.toml") && error.contains("servers"), "{error}");
        let error = load_text("[profiles", None).unwrap_err();
        assert!(error.contains("config.toml"), "{error}");
        let error = load(Some(Path::new("/nonexistent/stint.toml")), None).unwrap_err();
        assert!(format!("{error}").contains("/nonexistent/stint.toml"), "{error}");
    }
}
