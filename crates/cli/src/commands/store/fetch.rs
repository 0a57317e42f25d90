//! What the SDK has no method for: a reply of a server as it comes.

use anyhow::Result;
use reqwest::Response;
use stint::Error;
use stint::api::Problem;

use crate::commands::connection::Connection;
use crate::exit::Failed;

/// Asks the first of the servers that answers.
pub(in crate::commands) async fn fetch(
    connection: &Connection,
    path: &str,
    query: &[(&str, String)],
) -> Result<Response> {
    let settings = connection.settings()?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut last = String::new();
    for server in &settings.servers {
        let reply =
            match http.get(format!("{}{path}", server.trim_end_matches('/'))).query(query).send().await {
                Ok(reply) => reply,
                Err(error) => {
                    last = format!("{server}: {}", root(&error));
                    continue;
                }
            };
        if reply.status().is_success() {
            return Ok(reply);
        }
        let status = reply.status();
        let refused: Result<Problem, _> = serde_json::from_slice(&reply.bytes().await?);
        let no_problem = || Error::Protocol(format!("status {status} without a problem document"));
        return Err(refused.map_or_else(|_| no_problem(), Error::Refused).into());
    }
    Err(Failed::NoServer(format!(
        "no server answers ({last}); start one with `stint serve`, name another with --server, or give the store \
         itself with --store"
    ))
    .into())
}

/// The innermost cause: what the system said.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
