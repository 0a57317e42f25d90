//! Reading a body within its limits, without copying it where it came in one piece.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use stint_api::{Code, Problem};

use crate::routes::App;

/// Reads it all, or says why not.
pub(crate) async fn read(body: Body, headers: &HeaderMap, app: &App) -> Result<Bytes, Problem> {
    let reading = read_all(body, headers.contains_key(EXPECT), app.body_bytes);
    match tokio::time::timeout(app.body_timeout, reading).await {
        Ok(result) => result,
        Err(_) => {
            let seconds = app.body_timeout.as_secs();
            Err(Problem::new(Code::RequestTimeout, format!("the body did not end within {seconds} s")))
        }
    }
}

async fn read_all(mut body: Body, waits_for_continue: bool, limit: usize) -> Result<Bytes, Problem> {
    let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if promised > limit {
        if !waits_for_continue {
            drain(body, limit).await;
        }
        return Err(too_large(format!("the body is {promised} bytes long"), limit));
    }
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() && first.len() <= limit {
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(promised.max(first.len()));
    all.extend_from_slice(&first);
    while let Some(data) = next(&mut body).await? {
        if all.len() + data.len() > limit {
            drain(body, limit).await;
            return Err(too_large("the body is longer".to_owned(), limit));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            // Trailers are not ours.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => return Err(Problem::new(Code::InvalidRequest, "the body broke off")),
        }
    }
}

/// Takes in what a client is still sending, up to a point: one that is cut off in the middle never reads why.
async fn drain(mut body: Body, limit: usize) {
    let mut left = limit.saturating_mul(4);
    while let Ok(Some(data)) = next(&mut body).await {
        match left.checked_sub(data.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn too_large(what: String, limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("{what}, the limit is {limit} bytes"))
}
