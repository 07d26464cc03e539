//! Bytes of a fuzzer, read from their beginning. They never end with an error: what is missing is
//! 0 or empty.

/// What is left of them.
#[derive(Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// So many bytes, or those that there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes behind their count, which has one byte.
    pub fn short(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.take(count.into())
    }

    /// Bytes behind their count, which has two bytes.
    pub fn long(&mut self) -> &'a [u8] {
        let count = u16::from_be_bytes([self.byte(), self.byte()]);
        self.take(count.into())
    }
}
