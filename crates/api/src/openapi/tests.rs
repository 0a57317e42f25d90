//! The document holds the bounds that requests are checked against.

use serde_json::json;

use super::{bounds, merge};

#[test]
fn bounds_lie_over_what_a_schema_says() {
    let mut schema = json!({"type": "array", "items": {"type": "string"}, "description": "Lanes."});
    merge(&mut schema, bounds("LeaseRequest", "lanes").unwrap());
    assert_eq!(schema["items"]["type"], "string");
    assert_eq!(schema["items"]["maxLength"], 128);
    assert_eq!((&schema["maxItems"], &schema["description"]), (&json!(128), &json!("Lanes.")));
}

#[test]
fn a_name_means_the_same_but_where_its_owner_says_otherwise() {
    assert_eq!(bounds("LeaseRequest", "max").unwrap()["minimum"], 1);
    assert_eq!(bounds("ExchangeRequest", "max").unwrap()["minimum"], 0);
    assert_eq!(bounds("Anything", "grace_ms"), bounds("SubmitRequest", "delay_ms"));
    assert_eq!(bounds("Backoff", "kind"), Some(json!({})));
    assert_eq!(bounds("SubmitRequest", "unheard_of"), None);
}
