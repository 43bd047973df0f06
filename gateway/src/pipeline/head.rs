//! Response heads: which headers a client gets. Bodies are made elsewhere.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use super::body::ReplyBody;
use crate::dialect;
use crate::exchange::{Dialect, ExchangeId};
use crate::fault::Fault;
use crate::upstream::DROPPED;

/// Our id of the exchange.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id that the client sent.
pub(super) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response to a reply, with the upstream's headers that concern the client.
pub(super) fn reply(id: ExchangeId, status: StatusCode, upstream: &HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in upstream {
        if *name == REQUEST_ID {
            headers.append(UPSTREAM_REQUEST_ID, value.clone());
        } else if passes(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    stamp(headers, id);
    response
}

/// A response that says what went wrong, in the client's dialect.
pub(super) fn fault(dialect: Dialect, id: Option<ExchangeId>, fault: &Fault) -> Response<ReplyBody> {
    let body = dialect::write_error(dialect, fault);
    let mut response = json(StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    let headers = response.headers_mut();
    if let Some(after) = fault.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if fault.kind == "insufficient_quota" {
        // Clients of OpenAI's would try again at once otherwise.
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(id) = id {
        stamp(headers, id);
    }
    response
}

/// Why a path that vendors know is not served; `None` for any other.
pub(super) fn unsupported(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/v1/")?;
    match rest {
        "completions" => Some("Legacy completions are not served: use /v1/chat/completions."),
        _ if rest.starts_with("messages/batches") || rest.starts_with("batches") => {
            Some("Batches are not served: what is asked in them could not be screened before it is answered.")
        }
        _ if rest.starts_with("responses/") || rest.starts_with("conversations") => {
            Some("The gateway keeps no replies for later calls: send the conversation in `input`.")
        }
        _ => None,
    }
}

/// A response of JSON.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn stamp(headers: &mut HeaderMap, id: ExchangeId) {
    let mut buffer = uuid::Uuid::encode_buffer();
    if let Ok(value) = HeaderValue::from_str(id.0.as_hyphenated().encode_lower(&mut buffer)) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Headers of a reply that concern the client: what it is, how it may be kept, how much more may be asked.
fn passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "content-type"
            | "cache-control"
            | "retry-after"
            | "content-language"
            | "x-should-retry"
            | "x-candor-adapted"
            | "x-candor-dropped"
    ) || name.starts_with("x-ratelimit-")
        || name.starts_with("openai-")
        || name.starts_with("anthropic-ratelimit-")
        || name.starts_with("x-dashscope-")
}

/// Names what of a reply has no place in the client's dialect, beside what of the request had none in the upstream's.
pub(super) fn drop_too(headers: &mut HeaderMap, lost: Vec<String>) {
    let before = headers.get(DROPPED).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let names: Vec<String> = before.into_iter().chain(lost).collect();
    if let (false, Ok(value)) = (names.is_empty(), HeaderValue::try_from(names.join(", "))) {
        headers.insert(DROPPED, value);
    }
}

/// A response of the gateway about itself.
pub(super) fn text(status: StatusCode, kind: &'static str, body: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
