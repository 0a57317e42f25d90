//! The OpenAPI document: complete, bounded, and changed only on purpose.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{self, Operation};
use crate::served::Served;

#[tokio::test]
async fn every_change_of_the_api_shows() {
    let document = api::document(&Served::start().await).await;
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).unwrap());
}

#[tokio::test]
async fn every_operation_is_described_to_its_end() {
    let document = api::document(&Served::start().await).await;
    let operations = api::operations(&document);
    assert!(operations.len() > 25, "only {} operations", operations.len());
    let mut ids = BTreeSet::new();
    for Operation { path, method, said, .. } in &operations {
        let place = format!("{method} {path}");
        let id = said["operationId"].as_str().unwrap_or_default();
        assert!(ids.insert(id.to_owned()) && !id.is_empty(), "{place}: the operationId `{id}` is not unique");
        assert!(said["summary"].is_string(), "{place}: no summary");
        assert!(said["tags"][0].is_string(), "{place}: no tag");
        let in_path = path.matches('{').count();
        let parameters = said["parameters"].as_array().unwrap();
        let described = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(described, in_path, "{place}: a part of the path is not described; see document.rs");
        for parameter in parameters.iter().filter(|parameter| parameter["$ref"].is_null()) {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["description"].is_string(), "{place}: {name} is not described");
            assert_bounded(&document, &format!("{place}: {name}"), &parameter["schema"]);
        }
        if let Some(schema) = api::body_schema(said) {
            assert!(
                !said["requestBody"]["content"]["application/json"]["example"].is_null(),
                "{place}: no example"
            );
            assert_bounded(&document, &place, schema);
        }
        let responses = said["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place}: no reply");
        for (status, response) in responses {
            let response = match response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
                Some(pointer) => document.pointer(pointer).unwrap(),
                None => response,
            };
            let text = response["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{place}: {status} says nothing");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = api::document(&Served::start().await).await;
    let mut seen = 0;
    each_reference(&document, &mut |reference| {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} does not exist");
        seen += 1;
    });
    assert!(seen > 100);
}

#[tokio::test]
async fn every_endpoint_stands_in_the_reference() {
    let document = api::document(&Served::start().await).await;
    let reference = include_str!("../../../../docs/API.md");
    let missing: Vec<String> = api::operations(&document)
        .into_iter()
        .map(|operation| format!("{} {}", operation.method.to_uppercase(), operation.path))
        .filter(|line| !reference.contains(&format!("### {line}\n")))
        .collect();
    assert!(missing.is_empty(), "docs/API.md has no section `### ...` for:\n{}", missing.join("\n"));
}

/// Every string, number, list and map in a request has an end.
fn assert_bounded(document: &Value, place: &str, schema: &Value) {
    if let Some(pointer) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        // What anything may be in is bounded by its bytes; a number's own bounds may lie beside the reference.
        let target = document.pointer(pointer).unwrap();
        if target["type"] == "number" {
            assert!(!schema["maximum"].is_null(), "{place}: no maximum");
        } else if !pointer.ends_with("/Payload") {
            assert_bounded(document, place, target);
        }
        return;
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            let is_number = one["$ref"] == "#/components/schemas/Thousandths";
            if !is_number || schema["maximum"].is_null() {
                assert_bounded(document, place, one);
            }
        }
    }
    let is = |kind: &str| {
        let types = &schema["type"];
        types == kind || types.as_array().is_some_and(|types| types.iter().any(|one| one == kind))
    };
    let has = |keyword: &str| !schema[keyword].is_null();
    if is("string") {
        let bounded = has("maxLength") || has("pattern") || has("enum") || has("format");
        assert!(bounded, "{place}: text without an end; give it one in crates/api/src/openapi/bounds.rs");
    }
    if is("integer") || is("number") {
        assert!(has("minimum") && has("maximum"), "{place}: a number without bounds; see bounds.rs");
    }
    if is("array") {
        assert!(has("maxItems"), "{place}: a list without an end; see bounds.rs");
        assert_bounded(document, &format!("{place}[]"), &schema["items"]);
    }
    if is("object") && has("additionalProperties") && schema["additionalProperties"] != false {
        assert!(has("maxProperties"), "{place}: a map without an end; see bounds.rs");
        assert_bounded(document, &format!("{place}.*"), &schema["additionalProperties"]);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        assert_bounded(document, &format!("{place}.{name}"), property);
    }
}

fn each_reference(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                take(reference);
            }
            map.values().for_each(|value| each_reference(value, take));
        }
        Value::Array(list) => list.iter().for_each(|value| each_reference(value, take)),
        _ => {}
    }
}
