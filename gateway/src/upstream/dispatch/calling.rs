//! One call of one upstream: which dialect is spoken to it, and what is sent. Whether to call again is decided elsewhere.

use bytes::Bytes;
use tokio::time::Instant;

use super::{Called, Dispatch, Outgoing, body};
use crate::dialect::{self, Translated};
use crate::exchange::{Dialect, Request};
use crate::upstream::adapt::Adapted;
use crate::upstream::backends::Kind;
use crate::upstream::failure::Error;
use crate::upstream::lease::Lease;
use crate::upstream::reply::{Answer, Tells};
use crate::upstream::{local, remote};

impl Dispatch {
    /// Makes one call, in the client's dialect where the upstream speaks it. Where it turns out that nothing is served
    /// there, no model was asked, so it is asked in its main dialect.
    pub(super) async fn call(&self, lease: &Lease, model: &str) -> Result<Called, Error> {
        let backend = lease.backend();
        let request = self.requests.at(backend.name());
        let mut dialect = backend.dialect(request.dialect, Instant::now()).ok_or_else(|| unspoken(request.dialect))?;
        loop {
            let called = self.call_in(dialect, lease, model, request).await?;
            // Clients ask whether tokens are counted at all, and know the answer no.
            if called.answer.tells != Tells::Absent || dialect == Dialect::AnthropicCount {
                return Ok(called);
            }
            let status = called.answer.status.as_u16();
            let absent = Error::Absent { dialect: dialect.name(), status };
            dialect = backend.note_absence(dialect, status, Instant::now()).ok_or(absent)?;
        }
    }

    async fn call_in(&self, dialect: Dialect, lease: &Lease, model: &str, request: &Request) -> Result<Called, Error> {
        if dialect == request.dialect {
            let (answer, sent) = self.call_with(lease, model, request).await?;
            return Ok(Called { answer, sent, dialect, dropped: Vec::new() });
        }
        let Translated { request: translated, dropped } = dialect::translate(request, dialect)?;
        let (mut answer, sent) = self.call_with(lease, model, &translated).await?;
        if lease.backend().kind().dialect(request.dialect) == Some(request.dialect) {
            let (asked, absent) = (dialect.name(), request.dialect.name());
            answer.adapted.push(format!("asked in {asked} because {absent} is not served"));
        }
        Ok(Called { answer, sent: sent.or(Some(translated.raw)), dialect, dropped })
    }

    /// Makes one call with a request in a dialect that the upstream speaks; with the answer comes the body as sent, where it
    /// differs from the request's.
    async fn call_with(&self, lease: &Lease, model: &str, request: &Request) -> Result<(Answer, Option<Bytes>), Error> {
        let backend = lease.backend();
        match backend.kind() {
            Kind::Remote(target) => {
                let connections = self.upstreams.connections(backend, target);
                let Adapted { body, changes, gathers } = target.adapt(body(request, model), model, request.dialect)?;
                let changed = request.edited || model != request.model || !changes.is_empty();
                let asking = target.ask_usage(&body, request);
                let asks_usage = asking.is_some();
                let body = asking.unwrap_or(body);
                let sent = changed.then(|| body.clone());
                let Outgoing { id, headers } = &self.outgoing;
                let (dialect, asked) = (request.dialect, self.requests.any().dialect);
                let call = remote::Call { id: *id, dialect, asked, headers, body, stream: request.stream || gathers };
                let answer = connections.send(target, call).await?;
                Ok((Answer { adapted: changes, gathers, asks_usage, ..answer }, sent))
            }
            Kind::Local(engine) => {
                let call = local::Call { id: self.outgoing.id, model, request };
                if request.dialect.counts_only() {
                    return Ok((engine.count(call).await?, request.edited.then(|| request.raw.clone())));
                }
                let answer = engine.answer(call).await?;
                Ok((answer, request.edited.then(|| request.raw.clone())))
            }
        }
    }
}

/// No upstream can be asked that in any dialect that it speaks.
fn unspoken(dialect: Dialect) -> Error {
    let message = match dialect.counts_only() {
        true => "The upstream of this model cannot count tokens: it has no `/v1/messages/count_tokens`.".to_owned(),
        false => format!("The upstream of this model does not serve `{}`.", dialect.name()),
    };
    Error::Request { parameter: Some("model".to_owned()), message }
}

impl From<dialect::RequestError> for Error {
    fn from(error: dialect::RequestError) -> Self {
        let parameter = error.parameter().map(str::to_owned);
        Self::Request { parameter, message: error.to_string() }
    }
}
