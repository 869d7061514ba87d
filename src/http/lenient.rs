//! Request targets as old clients write them: raw UTF-8, quotes, angle brackets. The reader of HTTP refuses those, so
//! they are escaped before it sees them, in the first line of each request. Where that line stands on a kept connection
//! is known from the frames of the requests before (`framing.rs`); behind one whose frame is not plain, lines are read
//! strictly until the connection ends.
//! And whoever speaks HTTP/1.0 is answered with `HTTP/1.1 200 OK`, as RFC 9110 (2.5) has it: old clients compare that
//! line to the letter.
//! Where the connection goes on as something other than HTTP, its socket is handed over (`handover.rs`).

use super::{
    framing::{Framing, Part},
    handover::Handover,
};
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose request lines are made readable.
pub(super) struct Lenient<T> {
    /// Until it is handed over.
    io: Option<T>,
    handover: Rc<Handover>,
    framing: Framing,
    /// What was escaped and not taken yet.
    rest: Vec<u8>,
    taken: usize,
    /// The client speaks HTTP/1.0, and its answer has not begun.
    is_old: bool,
}

impl<T> Lenient<T> {
    pub fn new(io: T) -> Self {
        let (handover, framing) = (Rc::default(), Framing::default());
        Self { io: Some(io), handover, framing, rest: Vec::new(), taken: 0, is_old: false }
    }

    pub fn get_ref(&self) -> Option<&T> {
        self.io.as_ref()
    }

    pub fn handover(&self) -> Rc<Handover> {
        Rc::clone(&self.handover)
    }

    fn hand_out(&mut self, to: &mut ReadBuf<'_>) {
        let count = to.remaining().min(self.rest.len() - self.taken);
        to.put_slice(&self.rest[self.taken..self.taken + count]);
        self.taken += count;
        if self.taken == self.rest.len() {
            (self.rest, self.taken) = (Vec::new(), 0);
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut T>>
    where
        T: Unpin,
    {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What was read with its request lines escaped; `None` if nothing need be.
    fn escaped(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        let (mut escaped, mut at) = (None, 0);
        while at < read.len() {
            let (part, behind) = self.framing.next(&read[at..]);
            let piece = &read[at..at + behind];
            if part == Part::Line {
                self.is_old = piece.ends_with(b"\n") && piece.trim_ascii_end().ends_with(OLD);
                if piece.iter().any(|byte| must_be_escaped(*byte)) {
                    escape(piece, escaped.get_or_insert_with(|| read[..at].to_vec()));
                    at += behind;
                    continue;
                }
            }
            if let Some(escaped) = &mut escaped {
                escaped.extend_from_slice(piece);
            }
            at += behind;
        }
        escaped
    }
}

const OLD: &[u8] = b"HTTP/1.0";
const NEW: &[u8] = b"HTTP/1.1";

fn must_be_escaped(byte: u8) -> bool {
    byte >= 0x80 || b"\"<>\\^`{|}".contains(&byte)
}

fn escape(line: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in line {
        if must_be_escaped(*byte) {
            into.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            into.push(*byte);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lenient<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.handover.is_asked() {
            // The end of what is HTTP.
            return Poll::Ready(Ok(()));
        }
        if this.rest.is_empty() {
            let before = to.filled().len();
            ready!(this.io()?.poll_read(cx, to))?;
            match this.escaped(&to.filled()[before..]) {
                Some(rest) => this.rest = rest,
                None => return Poll::Ready(Ok(())),
            }
            to.set_filled(before);
        }
        this.hand_out(to);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for Lenient<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_old && bytes.starts_with(OLD) {
            let written = ready!(this.io()?.poll_write(cx, &[NEW, &bytes[OLD.len()..]].concat()))?;
            // Should it stop within the version, the old one is told: they differ in the last byte alone.
            this.is_old = false;
            return Poll::Ready(Ok(written));
        }
        this.io()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.io()?.poll_flush(cx))?;
        if this.handover.is_asked() {
            // So that whoever reads requests looks again, and finds their end.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // All is written by now. What was read too far would be missing.
        if this.handover.is_asked() && this.rest.is_empty() {
            if let Some(io) = this.io.take() {
                this.handover.give(Box::new(io));
            }
            return Poll::Ready(Ok(()));
        }
        this.io()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_old {
            let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
            return self.poll_write(cx, first);
        }
        self.get_mut().io()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(T::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Gives pieces one after another, the last first.
    struct Pieces(Vec<Vec<u8>>);

    async fn read_in_pieces(sent: &[u8], piece: usize) -> Vec<u8> {
        let mut lenient = Lenient::new(Pieces(sent.chunks(piece).rev().map(<[u8]>::to_vec).collect()));
        let (mut all, mut part) = (Vec::new(), [0; 7]);
        while let Ok(count @ 1..) = lenient.read(&mut part).await {
            all.extend_from_slice(&part[..count]);
        }
        all
    }

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop() {
                let count = piece.len().min(to.remaining());
                to.put_slice(&piece[..count]);
                if count < piece.len() {
                    piece.drain(..count);
                    self.0.push(piece);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn request_lines_alone_are_escaped_however_they_come() {
        let sent =
            "GET /a?name=Zoë \"x\" HTTP/1.1\r\nX: Zoë \"y\"\r\n\r\nPOST /b HTTP/1.1\r\ncontent-LENGTH:  7 \r\n\r\n\
                    GET /Ü\r\nGET /<Ö> HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\nÜ"
                .as_bytes();
        let expected = "GET /a?name=Zo%C3%AB %22x%22 HTTP/1.1\r\nX: Zoë \"y\"\r\n\r\nPOST /b HTTP/1.1\r\n\
                        content-LENGTH:  7 \r\n\r\nGET /Ü\r\nGET /%3C%C3%96%3E HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\nÜ"
            .as_bytes();
        for piece in 1..sent.len() + 1 {
            assert_eq!(read_in_pieces(sent, piece).await, expected, "{piece}");
        }
        let plain = b"POST /box/v1/sync HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"a\":\"\xc3\"}";
        assert_eq!(read_in_pieces(plain, 1000).await, plain);
    }

    /// Reads one request and takes what is written.
    struct Wire(Option<&'static [u8]>, Vec<u8>);

    impl AsyncRead for Wire {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            to.put_slice(self.0.take().unwrap_or_default());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.1.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn an_old_client_reads_the_version_that_it_knows() {
        for (request, answer, told) in [
            (
                &b"GET /a HTTP/1.0\r\n\r\n"[..],
                &b"HTTP/1.0 200 OK\r\n\r\nHTTP/1.0"[..],
                &b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.0"[..],
            ),
            (b"GET /a HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            (b"GET /HTTP/1.0 HTTP/1.1\r\n\r\n", b"HTTP/1.0 200 OK", b"HTTP/1.0 200 OK"),
        ] {
            let mut lenient = Lenient::new(Wire(Some(request), Vec::new()));
            assert_eq!(lenient.read(&mut [0; 100]).await.unwrap(), request.len());
            lenient.write_all(answer).await.unwrap();
            lenient.write_all(b"HTTP/1.0").await.unwrap();
            assert_eq!(lenient.io.as_ref().unwrap().1, [told, b"HTTP/1.0"].concat());
            let mut lenient = Lenient::new(Wire(Some(request), Vec::new()));
            assert_eq!(lenient.read(&mut [0; 100]).await.unwrap(), request.len());
            let mut parts = [io::IoSlice::new(b""), io::IoSlice::new(answer)];
            let mut parts = &mut parts[..];
            while !parts.is_empty() {
                let written = lenient.write_vectored(parts).await.unwrap();
                io::IoSlice::advance_slices(&mut parts, written);
            }
            assert_eq!(lenient.io.as_ref().unwrap().1, told);
        }
    }
}
