//! Buffers to be used again, so that a long stream does not ask the system for new pages.

/// The most bytes to keep: a batch of small packets (1 MiB) and a few of the largest.
const MAX_KEPT: usize = 4 << 20;

/// Buffers waiting for their next packet.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<Vec<u8>>,
    kept: usize,
}

impl Pool {
    /// A buffer of `len` bytes, with arbitrary content.
    ///
    /// Never a buffer of twice the size: a consumer that holds packets back counts their bytes, not
    /// their capacity.
    pub(super) fn take(&mut self, len: usize) -> Vec<u8> {
        let fits = |buffer: &Vec<u8>| (len..2 * len).contains(&buffer.capacity());
        let mut buffer = match self.free.iter().rposition(fits) {
            Some(at) => {
                let buffer = self.free.swap_remove(at);
                self.kept -= buffer.capacity();
                buffer
            }
            // Not `with_capacity`: the system gives `vec!` its zeros at no cost.
            None => vec![0; len],
        };
        buffer.resize(len, 0);
        buffer
    }

    /// Keeps a buffer for later, or frees it.
    pub(super) fn put(&mut self, buffer: Vec<u8>) {
        if self.kept + buffer.capacity() <= MAX_KEPT && buffer.capacity() > 0 {
            self.kept += buffer.capacity();
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_its_own_size_only() {
        let mut pool = Pool::default();
        pool.put(vec![9; 8192]);
        assert_eq!(pool.take(4096)[0], 0);
        assert_eq!(pool.take(8192)[0], 9);
        assert_eq!(pool.take(8192)[0], 0);
    }

    #[test]
    fn it_keeps_no_more_than_its_limit() {
        let mut pool = Pool::default();
        for _ in 0..100 {
            pool.put(vec![0; 1 << 20]);
        }
        assert_eq!(pool.free.len(), 4);
        assert!(pool.kept <= MAX_KEPT);
    }
}
