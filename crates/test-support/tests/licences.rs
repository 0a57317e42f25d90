//! Every dependency has a licence we may ship under, and comes from the registry. A test instead of a tool: it
//! reads what cargo knows anyway, and takes no minutes to install.

use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than a notice (and MPL-2.0, whose terms end at its own files).
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether an SPDX expression can be met with [`ALLOWED`] alone. `None` if it makes no sense.
fn acceptable(expression: &str) -> Option<bool> {
    let spaced =
        expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "+WITH+");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let answer = any_of(&mut rest)?;
    rest.is_empty().then_some(answer)
}

fn any_of(tokens: &mut &[&str]) -> Option<bool> {
    let mut answer = all_of(tokens)?;
    while let ["OR", rest @ ..] = tokens {
        *tokens = rest;
        answer |= all_of(tokens)?;
    }
    Some(answer)
}

fn all_of(tokens: &mut &[&str]) -> Option<bool> {
    let mut answer = one(tokens)?;
    while let ["AND", rest @ ..] = tokens {
        *tokens = rest;
        answer &= one(tokens)?;
    }
    Some(answer)
}

fn one(tokens: &mut &[&str]) -> Option<bool> {
    let (first, rest) = tokens.split_first()?;
    *tokens = rest;
    if *first != "(" {
        return Some(ALLOWED.contains(&first.replace("+WITH+", " WITH ").as_str()));
    }
    let answer = any_of(tokens)?;
    let (")", rest) = tokens.split_first().map(|(close, rest)| (*close, rest))? else { return None };
    *tokens = rest;
    Some(answer)
}

#[test]
fn expressions() {
    let cases = [
        ("MIT", Some(true)),
        ("GPL-3.0", Some(false)),
        ("GPL-3.0 OR MIT", Some(true)),
        ("GPL-3.0 AND MIT", Some(false)),
        ("MIT/Apache-2.0", Some(true)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", Some(true)),
        ("MIT OR GPL-3.0 AND LGPL-3.0", Some(true)),
        ("(MIT OR GPL-3.0) AND AGPL-3.0", Some(false)),
        ("(MIT", None),
        ("", None),
    ];
    for (expression, expected) in cases {
        assert_eq!(acceptable(expression), expected, "{expression}");
    }
}

#[test]
fn dependencies_have_allowed_licences_and_come_from_the_registry() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = format!("{} {}", package["name"], package["version"]);
        match package["source"].as_str() {
            None | Some(REGISTRY) => {}
            Some(other) => wrong.push(format!("{name} comes from {other}")),
        }
        match package["license"].as_str() {
            Some(licence) if acceptable(licence) == Some(true) => {}
            licence => wrong.push(format!("{name} has licence {licence:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
