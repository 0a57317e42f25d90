//! `/v1/budgets`
//!
//! A path has several segments and its verb stands behind it: what no router can tell apart is told apart here.

mod adjust;
mod charge;
mod csv;
mod delete;
mod get;
mod hold;
mod ledger;
pub(super) mod list;
mod query;
mod raise;
mod reconcile;
mod refund;
mod report;
mod set;
mod top_up;
mod tree;

use axum::RequestExt;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use stint_api::{Code, Problem};
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::{App, no_endpoint, no_method};
use crate::reply::Refusal;

/// Where all of them are.
pub(super) const ROUTE: &str = "/v1/budgets/{*path}";

/// What a request does to a budget, by the verb behind its path.
const READS: [&str; 3] = ["ledger", "report", "tree"];
const ACTS: [&str; 7] = ["adjust", "charge", "hold", "raise", "reconcile", "refund", "topup"];

/// The path of a budget, without the verb behind it.
pub(super) struct BudgetPath(pub(super) String);

/// The handlers by method, which find the verb's.
pub(super) fn methods() -> MethodRouter<App> {
    axum::routing::get(read).put(write).delete(write).post(act)
}

/// What each of them says of itself.
pub(super) fn described() -> Vec<UtoipaMethodRouter<App>> {
    vec![
        routes!(get::get, set::set, delete::delete),
        routes!(tree::tree),
        routes!(ledger::ledger),
        routes!(report::report),
        routes!(raise::raise),
        routes!(top_up::top_up),
        routes!(charge::charge),
        routes!(refund::refund),
        routes!(adjust::adjust),
        routes!(hold::hold),
        routes!(reconcile::reconcile),
    ]
}

impl FromRequestParts<App> for BudgetPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let (path, _) = split(whole(parts, app).await?);
        Ok(Self(path))
    }
}

async fn read(State(app): State<App>, request: Request) -> Response {
    dispatch(app, request, async |app, request, verb| match verb {
        "" => Ok(get::get.call(request, app).await),
        "tree" => Ok(tree::tree.call(request, app).await),
        "ledger" => Ok(ledger::ledger.call(request, app).await),
        "report" => Ok(report::report.call(request, app).await),
        _ => Err(request),
    })
    .await
}

async fn write(State(app): State<App>, request: Request) -> Response {
    dispatch(app, request, async |app, request, verb| match verb {
        "" if request.method() == axum::http::Method::PUT => Ok(set::set.call(request, app).await),
        "" => Ok(delete::delete.call(request, app).await),
        _ => Err(request),
    })
    .await
}

async fn act(State(app): State<App>, request: Request) -> Response {
    dispatch(app, request, async |app, request, verb| match verb {
        "raise" => Ok(raise::raise.call(request, app).await),
        "topup" => Ok(top_up::top_up.call(request, app).await),
        "charge" => Ok(charge::charge.call(request, app).await),
        "refund" => Ok(refund::refund.call(request, app).await),
        "adjust" => Ok(adjust::adjust.call(request, app).await),
        "hold" => Ok(hold::hold.call(request, app).await),
        "reconcile" => Ok(reconcile::reconcile.call(request, app).await),
        _ => Err(request),
    })
    .await
}

/// Finds the verb; a request that nothing takes comes back, and is told whether another method would be taken.
async fn dispatch(
    app: App,
    mut request: Request,
    take: impl AsyncFnOnce(App, Request, &str) -> Result<Response, Request>,
) -> Response {
    let whole = match request.extract_parts::<Path<String>>().await {
        Ok(Path(whole)) => whole,
        Err(_) => return Refusal(not_text()).into_response(),
    };
    let (_, verb) = split(whole);
    match take(app, request, &verb).await {
        Ok(response) => response,
        Err(request) => {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let known = verb.is_empty() || READS.contains(&&*verb) || ACTS.contains(&&*verb);
            if known { no_method(method, uri).await } else { no_endpoint(uri).await }.into_response()
        }
    }
}

async fn whole(parts: &mut Parts, app: &App) -> Result<String, Problem> {
    Path::<String>::from_request_parts(parts, app).await.map(|Path(whole)| whole).map_err(|_| not_text())
}

/// The path and the verb behind it, if there is one.
fn split(whole: String) -> (String, String) {
    match whole.rsplit_once(':') {
        Some((path, verb)) => (path.to_owned(), verb.to_owned()),
        None => (whole, String::new()),
    }
}

fn not_text() -> Problem {
    Problem::new(Code::MalformedId, "the path is not UTF-8 text")
}
