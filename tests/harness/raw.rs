//! A bare connection for input that no client library would send. It speaks whatever bytes a test writes.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::within;

/// A connection without a protocol.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// A TCP connection.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Writes bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("a write");
    }

    /// Writes bytes, where the other side may have left.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Says that nothing more will be sent; what comes can still be read.
    pub(crate) async fn half_close(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Reads until the other side closes, however it does.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset after the last words is an end like any other here.
        let _ = within("the other side to close", self.0.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Reads until a text has come or the other side closes.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&bytes).contains(text) {
            match within("bytes of the other side", self.0.read(&mut buffer)).await {
                Ok(0) | Err(_) => break,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
