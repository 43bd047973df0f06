//! The bytes of a local reply: generations polled at the reader's pace. It writes nothing itself.

use std::task::{Context, Poll};

use bytes::Bytes;
use candor_engine::Generation;

use super::write::Writer;
use crate::upstream::failure::Error;

/// Events of one choice that are taken before another has its turn.
const TURN: usize = 16;

/// A local body. Dropping it cancels what is still being generated.
#[derive(Debug)]
pub struct Speech {
    /// One for each choice; none after the end or an error.
    generations: Vec<Generation>,
    writer: Writer,
}

impl Speech {
    /// A reply that nothing was read of.
    pub fn new(generations: Vec<Generation>, writer: Writer) -> Self {
        Self { generations, writer }
    }

    /// The next bytes, never none of them.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Err(error) = self.listen(context) {
            self.generations.clear();
            return Poll::Ready(Some(Err(error)));
        }
        if self.writer.is_over() {
            self.generations.clear();
        }
        match self.writer.take() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None if self.generations.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Takes what is at hand, from each choice in turn.
    fn listen(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        for (choice, generation) in self.generations.iter_mut().enumerate() {
            for turn in 0.. {
                if self.writer.ended(choice) {
                    break;
                }
                if turn == TURN {
                    context.waker().wake_by_ref();
                    break;
                }
                match generation.poll_next(context) {
                    Poll::Pending => break,
                    Poll::Ready(Some(event)) => self.writer.event(choice, event)?,
                    Poll::Ready(None) => return Err(Error::Engine("the generation ended early".to_owned())),
                }
            }
        }
        Ok(())
    }
}
