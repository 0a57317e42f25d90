//! House rules that a machine can check; CONTRIBUTING.md and ARCHITECTURE.md say why they are rules.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines of a file that can be read in one sitting.
const LINES_MAX: usize = 600;

/// Which of our crates each may depend on when it is built for users (tests may reach further).
const ARROWS: &[(&str, &[&str])] = &[
    ("stint-core", &[]),
    ("stint-store", &[]),
    ("stint-api", &[]),
    ("stint-engine", &["stint-api", "stint-core", "stint-store"]),
    ("stint-server", &["stint-api", "stint-engine"]),
    ("stint", &["stint-api", "stint-engine", "stint-store"]),
    ("stint-cli", &["stint", "stint-api", "stint-engine", "stint-server", "stint-store"]),
    ("stint-sim", &["stint", "stint-api", "stint-core", "stint-engine", "stint-store"]),
    ("stint-test-support", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root().join("crates"), ".rs", &mut found);
    assert!(found.len() > 100, "only {} source files found", found.len());
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Asserts that `wrong` finds nothing in any source file but this one.
fn check(rule: &str, wrong: impl Fn(&Path, &str) -> Option<String>) {
    let failures: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !path.ends_with("house_rules.rs"))
        .filter_map(|(path, text)| wrong(path, text).map(|why| format!("{}: {why}", path.display())))
        .collect();
    assert!(failures.is_empty(), "{rule}:\n{}", failures.join("\n"));
}

#[test]
fn files_can_be_read_in_one_sitting() {
    check("too long; look for the seam", |_, text| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{lines} lines"))
    });
}

#[test]
fn sources_are_ascii() {
    check("not ASCII", |_, text| {
        text.lines().position(|line| !line.is_ascii()).map(|line| format!("line {}", line + 1))
    });
}

#[test]
fn every_file_says_what_it_is() {
    check("no `//!` at the top", |_, text| (!text.starts_with("//!")).then(|| "add one line".to_owned()));
}

#[test]
fn nothing_is_left_for_later_and_nothing_sleeps_a_thread() {
    check("banned", |path, text| {
        // The embedded store's committer is a thread of its own and waits, when it closes, for readers to let go.
        let may_sleep = path.ends_with("embedded/committer.rs");
        ["todo!(", "unimplemented!(", "#[ignore", "TODO", "FIXME", "thread::sleep(", "allow(dead_code)"]
            .into_iter()
            .find(|banned| text.contains(banned) && !(may_sleep && *banned == "thread::sleep("))
            .map(str::to_owned)
    });
}

#[test]
fn the_wall_clock_is_read_in_files_named_for_it() {
    check("reads the wall clock", |path, text| {
        let named = path.components().any(|part| part.as_os_str().to_string_lossy().contains("clock"));
        let product =
            !path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "examples");
        (product && !named && text.contains("SystemTime::now"))
            .then(|| "move it to a file named clock".to_owned())
    });
}

#[test]
fn names_say_what_lives_in_a_file() {
    check("a name that says nothing", |path, _| {
        let stem = path.file_stem()?.to_string_lossy().into_owned();
        ["util", "utils", "helper", "helpers", "common", "manager", "misc"].contains(&&*stem).then_some(stem)
    });
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), arrows.len(), "a crate is missing from ARROWS");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = arrows[name];
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if dependency["kind"].is_null() && arrows.contains_key(to) {
                assert!(allowed.contains(&to), "{name} must not depend on {to}");
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = Vec::new();
    files(&root().join("docs"), ".md", &mut documents);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        documents.push(root().join(name));
    }
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains("://") {
                let path = document.parent().unwrap().join(target);
                assert!(path.exists(), "{}: {target} does not exist", document.display());
            }
        }
    }
}

#[test]
fn tests_that_documents_name_are_there() {
    let text = fs::read_to_string(root().join("docs/BUDGETS.md")).unwrap();
    let (_, tested) = text.split_once("## What is tested").unwrap();
    // Names of tests are sentences; nothing else in quotes there has so many words.
    let named: Vec<&str> =
        tested.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() >= 2).collect();
    assert!(named.len() > 20, "{named:?}");
    let sources = sources();
    for name in named {
        let is_there = sources.iter().any(|(_, text)| {
            text.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
                before
                    .rsplit("}\n")
                    .next()
                    .is_some_and(|above| above.contains("#[") && above.contains("test"))
                    || before.contains("proptest!")
            })
        });
        assert!(is_there, "docs/BUDGETS.md names `{name}`, which is no test");
    }
}
