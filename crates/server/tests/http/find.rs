//! Lists and counts over HTTP.

use serde_json::Value;

use crate::client::Client;
use crate::served::Served;

async fn submit(client: &mut Client, body: &str) -> String {
    client.call("/v1/executions", body).await["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<&str> {
    page["executions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_follow_each_other() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut submitted = Vec::new();
    for n in 0..5 {
        let tags = format!(r#"{{"kind":"a","lane":"mail","tags":{{"team":"a b&c","n":"{n}"}}}}"#);
        submitted.push(submit(&mut client, &tags).await);
    }
    submit(&mut client, r#"{"kind":"b"}"#).await;
    for filter in ["lane=mail", "kind=a&state=ready", "tag.team=a+b%26c", "tag.team=a%20b%26c&lane=mail"] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = client.get(&format!("/v1/executions?{filter}&limit=2{cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            found.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        found.sort();
        let mut wanted = submitted.clone();
        wanted.sort();
        assert_eq!(found, wanted, "{filter}");
        let count = client.get(&format!("/v1/executions/count?{filter}")).await.json();
        assert_eq!((&count["count"], &count["at_least"]), (&5.into(), &false.into()), "{filter}");
    }
    let one = client.get("/v1/executions?tag.n=3").await.json();
    assert_eq!(one["executions"][0]["id"], submitted[3].as_str());
    assert_eq!(one["executions"][0]["tags"]["team"], "a b&c");
    assert_eq!(one["executions"][0]["state"], "ready");
    assert!(one.get("next_cursor").is_none());
    let everything = client.get("/v1/executions").await.json();
    assert_eq!(ids(&everything).len(), 6);
    assert_eq!(ids(&client.get("/v1/executions?namespace=theirs").await.json()).len(), 0);
}

#[tokio::test]
async fn wrong_queries_are_named() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for (query, code, field) in [
        ("state=sleeping", "invalid_field", "state"),
        ("state=ready&state=ready", "invalid_field", "state"),
        ("lane=", "invalid_field", "lane"),
        ("kind=a%20b", "invalid_field", "kind"),
        ("tag.=x", "invalid_field", "tag."),
        ("tag=x", "unknown_field", "tag"),
        ("tags=x", "unknown_field", "tags"),
        ("tag.a=x&tag.a=y", "invalid_field", "tag.a"),
        ("error_type=", "invalid_field", "error_type"),
        ("since=yesterday", "invalid_field", "since"),
        ("until=2026-11-23T11:00:00+01:00", "invalid_field", "until"),
        ("namespace=a%20b", "invalid_field", "namespace"),
        ("namespace=a&namespace=a", "invalid_field", "namespace"),
        ("page=2", "unknown_field", "page"),
    ] {
        for path in ["/v1/executions", "/v1/executions/count"] {
            let reply = client.get(&format!("{path}?{query}")).await;
            assert_eq!(reply.status, 400, "{path}?{query}: {reply:?}");
            assert_eq!(reply.problem(), (code.to_owned(), Some(field.to_owned())), "{path}?{query}");
        }
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=+1", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
    ] {
        let reply = client.get(&format!("/v1/executions?{query}")).await;
        assert_eq!(reply.problem(), ("invalid_field".to_owned(), Some(field.to_owned())), "{query}");
        let reply = client.get(&format!("/v1/executions/count?{query}")).await;
        assert_eq!(reply.problem(), ("unknown_field".to_owned(), Some(field.to_owned())), "{query}");
    }
}
