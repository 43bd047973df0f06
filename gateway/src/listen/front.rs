//! An address, its acceptor and its workers as one thing that is opened, watched and stopped. It serves nothing itself.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

use super::accept::{Acceptor, Error};
use super::connection::Server;
use super::{Answer, worker};
use crate::admit::Closing;
use crate::config::Limits;
use crate::tls;

/// How long threads may take to notice that they are to stop.
const STOP: Duration = Duration::from_secs(2);

/// Shows by being dropped that a connection is over.
pub(super) type Alive = mpsc::Sender<Infallible>;

/// How a front serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What its threads are called.
    pub name: &'static str,
    /// Number of worker threads.
    pub workers: usize,
    /// Bounds on connections.
    pub limits: Limits,
    /// TLS; `None` is plain HTTP.
    pub tls: Option<Arc<tls::Server>>,
    /// The process's phase.
    pub closing: Closing,
}

/// What happened to connections.
#[derive(Debug, Default)]
pub struct Counts {
    /// Open now.
    pub open: AtomicUsize,
    /// Accepted since the start.
    pub accepted: AtomicU64,
    /// Handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Closed because a request head did not come in time.
    pub slow: AtomicU64,
    /// Closed because their client did not take its reply.
    pub stalled: AtomicU64,
    /// Closed because their client opened streams only to reset them.
    pub flooded: AtomicU64,
}

/// An address that is served.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    counts: Arc<Counts>,
    alive: mpsc::Receiver<Infallible>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Front {
    /// Starts to serve; `answer` is called once on each worker's own runtime.
    ///
    /// # Errors
    /// Where threads or descriptors are lacking.
    pub fn open<A: Answer>(
        listener: TcpListener,
        settings: &Settings,
        answer: impl Fn() -> Arc<A> + Clone + Send + 'static,
    ) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(Error::Worker)?;
        let counts = Arc::new(Counts::default());
        let (holder, alive) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let server = Arc::new(Server::new(settings, counts.clone()));
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for number in 0..settings.workers.max(1) {
            let name = format!("{}-{number}", settings.name);
            let (worker, thread) =
                worker::start(name, server.clone(), answer.clone(), stopped.clone()).map_err(Error::Worker)?;
            workers.push(worker);
            threads.push(thread);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Worker)?;
        let acceptor = Acceptor {
            listener: {
                let _entered = runtime.enter();
                tokio::net::TcpListener::from_std(listener).map_err(Error::Worker)?
            },
            room: Arc::new(Semaphore::new(settings.limits.connections.min(Semaphore::MAX_PERMITS))),
            workers,
            counts: counts.clone(),
            alive: holder,
            closing: settings.closing.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("{}-accept", settings.name));
        threads.push(thread.spawn(move || runtime.block_on(acceptor.run(stopped))).map_err(Error::Worker)?);
        Ok(Self { address, counts, alive, stop, threads })
    }

    /// The address as bound, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened to connections.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Waits until nothing is accepted any more and every connection is over.
    pub async fn quiet(&mut self) {
        // Nothing is ever sent: what ends the wait is the last holder's end.
        while self.alive.recv().await.is_some() {}
    }

    /// Ends all threads, whatever they are at.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let threads = self.threads;
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().filter_map(|thread| thread.join().err()).count());
        match tokio::time::timeout(STOP, joined).await {
            Ok(Ok(0)) => {}
            Ok(_) => tracing::error!("a worker thread had panicked"),
            Err(_) => tracing::warn!("a worker thread does not stop; leaving it"),
        }
    }
}

impl Counts {
    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}
