//! One file of the hub to one blob of its cache: redirects, resuming, and the check of what came. It knows no models.

use std::fs::{File as Disk, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_RANGE, LOCATION, RANGE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{sleep, timeout};

use super::listing::File;
use super::{Error, Progress};
use crate::config::HubModel;
use crate::tls::client::Trust;
use crate::upstream::remote::{self, Connector};

/// How long a connection may take to be made, and how long it may then be silent.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Times that a file is gone on with after its connection broke.
const RESUMES: u32 = 5;

/// Bytes of a document that is no file.
const DOCUMENT: usize = 16 << 20;

/// Speaks to the hub.
pub(super) struct Client {
    client: legacy::Client<Connector, Empty<Bytes>>,
    endpoint: Uri,
    token: Option<HeaderValue>,
}

impl Client {
    /// Connects to nobody yet.
    pub(super) fn new(model: &HubModel) -> Result<Self, Error> {
        let endpoint: Uri = model.endpoint.parse().map_err(|_| Error::Endpoint)?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) || endpoint.host().is_none() {
            return Err(Error::Endpoint);
        }
        let plain = endpoint.scheme_str() == Some("http");
        let trust = Trust::open(None).or_else(|error| if plain { Trust::nobody() } else { Err(error) });
        let trust = trust.map_err(|error| Error::Trust(error.to_string()))?;
        let token = model.token.as_ref().map(|token| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| Error::Status(401))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .build(Connector::new(&trust, PATIENCE.0));
        Ok(Self { client, endpoint, token: token.transpose()? })
    }

    /// A short document.
    pub(super) async fn document(&self, url: &str) -> Result<Vec<u8>, Error> {
        let mut body = self.get(url, 0).await?.into_body();
        let mut document = Vec::new();
        while let Some(bytes) = next(&mut body).await? {
            document.extend_from_slice(&bytes);
            if document.len() > DOCUMENT {
                return Err(Error::Malformed("it is too long"));
            }
        }
        Ok(document)
    }

    /// Asks for a document from a position on, following redirects. The token goes to the hub itself and nowhere else.
    async fn get(&self, url: &str, from: u64) -> Result<Response<Incoming>, Error> {
        let mut uri: Uri = url.parse().map_err(|_| Error::Endpoint)?;
        for _ in 0..=REDIRECTS {
            let response = timeout(PATIENCE.1, self.client.request(self.request(&uri, from)));
            let response = response.await.map_err(|_| Error::Connection("the hub was silent for too long"))?;
            let response = response.map_err(|error| Error::Connection(remote::failure(&error)))?;
            match response.status() {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(response),
                status if status.is_redirection() => uri = redirected(&uri, &response)?,
                status => return Err(Error::Status(status.as_u16())),
            }
        }
        Err(Error::Malformed("it redirects without end"))
    }

    fn request(&self, uri: &Uri, from: u64) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("candor/", env!("CARGO_PKG_VERSION"))));
        if from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        let home = uri.authority() == self.endpoint.authority() && uri.scheme() == self.endpoint.scheme();
        if let Some(token) = self.token.as_ref().filter(|_| home) {
            headers.insert(AUTHORIZATION, token.clone());
        }
        request
    }
}

fn redirected(from: &Uri, response: &Response<Incoming>) -> Result<Uri, Error> {
    const WRONG: Error = Error::Malformed("it redirects to nowhere");
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or(WRONG)?;
    let target: Uri = target.parse().map_err(|_| WRONG)?;
    let mut parts = target.into_parts();
    if parts.authority.is_none() {
        parts.scheme = from.scheme().cloned();
        parts.authority = from.authority().cloned();
    }
    let target = Uri::from_parts(parts).map_err(|_| WRONG)?;
    match (from.scheme_str(), target.scheme_str()) {
        (Some("http"), Some("http" | "https")) | (_, Some("https")) => Ok(target),
        _ => Err(WRONG),
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = timeout(PATIENCE.1, body.frame()).await;
        match frame.map_err(|_| Error::Connection("the hub was silent for too long"))? {
            None => return Ok(None),
            Some(Err(_)) => return Err(Error::Connection("the connection broke")),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// Fetches a file unless it is there, going on where an earlier try ended.
pub(super) async fn transfer(
    client: &Client,
    url: &str,
    file: &File,
    blobs: &Path,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), Error> {
    let blob = blobs.join(&file.digest);
    let is_here = || std::fs::metadata(&blob).is_ok_and(|found| found.len() == file.size);
    let path = blobs.join(format!("{}.incomplete", file.digest));
    let written = |error: io::Error| Error::Disk(path.clone(), error.kind());
    if is_here() {
        return Ok(());
    }
    let mut disk =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(written)?;
    // Another process may be fetching the same file.
    disk.lock().map_err(written)?;
    if is_here() {
        return Ok(());
    }
    let mut resumes = 0;
    while let Err(error) = go_on(client, url, file, &mut disk, progress).await {
        let mends = matches!(error, Error::Connection(_) | Error::Status(408 | 429 | 500..));
        if !mends || resumes == RESUMES {
            return Err(if let Error::Disk(_, kind) = error { Error::Disk(path, kind) } else { error });
        }
        sleep(Duration::from_millis(500 << resumes)).await;
        resumes += 1;
    }
    if digest(&mut disk, file).map_err(written)? != file.digest {
        let _ = std::fs::remove_file(&path);
        return Err(Error::Digest(file.name.clone()));
    }
    disk.sync_all().and_then(|()| std::fs::rename(&path, &blob)).map_err(written)
}

/// Asks for the rest of a file and appends it.
async fn go_on(
    client: &Client,
    url: &str,
    file: &File,
    disk: &mut Disk,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), Error> {
    let written = |error: io::Error| Error::Disk(Path::new("").to_owned(), error.kind());
    let mut here = disk.seek(SeekFrom::End(0)).map_err(written)?;
    if here > file.size {
        here = restart(disk).map_err(written)?;
    }
    if here == file.size {
        return Ok(());
    }
    let response = client.get(url, here).await?;
    // Who ignores the range sends the whole file.
    if response.status() == StatusCode::OK && here > 0 {
        here = restart(disk).map_err(written)?;
    }
    if response.status() == StatusCode::PARTIAL_CONTENT && !begins_at(&response, here) {
        return Err(Error::Malformed("it sends another part than was asked for"));
    }
    let mut body = response.into_body();
    while let Some(bytes) = next(&mut body).await? {
        here += bytes.len() as u64;
        if here > file.size {
            return Err(Error::Malformed("a file is longer than promised"));
        }
        disk.write_all(&bytes).map_err(written)?;
        progress(Progress { file: &file.name, here, all: file.size });
    }
    if here < file.size { Err(Error::Connection("the connection closed early")) } else { Ok(()) }
}

fn restart(disk: &mut Disk) -> io::Result<u64> {
    disk.set_len(0)?;
    disk.seek(SeekFrom::Start(0))
}

fn begins_at(response: &Response<Incoming>, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// The digest of what is on disk, of the kind that the file's own is.
fn digest(disk: &mut Disk, file: &File) -> io::Result<String> {
    let large = file.digest.len() == 64;
    let mut context = digest::Context::new(if large { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY });
    if !large {
        // Git hashes its own header too.
        context.update(format!("blob {}\0", file.size).as_bytes());
    }
    disk.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match disk.read(&mut buffer)? {
            0 => break,
            length => context.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
