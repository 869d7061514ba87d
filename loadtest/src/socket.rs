//! A WebSocket as RFC 6455 has it, from the client's side, no larger than a box's link needs: short texts, pings, an end.

use crate::client::{ClientError, Target};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FRAME_BYTES_MAX: usize = 64 << 10;

/// What comes from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Ping(Vec<u8>),
    /// Its code and its words.
    Close(u16, String),
}

pub struct Ears {
    stream: OwnedReadHalf,
    bytes: Vec<u8>,
}

pub struct Mouth(OwnedWriteHalf);

/// Opens a box's link; `Err` with the status of an answer that is no link.
pub async fn open(target: &Target, token: &str) -> Result<Result<(Ears, Mouth), u16>, ClientError> {
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /box/v1/link HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.host
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(ClientError::Closed);
        }
    };
    let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match status {
        Some(101) => {
            let (reader, writer) = stream.into_split();
            // What is kept for an idle link is small.
            Ok(Ok((Ears { stream: reader, bytes: bytes[end..].to_vec() }, Mouth(writer))))
        }
        Some(status) => Ok(Err(status)),
        None => Err(ClientError::Unreadable("not an HTTP answer")),
    }
}

impl Ears {
    /// The next frame; `None` when the connection has ended.
    pub async fn hear(&mut self) -> Result<Option<Heard>, ClientError> {
        loop {
            if let Some((opcode, from, to)) = frame(&self.bytes)? {
                let payload: Vec<u8> = self.bytes.drain(..to).skip(from).collect();
                let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                match opcode {
                    TEXT => return Ok(Some(Heard::Text(words(&payload)))),
                    PING => return Ok(Some(Heard::Ping(payload))),
                    CLOSE => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        return Ok(Some(Heard::Close(code, words(payload.get(2..).unwrap_or_default()))));
                    }
                    PONG => continue,
                    _ => return Err(ClientError::Unreadable("a frame that no link has")),
                }
            }
            if self.stream.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// The first frame, if it is whole: its kind, where its content begins and ends.
fn frame(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, ClientError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (length, from) = match second & 127 {
        126 => match rest.first_chunk() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => return Err(ClientError::Unreadable("a frame that is too long")),
        length => (usize::from(length), 2),
    };
    if second & 128 != 0 || first & 0x70 != 0 || first & 128 == 0 || length > FRAME_BYTES_MAX {
        return Err(ClientError::Unreadable("a frame that no link has"));
    }
    Ok((bytes.len() >= from + length).then_some((first & 15, from, from + length)))
}

impl Mouth {
    pub async fn say(&mut self, text: &str) -> Result<(), ClientError> {
        self.send(TEXT, text.as_bytes()).await
    }

    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send(PONG, payload).await
    }

    /// The mask protects proxies from scripts, of which there are none here.
    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), ClientError> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
        let length = length.ok_or(ClientError::Unreadable("a link's texts are short"))?;
        let mut frame = vec![128 | opcode, 128 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        Ok(self.0.write_all(&frame).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_when_they_are_whole() {
        let mut long = vec![0x81, 126, 1, 0];
        long.extend([b'x'; 256]);
        for (bytes, found) in [
            (&[][..], None),
            (&[0x81][..], None),
            (&[0x81, 2, b'h'][..], None),
            (&[0x81, 2, b'h', b'i', 9][..], Some((TEXT, 2, 4))),
            (&[0x88, 2, 3, 244][..], Some((CLOSE, 2, 4))),
            (&long[..3], None),
            (&long[..], Some((TEXT, 4, 260))),
        ] {
            assert_eq!(frame(bytes).unwrap(), found, "{bytes:?}");
        }
        for strange in [&[0x01, 1, b'x'][..], &[0x81, 0x81, 1, 2, 3, 4, b'x'], &[0x81, 127, 0, 0], &[0xc1, 0]] {
            assert!(frame(strange).is_err(), "{strange:?}");
        }
    }
}
