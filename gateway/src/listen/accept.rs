//! Binds an address and takes connections from it, each to the worker with the fewest. It reads nothing from them.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::front::{Alive, Counts};
use super::worker::Worker;
use crate::admit::{Closing, Phase};

/// How long to wait when the system has no descriptor or memory for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why an address cannot be listened on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What it said.
        error: io::Error,
    },
    /// A worker could not be started.
    Worker(io::Error),
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, error } => {
                let hint = match error.kind() {
                    ErrorKind::AddrInUse => "; end the program that has it, or choose another port",
                    ErrorKind::PermissionDenied => "; choose a port from 1024, or allow the program to bind this one",
                    ErrorKind::AddrNotAvailable => "; it is not an address of this machine",
                    _ => "",
                };
                write!(formatter, "listen on {address}: {error}{hint}")
            }
            Self::Worker(error) => write!(formatter, "start a worker thread: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Binds an address; port 0 asks the system for one.
///
/// # Errors
/// Where the system refuses.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| Error::Bind { address, error })
}

/// A connection on its way to a worker.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) open: Open,
}

/// A place among the open connections, given back when it is dropped.
pub(super) struct Open {
    counts: Arc<Counts>,
    worker: Arc<std::sync::atomic::AtomicUsize>,
    _permit: OwnedSemaphorePermit,
    _alive: Alive,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        self.worker.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes connections until the process is on its way out.
pub(super) struct Acceptor {
    pub(super) listener: tokio::net::TcpListener,
    pub(super) room: Arc<Semaphore>,
    pub(super) workers: Vec<Worker>,
    pub(super) counts: Arc<Counts>,
    pub(super) alive: Alive,
    pub(super) closing: Closing,
}

impl Acceptor {
    /// Runs; the listener is closed when this ends.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut closing = self.closing.clone();
        tokio::select! {
            () = self.take_all() => {}
            _ = closing.wait_for(|phase| *phase != Phase::Serving) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn take_all(&self) {
        // Room is taken before a connection is: what there is no room for waits in the system's queue.
        while let Ok(permit) = self.room.clone().acquire_owned().await {
            let (socket, address) = self.next().await;
            self.counts.accepted.fetch_add(1, Ordering::Relaxed);
            self.hand_over(socket, address, permit).await;
        }
    }

    async fn next(&self) -> (TcpStream, SocketAddr) {
        let mut exhausted = false;
        loop {
            // The socket leaves this runtime, so that its worker's can wait for it.
            let accepted = self.listener.accept().await;
            let error = match accepted.and_then(|(socket, address)| Ok((socket.into_std()?, address))) {
                Ok(accepted) => return accepted,
                Err(error) => error,
            };
            if of_one_connection(&error) {
                continue;
            }
            if !exhausted {
                exhausted = true;
                tracing::warn!(%error, "connections cannot be accepted; trying on");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn hand_over(&self, socket: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let mut by_load: Vec<&Worker> = self.workers.iter().filter(|worker| !worker.gone()).collect();
        by_load.sort_by_key(|worker| worker.open.load(Ordering::Relaxed));
        let Some(least) = by_load.first() else { return };
        least.open.fetch_add(1, Ordering::Relaxed);
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        let open = Open {
            counts: self.counts.clone(),
            worker: least.open.clone(),
            _permit: permit,
            _alive: self.alive.clone(),
        };
        least.hand(Accepted { socket, address, open }).await;
    }
}

/// Whether an error is about the connection that was to be taken, not about taking connections.
fn of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, PermissionDenied, TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
            | WouldBlock
    )
}
