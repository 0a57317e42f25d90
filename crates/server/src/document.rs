//! The OpenAPI document: what the handlers say of themselves, completed by what is the same for many.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stint_api::openapi::{bounds, merge};
use stint_api::{Code, REQUEST_KEY_BYTES};
use utoipa::openapi::OpenApi;

use crate::problems::CODES;

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// What every endpoint may be refused with.
const ALWAYS: &[Code] = &[
    Code::InvalidField,
    Code::UnknownField,
    Code::Overloaded,
    Code::StoreUnavailable,
    Code::HandlerTimeout,
    Code::Draining,
    Code::Internal,
];

/// What every request with a body may be refused with.
const BODIES: &[Code] = &[
    Code::InvalidRequest,
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::RequestTimeout,
];

/// The parameters of paths, by the segment before them.
const PATHS: &[(&str, &str, &str, &str)] = &[
    ("executions", "id", "The execution's id, as a submission gave it.", "ex_01k5f3v0000000000000000000"),
    ("leases", "lease", "The lease, as a claim gave it. A secret.", "ls_00000000000000000000000000"),
    ("lanes", "name", "The lane's name.", "default"),
    ("namespaces", "name", "The namespace's name.", "default"),
    ("budgets", "path", "The budget's path.", "acme/search"),
    ("holds", "id", "The hold's id, as the server gave it.", "hd_00000000000000000000000000"),
    ("steps", "key", "The step's key.", "charge-card"),
    ("bulk", "job", "The job's id, as its start gave it.", "bj_01k5f3v0000000000000000000"),
    ("workers", "id", "The worker's id, as the list of workers shows it.", "w1~b7Qz41"),
];

/// The finished document.
pub(crate) fn document(collected: OpenApi) -> Value {
    // It is strings, numbers and maps with text keys: writing it can't fail.
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    merge(&mut document, head());
    for (path, item) in object(&mut document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete(path, method, operation);
            }
        }
    }
    for (owner, schema) in object(&mut document["components"]["schemas"]) {
        for (name, property) in schema.get_mut("properties").into_iter().flat_map(object) {
            if let Some(bound) = bounds(owner, name) {
                merge(property, bound);
            }
        }
        tidy(schema);
    }
    document["components"]["responses"] = refusals();
    document
}

fn head() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stint",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs work that must finish. JSON in and out; errors are problem documents with a stable \
                            `code`. Unknown fields and parameters are refused. Every reply has an `x-request-id`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:7400", "description": "Where `stint serve` listens unless told otherwise."}],
        "tags": [
            {"name": "executions", "description": "Pieces of work."},
            {"name": "leases", "description": "What a worker does, call by call."},
            {"name": "workers", "description": "Workers, and all they say in one call."},
            {"name": "lanes", "description": "Queues."},
            {"name": "namespaces", "description": "Separate worlds of work."},
            {"name": "budgets", "description": "What may be spent, what is held, what was spent."},
            {"name": "bulk", "description": "One action on all executions that a filter finds."},
            {"name": "store", "description": "What all is kept in."},
            {"name": "server", "description": "The server itself."},
        ],
        "components": {
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "The same request sent again under the same key is done once and answered again. A new \
                                    request needs a new key.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": REQUEST_KEY_BYTES, "pattern": "^[!-~]+$"},
                    "example": "b7Qz41.17",
                },
                "RequestId": {
                    "name": "x-request-id",
                    "in": "header",
                    "description": "Comes back with the reply and stands in the server's log; made up if absent or not of this form.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
                },
            },
            "headers": {
                "RetryAfter": {
                    "description": "When to send the request again, in whole seconds.",
                    "schema": {"type": "integer", "minimum": 1},
                },
            },
        },
    })
}

fn complete(path: &str, method: &str, operation: &mut Value) {
    let mut codes: Vec<Code> = ALWAYS.to_vec();
    if operation.get("requestBody").is_some() {
        codes.extend(BODIES);
    }
    let named = parameters_of(path);
    if !named.is_empty() {
        codes.push(Code::MalformedId);
    }
    // Lanes and namespaces come into being by use: every name is one.
    if named.iter().any(|(segment, ..)| !matches!(*segment, "lanes" | "namespaces")) {
        codes.push(Code::NotFound);
    }
    let mut parameters = Vec::new();
    for (segment, name, description, example) in named {
        let mut schema = json!({"type": "string"});
        merge(&mut schema, bounds(segment, name).unwrap_or_else(|| json!({})));
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": description, "example": example,
            "schema": schema,
        }));
    }
    if let Value::Array(own) = operation["parameters"].take() {
        parameters.extend(own);
    }
    for parameter in parameters.iter_mut().filter(|parameter| parameter["in"] != "path") {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some(bound) = bounds("", &name) {
            merge(&mut parameter["schema"], bound);
        }
    }
    if method == "post" {
        parameters.push(json!({"$ref": "#/components/parameters/IdempotencyKey"}));
    }
    parameters.push(json!({"$ref": "#/components/parameters/RequestId"}));
    operation["parameters"] = parameters.into();
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema")
        && let Some(object) = schema.pointer("/oneOf/0").cloned()
    {
        // A body that may be left out is not one that may be null.
        *schema = object;
    }
    refuse(&mut operation["responses"], &codes);
}

/// Adds the problems: one response per status, which names all codes it may carry.
fn refuse(responses: &mut Value, always: &[Code]) {
    let Value::Object(responses) = responses else { return };
    let mut by_status: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for (status, response) in responses.iter() {
        let own = response.get(CODES).and_then(Value::as_array).into_iter().flatten();
        let own = own.filter_map(|code| Code::parse(code.as_str()?));
        by_status.entry(status.clone()).or_default().extend(own);
    }
    for code in always {
        by_status.entry(code.status().to_string()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        let response = match codes.as_slice() {
            [] => continue,
            [code] => json!({"$ref": format!("#/components/responses/{code}")}),
            _ if status == "503" => json!({"$ref": "#/components/responses/unavailable"}),
            codes => refusal(codes),
        };
        responses.insert(status, response);
    }
}

/// A response with one of these codes, which share a status.
fn refusal(codes: &[Code]) -> Value {
    let lines: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}.", code.title())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut response = json!({
        "description": lines.join("\n"),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    response[CODES] = names.into();
    if codes.iter().any(|code| matches!(code.status(), 429 | 503 | 507)) {
        response["headers"] = json!({"Retry-After": {"$ref": "#/components/headers/RetryAfter"}});
    }
    response
}

/// The refusals that many operations share.
fn refusals() -> Value {
    let mut shared: Map<String, Value> =
        Code::ALL.iter().map(|code| (code.to_string(), refusal(&[*code]))).collect();
    let unavailable: Vec<Code> = ALWAYS.iter().copied().filter(|code| code.status() == 503).collect();
    shared.insert("unavailable".to_owned(), refusal(&unavailable));
    shared.into()
}

/// The parameters that a path has, in its order.
pub(crate) fn parameters_of(
    path: &str,
) -> Vec<&'static (&'static str, &'static str, &'static str, &'static str)> {
    let segments: Vec<&str> = path.split('/').collect();
    segments
        .windows(2)
        .filter_map(|pair| match pair {
            [before, name] => PATHS.iter().find(|(segment, known, ..)| {
                segment == before
                    // A verb may stand behind it.
                    && name.strip_prefix('{').and_then(|name| name.split_once('}')).map(|(name, _)| name) == Some(known)
            }),
            _ => None,
        })
        .collect()
}

/// Leaves out what says nothing: formats that no bound needs.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(schema) => {
            if matches!(schema.get("format").and_then(Value::as_str), Some("int32" | "int64")) {
                schema.remove("format");
            }
            schema.values_mut().for_each(tidy);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn object(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}
