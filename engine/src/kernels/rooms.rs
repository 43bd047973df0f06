//! Memory for what a step computes on its way, kept from one use to the next: asking the system for megabytes and clearing
//! them costs more than filling them. It remembers no values for anybody.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that nobody uses just now.
#[derive(Debug, Default)]
pub(crate) struct Rooms<T> {
    free: Mutex<Vec<Vec<T>>>,
}

/// More than a step uses at once: a mixture's experts have rows of their own.
const MOST: usize = 1024;

/// Small buffers have lengths that many requests share.
const SMALL: usize = 1 << 18;

impl<T: Copy + Default> Rooms<T> {
    /// A buffer whose values are whatever was there before.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Room<T> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = free.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
        let best = fits.min_by_key(|(_, buffer)| buffer.len()).map(|(index, _)| index);
        let buffer = match best {
            Some(index) => free.swap_remove(index),
            None => {
                let enough = if length < SMALL { length.next_power_of_two() } else { length };
                if length >= SMALL {
                    // One that is too small gives way, so that a longer prompt does not leave both.
                    let next = free.iter().enumerate().filter(|(_, buffer)| buffer.len() >= SMALL);
                    let next = next.max_by_key(|(_, buffer)| buffer.len()).map(|(index, _)| index);
                    next.map(|index| free.swap_remove(index));
                }
                vec![T::default(); enough]
            }
        };
        drop(free);
        Room { buffer, length, rooms: Arc::clone(self) }
    }
}

/// A buffer in use.
#[derive(Debug)]
pub(crate) struct Room<T> {
    buffer: Vec<T>,
    length: usize,
    rooms: Arc<Rooms<T>>,
}

impl<T> Deref for Room<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[..self.length]
    }
}

impl<T> DerefMut for Room<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[..self.length]
    }
}

impl<T> Drop for Room<T> {
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
        let rooms = Arc::<Rooms<f32>>::default();
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
