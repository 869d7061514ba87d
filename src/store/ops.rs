//! Row operations as flat bytes: what a record does to the store, so that a follower needs no context's code.
//!
//! `tag u8 · key length u32 · value length u32 · key · value`, one after the other.

/// What one operation does. Stored and hashed: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpTag {
    Put = 1,
    Delete = 2,
    PutEvent = 3,
    /// The key is made by the committer from the batch's position and the item's index.
    PutOutbox = 4,
    /// The same for what leaves the server: the key given is its lane's, position and index are appended.
    PutPost = 5,
    /// Removes a record: trimmed behind a base, or erased with its organisation.
    DeleteEvent = 6,
}

/// A growing list of row operations.
#[derive(Debug, Default, Clone)]
pub struct Ops {
    bytes: Vec<u8>,
}

const HEAD: usize = 9;

/// One operation as it is read back.
#[derive(Debug, PartialEq, Eq)]
pub struct Op<'a> {
    pub tag: OpTag,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

impl Ops {
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(OpTag::Put, key, |bytes| bytes.extend_from_slice(value));
    }

    pub fn delete(&mut self, key: &[u8]) {
        self.push(OpTag::Delete, key, |_| {});
    }

    /// Writes the value straight behind its key, without a buffer of its own.
    pub fn push(&mut self, tag: OpTag, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.push(tag as u8);
        self.bytes.extend_from_slice(&length(key.len()));
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(key);
        let before = self.bytes.len();
        value(&mut self.bytes);
        let written = length(self.bytes.len() - before);
        self.bytes[start + 5..start + HEAD].copy_from_slice(&written);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Op<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(HEAD)?;
            let tag = match head[0] {
                1 => OpTag::Put,
                2 => OpTag::Delete,
                3 => OpTag::PutEvent,
                4 => OpTag::PutOutbox,
                5 => OpTag::PutPost,
                6 => OpTag::DeleteEvent,
                _ => return None,
            };
            let size = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            let (key, behind) = behind.split_at_checked(size(1))?;
            let (value, behind) = behind.split_at_checked(size(5))?;
            rest = behind;
            Some(Op { tag, key, value })
        })
    }
}

/// A record's keys and values are far below 4 GiB: bodies and mailboxes are bounded.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_was_written() {
        let mut ops = Ops::default();
        ops.put(b"key", b"value");
        ops.delete(b"gone");
        ops.push(OpTag::PutEvent, b"", |bytes| bytes.extend_from_slice(b"event"));
        let read: Vec<_> = ops.iter().map(|op| (op.tag, op.key.to_vec(), op.value.to_vec())).collect();
        assert_eq!(
            read,
            [
                (OpTag::Put, b"key".to_vec(), b"value".to_vec()),
                (OpTag::Delete, b"gone".to_vec(), vec![]),
                (OpTag::PutEvent, vec![], b"event".to_vec()),
            ]
        );
    }
}
