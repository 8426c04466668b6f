//! What was read of a connection and not yet taken.

use bytes::BytesMut;

/// Bytes that are read at once where nothing is known of what comes.
pub(super) const READ_BYTES: usize = 2 << 10;

/// A buffer that gives its memory back when it has grown.
#[derive(Debug, Default)]
pub(super) struct InputBuffer {
    pub bytes: BytesMut,
    has_grown: bool,
}

impl From<BytesMut> for InputBuffer {
    fn from(bytes: BytesMut) -> InputBuffer {
        InputBuffer {
            bytes,
            has_grown: false,
        }
    }
}

impl InputBuffer {
    /// Makes room for about `bytes`.
    pub(super) fn reserve(&mut self, bytes: usize) -> &mut BytesMut {
        self.has_grown |= self.bytes.len() + bytes > READ_BYTES;
        self.bytes.reserve(bytes);
        &mut self.bytes
    }

    /// Nothing is expected for a while.
    pub(super) fn rest(&mut self) {
        if self.has_grown && self.bytes.is_empty() {
            *self = InputBuffer::default();
        }
    }
}
