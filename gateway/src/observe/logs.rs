//! Logs: events that pass the filter, as lines on standard error. A reader that does not keep up loses lines, which are
//! counted, rather than holding a worker up.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Observe};

/// Lines that may wait to be written.
const WAITING: usize = 4096;

/// Why logging could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The filter is not one.
    Filter(String),
    /// The thread that writes could not be started.
    Thread(io::Error),
    /// Something logs already.
    Started,
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(why) => write!(formatter, "observe.log.filter: {why}; write `info` or `info,candor=debug`"),
            Self::Thread(error) => write!(formatter, "start the log thread: {error}"),
            Self::Started => formatter.write_str("start logging: it has been started already"),
        }
    }
}

impl std::error::Error for Error {}

/// Keeps logging; what still waits is written when it is dropped.
#[derive(Debug)]
pub struct Logs {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

/// Starts to log for the whole process.
///
/// # Errors
/// See [`Error`].
pub fn start(observe: &Observe) -> Result<Logs, Error> {
    let filter = EnvFilter::builder().parse(&observe.log_filter).map_err(|error| Error::Filter(error.to_string()))?;
    let logs = Logs::new(io::stderr()).map_err(Error::Thread)?;
    let writer = logs.lines.clone();
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer();
    let started = match observe.log_format {
        LogFormat::Human => registry.with(layer.with_ansi(io::stderr().is_terminal()).with_writer(writer)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true).with_writer(writer)).try_init(),
    };
    started.map_err(|_| Error::Started)?;
    Ok(logs)
}

impl Logs {
    fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        let name = "candor-log".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(move || write_all(&lines, &counted, out))?;
        Ok(Self { lines: Lines { sender, lost }, thread: Some(thread) })
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // The subscriber lives as long as the process and holds a sender, so the end is a message of its own.
        if self.lines.sender.send(None).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Writes lines until the end is announced; an output that is closed ends nothing but the writing.
fn write_all(lines: &Receiver<Option<Vec<u8>>>, lost: &AtomicU64, mut out: impl Write) {
    while let Ok(Some(line)) = lines.recv() {
        let _ = out.write_all(&line);
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were lost: standard error is not read fast enough");
        }
    }
    let _ = out.flush();
}

/// Takes whole lines without waiting.
#[derive(Debug, Clone)]
struct Lines {
    sender: SyncSender<Option<Vec<u8>>>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, bytes: Vec::new() }
    }
}

/// One line, handed over when it is dropped.
struct Line<'a> {
    lines: &'a Lines,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        if !line.is_empty() && self.lines.sender.try_send(Some(line)).is_err() {
            self.lines.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// What was written, and a gate that holds the writer up.
    #[derive(Clone)]
    struct Out(Arc<Mutex<Vec<u8>>>, Arc<Mutex<mpsc::Receiver<()>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.lock().unwrap().recv();
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn slow_reader_loses_counted_lines_and_holds_nobody_up() {
        let (gate, wait) = sync_channel(0);
        let out = Out(Arc::default(), Arc::new(Mutex::new(wait)));
        let logs = Logs::new(out.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(logs.lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..WAITING + 100 {
                tracing::info!(number, "line");
            }
        });
        // From here on the gate is open.
        drop(gate);
        drop(logs);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let written = text.lines().filter(|line| line.contains("line number=")).count();
        let lost: usize = text.lines().find_map(|line| line.split_once(" log lines")?.0.parse().ok()).unwrap();
        assert_eq!(written + lost, WAITING + 100);
        assert!(lost >= 99, "{lost}");
    }

    #[test]
    fn bad_filter_says_what_to_write() {
        let loaded = crate::config::read("test", "", None, &crate::config::Environment::default()).unwrap();
        let observe = Observe { log_filter: "candor=loud".to_owned(), ..loaded.config.observe };
        let error = start(&observe).unwrap_err().to_string();
        assert!(error.starts_with("observe.log.filter: ") && error.contains("write `info`"), "{error}");
    }
}
