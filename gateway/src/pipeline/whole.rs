//! A reply that is not a stream: read whole, screened whole, answered whole. Streams are [`super::flow`]'s.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::account::{Account, Outcome};
use super::body::ReplyBody;
use super::gathered;
use super::head;
use crate::admit::Phase;
use crate::dialect;
use crate::exchange::{Channel, Delta, Ending, Observed};
use crate::fault::Fault;
use crate::upstream::{Dispatch, Reply};

/// Why a body could not be read.
pub(super) enum Unread {
    Failed(String),
    TooLong,
    TimedOut,
    Ending,
    /// It is not what its dialect says.
    Malformed(String),
    /// It is an error with the status of a success.
    Error,
    /// It is an error, or a vendor's content block, that is the caller's to see.
    Refused,
}

/// Answers with a whole reply, trying the next candidate where one fails before anything has left.
pub(super) async fn answer(
    mut account: Account,
    mut dispatch: Dispatch,
    mut reply: Reply,
) -> http::Response<ReplyBody> {
    loop {
        let read = match reply.gathers && reply.streams() {
            true => Box::pin(gathered::read(&mut account, &mut reply)).await,
            false => read(&mut account, &mut reply).await,
        };
        let (body, understood) = match read {
            Ok(body) if !reply.status.is_success() => (body, Err(Unread::Refused)),
            Ok(body) => {
                let understood = understand(&mut reply, &body);
                (body, understood)
            }
            Err(unread) => {
                reply.lease.fail();
                (Bytes::new(), Err(unread))
            }
        };
        let unread = match understood {
            Ok(observed) => {
                account.attempts = dispatch.take_attempts();
                return screened(account, reply, body, observed).await;
            }
            Err(unread) => unread,
        };
        let (ending, text, fault) = unread.explain();
        if !matches!(unread, Unread::Refused) {
            dispatch.note_failure(&text);
            if !matches!(unread, Unread::TooLong | Unread::Ending)
                && let Ok(next) = dispatch.next().await
            {
                account.take_over(&next);
                reply = next;
                continue;
            }
        }
        account.attempts = dispatch.take_attempts();
        return match unread {
            Unread::Refused | Unread::Error => refused(account, reply, body).await,
            _ => failed(account, ending, text, fault).await,
        };
    }
}

impl Unread {
    /// The ending, what an operator and what the caller may read.
    pub(super) fn explain(&self) -> (Ending, String, Fault) {
        match self {
            Self::Failed(why) => (
                Ending::UpstreamFailed,
                why.clone(),
                Fault::upstream(502, "upstream_failed", "The upstream's reply broke off."),
            ),
            Self::TooLong => (
                Ending::UpstreamFailed,
                "the reply exceeds limits.reply_bytes".to_owned(),
                Fault::upstream(
                    502,
                    "upstream_reply_too_large",
                    "The upstream's reply is larger than the gateway passes on.",
                ),
            ),
            Self::TimedOut => (
                Ending::TimedOut,
                "the reply did not come in time".to_owned(),
                Fault::upstream(504, "upstream_timeout", "The upstream did not answer in time."),
            ),
            Self::Malformed(why) => {
                let message = "The upstream's reply is not what its dialect says.";
                (Ending::UpstreamFailed, why.clone(), Fault::upstream(502, "upstream_reply_malformed", message))
            }
            Self::Error | Self::Refused => (
                Ending::UpstreamFailed,
                "an error came in place of a reply".to_owned(),
                Fault::upstream(502, "upstream_failed", "The upstream answered with an error."),
            ),
            Self::Ending => (
                Ending::Drained,
                "the gateway was shutting down".to_owned(),
                Fault::unavailable(
                    "gateway_draining",
                    "The gateway is shutting down.",
                    std::time::Duration::from_secs(1),
                ),
            ),
        }
    }
}

async fn read(account: &mut Account, reply: &mut Reply) -> Result<Bytes, Unread> {
    let limit = account.reply_limit();
    let deadline = reply.started + reply.timeouts.first_event.min(reply.timeouts.total);
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = reply.body.chunk() => chunk,
            () = tokio::time::sleep_until(deadline) => return Err(Unread::TimedOut),
            _ = account.admission.closing.wait_for(|phase| *phase == Phase::Ending) => return Err(Unread::Ending),
        };
        match chunk {
            None => break,
            Some(Err(error)) => return Err(Unread::Failed(error.to_string())),
            Some(Ok(bytes)) if first.is_none() && whole.is_empty() => first = Some(bytes),
            Some(Ok(bytes)) => {
                whole.extend_from_slice(&first.take().unwrap_or_default());
                whole.extend_from_slice(&bytes);
            }
        }
        if whole.len() + first.as_ref().map_or(0, Bytes::len) > limit {
            return Err(Unread::TooLong);
        }
    }
    let body = first.unwrap_or_else(|| whole.freeze());
    account.received.keep_whole(body.clone());
    Ok(body)
}

/// Reads a successful reply, and tells its upstream's health. One that is an error gets the status of one.
fn understand(reply: &mut Reply, body: &[u8]) -> Result<Observed, Unread> {
    let observed = match dialect::read_reply(reply.dialect, body) {
        Ok(observed) => observed,
        Err(error) => {
            reply.lease.fail();
            return Err(Unread::Malformed(error.to_string()));
        }
    };
    match &observed.error {
        Some(error) if observed.deltas.is_empty() => {
            if reply.is_block(error.as_bytes()) {
                reply.status = StatusCode::BAD_REQUEST;
                reply.lease.succeed();
                return Err(Unread::Refused);
            }
            reply.status = StatusCode::BAD_GATEWAY;
            reply.lease.fail();
            Err(Unread::Error)
        }
        _ => {
            reply.lease.first_event();
            reply.lease.succeed();
            Ok(observed)
        }
    }
}

async fn screened(
    mut account: Account,
    reply: Reply,
    body: Bytes,
    mut observed: Observed,
) -> http::Response<ReplyBody> {
    let spoken = account.dialect;
    account.seen.note(&mut observed);
    note_times(&mut account, &observed.deltas);
    let mut gate = account.gate(&reply);
    let mut out = Vec::new();
    gate.push(body, &observed, &mut out);
    gate.finish(&mut out);
    let stop = gate.stopped().cloned();
    let changed = gate.changed();
    account.courses = gate.take_courses();
    let (mut segments, found) = gate.take_parts();
    reply.note(&mut segments);
    account.found.append(found);
    let mut headers = reply.headers.clone();
    let bytes = match &stop {
        Some(stop) => {
            let told = account.told(stop);
            dialect::stop_reply(spoken, &account.reply_head().borrow(), told.as_deref())
        }
        None => match account.translation(&reply) {
            None => out.pop().unwrap_or_default(),
            Some(translation) => {
                let (bytes, lost) = translation.whole(&out.pop().unwrap_or_default());
                head::drop_too(&mut headers, lost);
                bytes
            }
        },
    };
    let id = account.id;
    let ending = if stop.is_some() { Ending::Stopped } else { Ending::Complete };
    let delivered =
        (changed || stop.is_some() || reply.gathers || reply.dialect != spoken).then(|| vec![bytes.clone()]);
    let closed = account.close(Outcome {
        ending: Some(ending),
        status: reply.status.as_u16(),
        segments,
        delivered,
        ..Outcome::default()
    });
    if !closed.keeps_promise().await {
        return head::fault(spoken, Some(id), &unrecorded());
    }
    head::reply(id, reply.status, &headers, bytes.into())
}

fn note_times(account: &mut Account, deltas: &[Delta]) {
    for channel in [Channel::Reasoning, Channel::Answer] {
        if deltas.iter().any(|delta| delta.channel == channel && !delta.text.is_empty()) {
            account.note_text(channel);
        }
    }
}

/// The upstream answered with an error status: the caller gets it as it came, unless it speaks of our credentials.
async fn refused(account: Account, reply: Reply, body: Bytes) -> http::Response<ReplyBody> {
    let (id, spoken) = (account.id, account.dialect);
    let ours = reply.unpaid
        || matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN);
    // A proxy's page is no error of the dialect, and may say more of the upstream's house than is the client's business.
    let page = body.trim_ascii_start().starts_with(b"<");
    let hidden = (ours && !reply.content_block) || page;
    let fault = match page {
        true => {
            let message = "The upstream answered with a page where an error of its dialect was to be.";
            Fault::upstream(reply.status.as_u16(), "upstream_failed", message)
        }
        false => {
            let message = "The upstream rejected the gateway's own credentials or account.";
            Fault::upstream(502, "upstream_rejected_gateway", message)
        }
    };
    let outcome = Outcome {
        ending: Some(Ending::UpstreamFailed),
        status: if hidden { fault.status } else { reply.status.as_u16() },
        fault: Some(format!("upstream answered {}", reply.status.as_u16())),
        host_error: Some((reply.status.as_u16(), body.clone())),
        ..Outcome::default()
    };
    drop(account.close(outcome));
    if hidden {
        head::fault(spoken, Some(id), &fault)
    } else if reply.dialect == spoken {
        head::reply(id, reply.status, &reply.headers, body.into())
    } else {
        let told = dialect::translate_error(spoken, reply.status.as_u16(), &body);
        let mut headers = reply.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head::reply(id, reply.status, &headers, told.into())
    }
}

/// Ends an exchange that got no reply.
pub(super) async fn failed(account: Account, ending: Ending, text: String, fault: Fault) -> http::Response<ReplyBody> {
    let (id, spoken) = (account.id, account.dialect);
    let outcome = Outcome { ending: Some(ending), status: fault.status, fault: Some(text), ..Outcome::default() };
    drop(account.close(outcome));
    head::fault(spoken, Some(id), &fault)
}

/// The promise of a durable record could not be kept.
pub(super) fn unrecorded() -> Fault {
    Fault::unavailable(
        "recording_unavailable",
        "The gateway cannot record this request as its policy requires.",
        std::time::Duration::from_secs(5),
    )
}

impl Account {
    /// Another upstream's reply takes the place of one that failed.
    pub fn take_over(&mut self, reply: &Reply) {
        self.received = super::kept::Kept::default();
        self.upstream = Some(reply.upstream.clone());
        self.upstream_dialect = Some(reply.dialect);
        self.billed = Some((reply.model.clone(), reply.price.clone()));
        self.streamed = reply.streams();
        self.exposes_reasoning = reply.exposes_reasoning;
        self.sent = reply.sent.clone();
        self.adapted.clone_from(&reply.adapted);
        if reply.asks_usage {
            self.adapted.push("usage of the stream asked for".to_owned());
        }
        self.timings.first_byte = Some(Instant::now() - self.started);
    }
}
