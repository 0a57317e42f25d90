//! Every public item of the crate is shown at work in its documentation, in an example that is run as a test.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::path::{Path, PathBuf};

/// A public item: where, what, and its name.
type Item = (PathBuf, &'static str, String);

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file's examples.
fn examples(text: &str) -> String {
    let mut is_code = false;
    let mut code = String::new();
    for line in text.lines().map(str::trim) {
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
        if doc.trim().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            code.push_str(doc);
            code.push('\n');
        }
    }
    code
}

/// The public items of a file: those at its margin, and the functions of inherent impls.
fn items(path: &Path, text: &str) -> Vec<Item> {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    for line in product.lines() {
        let Some(item) = line.strip_prefix("    pub ").or_else(|| line.strip_prefix("pub ")) else {
            continue;
        };
        let item = item.trim_start_matches("async ").trim_start_matches("const ");
        for kind in ["fn", "struct", "enum", "trait", "type"] {
            let Some(rest) = item.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')) else {
                continue;
            };
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            found.push((path.to_owned(), kind, name.to_owned()));
        }
    }
    found
}

/// Whether `code` has `name` as a whole word, and, if it is a function, calls it.
fn shows(code: &str, kind: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_called = matches!(after, Some('(' | ':'));
        !is_word(before) && !is_word(after) && (kind != "fn" || is_called)
    })
}

#[test]
fn every_public_item_is_shown_in_an_example() {
    let mut paths = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    let texts: Vec<(PathBuf, String)> =
        paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let code: String = texts.iter().map(|(_, text)| examples(text)).collect();
    let all: Vec<Item> = texts.iter().flat_map(|(path, text)| items(path, text)).collect();
    assert!(all.len() > 100, "only {} public items found", all.len());
    let missing: Vec<String> = all
        .iter()
        .filter(|(_, kind, name)| !shows(&code, kind, name))
        .map(|(path, kind, name)| format!("{}: {kind} {name}", path.display()))
        .collect();
    assert!(missing.is_empty(), "show these in an example:\n{}", missing.join("\n"));
}
