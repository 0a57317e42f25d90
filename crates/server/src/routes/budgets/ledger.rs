//! `GET /v1/budgets/{path}:ledger`

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use stint_api::{LIST_LIMIT, LedgerReply, LedgerRequest, Problem};

use super::BudgetPath;
use super::csv;
use super::query::{Format, Ledger};
use crate::problems::NamesBudgets;
use crate::reply::{Refusal, Reply};
use crate::routes::App;

/// The type of JSON by lines.
const NDJSON: &str = "application/x-ndjson";

/// Shows what was spent under a budget and below it, entry by entry, oldest first.
///
/// With `format=ndjson` (or `Accept: application/x-ndjson`) or `format=csv` it is a stream of all entries instead of a page: one
/// JSON object, or one line for each dimension of an entry. A stream that breaks off is not all of it.
#[utoipa::path(
    get,
    path = "/v1/budgets/{path}:ledger",
    operation_id = "budget_ledger",
    tag = "budgets",
    params(Ledger),
    responses(
        (
            status = 200, description = "A page, or a stream.", body = LedgerReply,
            example = json!({"entries": [{"seq": 1, "at": "2026-11-23T11:00:00.000Z", "kind": "charge",
                "path": "acme/search", "amounts": {"usd_micros": 1200}, "charge_id": "resp_81",
                "execution": "ex_01k5f3v0000000000000000000", "attempt": 1, "execution_kind": "agent"}]})
        ),
        NamesBudgets
    )
)]
pub(crate) async fn ledger(
    State(app): State<App>,
    BudgetPath(path): BudgetPath,
    headers: HeaderMap,
    Ledger { namespace, request, format }: Ledger,
) -> Result<Response, Refusal> {
    let accepts = headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == NDJSON.as_bytes());
    let format = format.unwrap_or(if accepts { Format::Ndjson } else { Format::Json });
    if format == Format::Json {
        let page = app.engine.ledger(&namespace, &path, request).await?;
        return Ok(Reply(axum::http::StatusCode::OK, page).into_response());
    }
    if request.limit.is_some() {
        return Err(Problem::invalid("limit", "a stream is of all entries, and has no pages").into());
    }
    let request = LedgerRequest { limit: Some(LIST_LIMIT), ..request };
    // What can't be read at all is refused, not broken off.
    let first = app.engine.ledger(&namespace, &path, request.clone()).await?;
    let kind = if format == Format::Csv { "text/csv; charset=utf-8" } else { NDJSON };
    let head = if format == Format::Csv { Bytes::from_static(csv::HEAD.as_bytes()) } else { Bytes::new() };
    let export =
        Export { app, namespace, path, request, format, ready: [Ok(head)].into(), next: Some(first) };
    let mut response = Response::new(Body::from_stream(pieces(export)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// A ledger on its way out.
struct Export {
    app: App,
    namespace: String,
    path: String,
    request: LedgerRequest,
    format: Format,
    ready: VecDeque<Result<Bytes, Problem>>,
    next: Option<LedgerReply>,
}

fn pieces(export: Export) -> impl Stream<Item = Result<Bytes, Problem>> + Send {
    unfold(export, async |mut export| {
        if let Some(piece) = export.ready.pop_front() {
            return Some((piece, export));
        }
        let page = export.next.take()?;
        let mut text = Vec::new();
        for entry in &page.entries {
            match export.format {
                Format::Csv => csv::lines(entry, &mut text),
                // An entry is strings and numbers: writing it can't fail.
                _ => {
                    _ = serde_json::to_writer(&mut text, entry);
                    text.push(b'\n');
                }
            }
        }
        if let Some(cursor) = page.next_cursor {
            export.request.cursor = Some(cursor);
            let read =
                export.app.engine.ledger(&export.namespace, &export.path, export.request.clone()).await;
            match read {
                Ok(next) => export.next = Some(next),
                Err(problem) => export.ready.push_back(Err(problem)),
            }
        }
        Some((Ok(text.into()), export))
    })
}
