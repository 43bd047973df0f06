//! Memory for what a step computes on its way, kept from one use to the next: asking the system for megabytes and clearing
//! them costs more than filling them. It remembers no values for anybody.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody uses just now.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    free: Mutex<Vec<Vec<f32>>>,
}

/// More than a step uses at once.
const MOST: usize = 16;

impl Rooms {
    /// A buffer whose values are whatever was there before.
    pub(crate) fn take(&self, length: usize) -> Room<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = free.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
        let best = fits.min_by_key(|(_, buffer)| buffer.len()).map(|(index, _)| index);
        let buffer = match best {
            Some(index) => free.swap_remove(index),
            None => {
                // One that is too small gives way, so that a longer prompt does not leave both.
                free.pop();
                vec![0.0; length]
            }
        };
        drop(free);
        Room { buffer, length, rooms: self }
    }
}

/// A buffer in use.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    buffer: Vec<f32>,
    length: usize,
    rooms: &'a Rooms,
}

impl Deref for Room<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.length]
    }
}

impl DerefMut for Room<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut free = self.rooms.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MOST {
            free.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_is_large_enough() {
        let rooms = Rooms::default();
        let mut first = rooms.take(10);
        first.fill(3.0);
        drop(first);
        let second = rooms.take(4);
        assert_eq!(&*second, [3.0; 4]);
        assert_eq!(&*rooms.take(4), [0.0; 4], "two at once are two");
        drop(second);
        assert_eq!(rooms.take(11).len(), 11);
    }
}
