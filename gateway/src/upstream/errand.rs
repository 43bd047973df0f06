//! Short requests of the gateway's own, to a gateway's front door or to whoever wants to be told of something. Exchanges of
//! clients never go this way.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::remote::{self, Connector};
use crate::tls::client::Trust;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes requests over connections that it keeps.
#[derive(Debug, Clone)]
pub struct Errands(legacy::Client<Connector, Full<Bytes>>);

/// An answer, with the beginning of its body.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as much of it as was to be kept.
    pub body: Bytes,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The address is none.
    Address(String),
    /// No connection, or one that broke before an answer.
    Connection(&'static str),
    /// No answer in time.
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(url) => write!(formatter, "`{url}` is no address such as `https://localhost:8443`"),
            Self::Connection(why) => formatter.write_str(why),
            Self::TimedOut => formatter.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for Error {}

impl Errands {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(trust: &Trust) -> Self {
        let builder = legacy::Client::builder(TokioExecutor::new()).timer(TokioTimer::new()).clone();
        Self(builder.build(Connector::new(trust, CONNECT)))
    }

    /// Posts a body and reads the answer to its end, of which the first bytes are kept.
    ///
    /// # Errors
    /// No answer came. An answer that broke off is one: see [`Answered::whole`].
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        (limit, kept): (Duration, usize),
    ) -> Result<Answered, Error> {
        self.ask((Method::POST, url), headers, body, (limit, kept)).await
    }

    /// Asks for something, and reads the answer as [`Errands::post`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, url: &str, headers: HeaderMap, bounds: (Duration, usize)) -> Result<Answered, Error> {
        self.ask((Method::GET, url), headers, Bytes::new(), bounds).await
    }

    async fn ask(
        &self,
        (method, url): (Method, &str),
        headers: HeaderMap,
        body: Bytes,
        (limit, kept): (Duration, usize),
    ) -> Result<Answered, Error> {
        let uri: Uri = url.parse().map_err(|_| Error::Address(url.to_owned()))?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::Address(url.to_owned()));
        }
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        let asked = async {
            let response = self.0.request(request).await.map_err(|error| Error::Connection(remote::failure(&error)))?;
            let (parts, mut body) = response.into_parts();
            let (mut taken, mut whole) = (BytesMut::new(), true);
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => {
                        let data = frame.into_data().unwrap_or_default();
                        taken.extend_from_slice(data.get(..data.len().min(kept - taken.len())).unwrap_or_default());
                    }
                    Err(_) => {
                        whole = false;
                        break;
                    }
                }
            }
            Ok(Answered { status: parts.status, headers: parts.headers, body: taken.freeze(), whole })
        };
        tokio::time::timeout(limit, asked).await.unwrap_or(Err(Error::TimedOut))
    }
}
