//! The bounded queue of one request's events between the engine's thread and whoever reads: neither waits for the other
//! on this side, and the reader may be blocking or a future on any runtime.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use crate::{Error, Event};

/// Events that may wait before the request pauses.
const ROOM: usize = 32;

#[derive(Debug, Default)]
struct Mailbox {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    /// The writer has said its last word.
    ended: bool,
    /// The reader wants no more text.
    cancelled: bool,
    /// The reader is gone.
    abandoned: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the two ends of a queue. The reader wakes `engine` when there is room again.
pub(crate) fn mailbox(engine: Thread) -> (Post, Reader) {
    let mailbox = Arc::new(Mailbox::default());
    (Post { mailbox: Arc::clone(&mailbox) }, Reader { mailbox, engine })
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Post {
    mailbox: Arc<Mailbox>,
}

impl Post {
    /// Adds an event. A step adds a handful at most, and only where there was room.
    pub(crate) fn send(&self, event: Event) {
        let mut state = self.mailbox.lock();
        if state.ended || state.abandoned {
            return;
        }
        state.ended = matches!(event, Event::Done { .. } | Event::Failed(_));
        state.events.push_back(event);
        let waker = state.waker.take();
        drop(state);
        self.mailbox.news.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the reader keeps up.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.mailbox.lock();
        state.events.len() < ROOM
    }

    /// Whether the reader wants no more.
    pub(crate) fn is_cancelled(&self) -> bool {
        let state = self.mailbox.lock();
        state.cancelled || state.abandoned
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // Does nothing where the request has ended; nobody waits for ever where it has not.
        self.send(Event::Failed(Error::Internal("the engine ended before the reply did".to_owned())));
    }
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Reader {
    mailbox: Arc<Mailbox>,
    engine: Thread,
}

impl Reader {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.mailbox.lock();
        match state.events.pop_front() {
            Some(event) => {
                let was_full = state.events.len() + 1 == ROOM;
                drop(state);
                self.taken(was_full);
                Poll::Ready(Some(event))
            }
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn next_blocking(&mut self) -> Option<Event> {
        let mut state = self.mailbox.lock();
        loop {
            if let Some(event) = state.events.pop_front() {
                let was_full = state.events.len() + 1 == ROOM;
                drop(state);
                self.taken(was_full);
                return Some(event);
            }
            if state.ended {
                return None;
            }
            state = self.mailbox.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks the engine to end the reply; what was said until then still arrives.
    pub(crate) fn cancel(&self) {
        self.mailbox.lock().cancelled = true;
        self.engine.unpark();
    }

    fn taken(&self, was_full: bool) {
        if was_full {
            self.engine.unpark();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        state.abandoned = true;
        state.events.clear();
        drop(state);
        self.engine.unpark();
    }
}
