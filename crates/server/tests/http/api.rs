//! The OpenAPI document, as tests read it.

use serde_json::Value;

use crate::served::Served;

/// One operation of the document.
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) said: Value,
}

/// The document that a server gives.
pub(crate) async fn document(served: &Served) -> Value {
    let reply = served.client().await.get("/v1/openapi.json").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    reply.json()
}

/// All operations, by path.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, said) in item.as_object().unwrap() {
            operations.push(Operation { path: path.clone(), method: method.clone(), said: said.clone() });
        }
    }
    operations
}

/// The schema of an operation's body.
pub(crate) fn body_schema(said: &Value) -> Option<&Value> {
    said.pointer("/requestBody/content/application~1json/schema")
}
