//! What is scraped, and that all of it is documented.

use stint_server::{METRICS, MetricKind};

use crate::client::Client;
use crate::served::Served;

#[test]
fn every_metric_stands_in_the_documentation() {
    let page = include_str!("../../../../docs/METRICS.md");
    let rows: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help)
        })
        .collect();
    let written: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| `stint_") && line.matches('|').count() == 5).collect();
    assert_eq!(
        written,
        rows,
        "docs/METRICS.md and metric_definitions.rs differ; the table should be:\n{}",
        rows.join("\n")
    );
}

#[tokio::test]
async fn what_happens_is_counted() {
    let served = Served::start().await;
    served.engine.opened().await;
    let mut client = served.client().await;
    for lane in ["a", "a", "b"] {
        client.call("/v1/executions", &format!(r#"{{"kind":"k","lane":"{lane}"}}"#)).await;
    }
    for (path, hard) in [("a", 5), ("b", 50)] {
        let window = format!(r#"{{"name":"w","kind":"total","limits":{{"calls":{{"hard":{hard}}}}}}}"#);
        let body = format!(r#"{{"windows":[{window}]}}"#);
        let json = "content-type: application/json\r\n";
        client.request("PUT", &format!("/v1/budgets/{path}"), json, body.as_bytes()).await;
        client
            .call(&format!("/v1/budgets/{path}:charge"), r#"{"charge_id":"c","amounts":{"calls":6}}"#)
            .await;
    }
    let claim = r#"{"worker":{"name":"w"},"lanes":["a"],"max":2}"#;
    let leased = client.call("/v1/leases", claim).await;
    let lease = |n: usize| leased["leases"][n]["lease"].as_str().unwrap().to_owned();
    client.call(&format!("/v1/leases/{}/complete", lease(0)), r#"{"output":1}"#).await;
    let failed = r#"{"error":{"type":"t","message":"m"},"retry_after_ms":600000}"#;
    client.call(&format!("/v1/leases/{}/fail", lease(1)), failed).await;
    client.get("/v1/executions/nothing").await;
    client.get("/nowhere").await;
    client.request("DELETE", "/v1/workers", "", b"").await;
    let exchange =
        r#"{"worker":{"name":"w","session":"s"},"n":1,"seen":0,"lanes":["z"],"max":0,"wait_ms":0}"#;
    client.call("/v1/worker/exchange", exchange).await;
    let text = scrape(&mut client).await;
    for line in [
        "stint_executions{namespace=\"default\",lane=\"b\",state=\"ready\"} 1.0",
        "stint_executions{namespace=\"default\",lane=\"a\",state=\"waiting\"} 1.0",
        "stint_executions_submitted_total 3",
        "stint_attempts_started_total 2",
        "stint_executions_ended_total{outcome=\"completed\"} 1",
        "stint_executions_ended_total{outcome=\"failed\"} 0",
        "stint_retries_total{cause=\"failed\"} 1",
        "stint_executions_live 2.0",
        "stint_partitions_open 64.0",
        "stint_exchanges_total 1",
        "stint_lease_expiries_total 0",
        "stint_timelines_lost_writes_total 0",
        "stint_scrape_silent_partitions 0.0",
        "stint_budgets{state=\"open\"} 1.0",
        "stint_budgets{state=\"breached\"} 1.0",
        "stint_budgets{state=\"exhausted\"} 0.0",
        "stint_http_requests_total{route=\"/v1/executions\",method=\"POST\",status=\"201\"} 3",
        "stint_http_requests_total{route=\"/v1/executions/{id}\",method=\"GET\",status=\"400\"} 1",
        "stint_http_requests_total{route=\"(none)\",method=\"GET\",status=\"404\"} 1",
        "stint_http_requests_total{route=\"/v1/workers\",method=\"OTHER\",status=\"405\"} 1",
        "stint_http_requests_open{route=\"/metrics\"} 1.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    for metric in METRICS {
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is not scraped");
    }
}

#[tokio::test]
async fn a_commit_is_measured_once() {
    let served = Served::start().await;
    let mut client = served.client().await;
    client.call("/v1/executions", r#"{"kind":"k"}"#).await;
    let text = scrape(&mut client).await;
    let value = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("stint_commit_seconds_count"), value("stint_commits_total"), "{text}");
    assert_eq!(value("stint_batch_commands_count"), value("stint_commits_total"), "{text}");
    assert!(value("stint_memory_bytes") > 1e6 && value("stint_store_bytes_total") > 0.0, "{text}");
}

#[tokio::test]
async fn many_lanes_share_a_series() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let submissions: Vec<String> = (0..150).map(|n| format!(r#"{{"kind":"k","lane":"lane-{n}"}}"#)).collect();
    client.call("/v1/executions/batch", &format!(r#"{{"executions":[{}]}}"#, submissions.join(","))).await;
    let text = scrape(&mut client).await;
    let series = text
        .lines()
        .filter(|line| line.starts_with("stint_executions{") && line.contains("\"ready\""))
        .count();
    assert_eq!(series, 101);
    let other = "stint_executions{namespace=\"(other)\",lane=\"(other)\",state=\"ready\"} 50.0";
    assert!(text.lines().any(|line| line == other), "{text}");
}

async fn scrape(client: &mut Client) -> String {
    let reply = client.get("/metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{reply:?}");
    String::from_utf8(reply.body).unwrap()
}
