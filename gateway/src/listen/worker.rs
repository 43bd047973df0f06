//! Threads that serve connections, each with a runtime of its own, so that what belongs to a connection never moves
//! between cores. They do not choose what they are handed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::Answer;
use super::accept::Accepted;
use super::connection::Server;

/// Connections that may wait for a worker that is busy; the acceptor waits when there are more.
const WAITING: usize = 64;

/// The acceptor's end of a worker.
pub(super) struct Worker {
    sockets: mpsc::Sender<Accepted>,
    /// Connections that it has or is being handed.
    pub(super) open: Arc<AtomicUsize>,
}

impl Worker {
    /// Whether the thread is no more.
    pub(super) fn gone(&self) -> bool {
        self.sockets.is_closed()
    }

    /// Hands it a connection; waits while it has too many to look at.
    pub(super) async fn hand(&self, accepted: Accepted) {
        // A worker that went away in between drops the connection, and the next one goes elsewhere.
        let _ = self.sockets.send(accepted).await;
    }
}

/// Starts a worker; `answer` is called once, on its runtime. It runs until `stop` says so or is dropped.
pub(super) fn start<A: Answer>(
    name: String,
    server: Arc<Server>,
    answer: impl FnOnce() -> Arc<A> + Send + 'static,
    stop: watch::Receiver<bool>,
) -> std::io::Result<(Worker, JoinHandle<()>)> {
    let (sockets, waiting) = mpsc::channel(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(work(waiting, &server, answer, stop));
        // Tasks end where they wait. Blocking ones are not waited for.
        runtime.shutdown_background();
    })?;
    Ok((Worker { sockets, open: Arc::new(AtomicUsize::new(0)) }, thread))
}

async fn work<A: Answer>(
    mut waiting: mpsc::Receiver<Accepted>,
    server: &Arc<Server>,
    answer: impl FnOnce() -> Arc<A>,
    mut stop: watch::Receiver<bool>,
) {
    let answer = answer();
    let runtime = tokio::runtime::Handle::current();
    let serve = async {
        while let Some(accepted) = waiting.recv().await {
            runtime.spawn(server.clone().attend(accepted, answer.clone()));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
