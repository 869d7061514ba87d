//! Frames of a WebSocket: those of actix-http's codec, which waits for the whole of a frame before it says that it is too
//! long. Here nothing more is taken up than the longest one may need.

use actix_http::ws::{Codec, Frame, Message, ProtocolError};
use actix_web::web::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

/// Two bytes, eight of a length, four of a mask.
const HEAD_BYTES_MAX: usize = 14;

pub(super) struct Frames {
    codec: Codec,
    bytes_max: usize,
}

impl Frames {
    pub fn new(bytes_max: usize) -> Self {
        Self { codec: Codec::new().max_size(bytes_max), bytes_max }
    }
}

impl Decoder for Frames {
    type Item = Frame;
    type Error = ProtocolError;

    fn decode(&mut self, read: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        match self.codec.decode(read)? {
            None if read.len() >= HEAD_BYTES_MAX + self.bytes_max => Err(ProtocolError::Overflow),
            decoded => Ok(decoded),
        }
    }
}

impl Encoder<Message> for Frames {
    type Error = ProtocolError;

    fn encode(&mut self, message: Message, into: &mut BytesMut) -> Result<(), ProtocolError> {
        self.codec.encode(message, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of what comes in pieces of this size, and how much was held at most.
    fn read(sent: &[u8], piece: usize) -> (Vec<Frame>, bool, usize) {
        let (mut frames, mut held, mut most) = (Frames::new(200), BytesMut::new(), 0);
        let mut decoded = Vec::new();
        for piece in sent.chunks(piece) {
            held.extend_from_slice(piece);
            most = most.max(held.len());
            loop {
                match frames.decode(&mut held) {
                    Ok(Some(frame)) => decoded.push(frame),
                    Ok(None) => break,
                    Err(_) => return (decoded, false, most),
                }
            }
        }
        (decoded, true, most)
    }

    fn frame(length: usize, head: &[u8]) -> Vec<u8> {
        [head, &[0; 4], &vec![b'a'; length]].concat()
    }

    #[test]
    fn no_more_is_held_than_the_longest_frame() {
        let longest = frame(200, &[0x81, 0xfe, 0, 200]);
        for piece in [1, 13, longest.len()] {
            let (decoded, right, _) = read(&longest, piece);
            assert!(right && decoded == [Frame::Text(vec![b'a'; 200].into())], "{piece}");
        }
        let endless = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for head in [&[0x81, 0xfe, 0, 201][..], &[0x82, 0xfe, 0xff, 0xff], &endless] {
            let (decoded, right, most) = read(&frame(100_000, head), 1);
            assert!(!right && decoded.is_empty() && most <= 200 + HEAD_BYTES_MAX, "{head:?}: {most}");
        }
    }
}
