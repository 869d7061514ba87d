//! Where requests begin on a connection, as far as that is plain to see: lines that end as they should, and a body whose
//! length is said once, in digits. Behind anything else nothing is taken for a request line any more, so that nobody can
//! make us take a body for one.

/// What a piece of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of the first line of a request.
    Line,
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Framing {
    at: At,
    /// The head's line that has begun, if it did not come in one piece.
    begun: Vec<u8>,
    /// What the head has said of the body's length.
    length: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// Between requests, where empty lines may stand.
    #[default]
    Between,
    Line,
    Head,
    Body(u64),
    /// Where requests begin is not plain to see.
    Lost,
}

/// Longer lines are refused anyway.
const LINE_MAX: usize = 8_192;

impl Framing {
    /// What the beginning of `read` is, and how many bytes of it.
    pub fn next(&mut self, read: &[u8]) -> (Part, usize) {
        match self.at {
            At::Lost => (Part::Other, read.len()),
            At::Between if matches!(read[0], b'\r' | b'\n') => (Part::Other, 1),
            // `CONNECT` has no end.
            At::Between if read[0] == b'C' => {
                self.at = At::Lost;
                (Part::Other, read.len())
            }
            At::Between | At::Line => {
                let end = end_of_line(read);
                self.at = if end.is_some() { At::Head } else { At::Line };
                let piece = &read[..end.unwrap_or(read.len())];
                (Part::Line, piece.len())
            }
            At::Head => {
                let end = end_of_line(read);
                let piece = &read[..end.unwrap_or(read.len())];
                if end.is_none() || !self.begun.is_empty() {
                    self.begun.extend_from_slice(piece);
                }
                if end.is_some() && self.begun.is_empty() {
                    self.header(piece);
                } else if end.is_some() {
                    let line = std::mem::take(&mut self.begun);
                    self.header(&line);
                } else if self.begun.len() > LINE_MAX {
                    (self.at, self.begun) = (At::Lost, Vec::new());
                }
                (Part::Other, piece.len())
            }
            At::Body(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(read.len());
                self.at = body(left - count as u64);
                (Part::Other, count)
            }
        }
    }

    /// One line of the head, with its end.
    fn header(&mut self, line: &[u8]) {
        let Some(line) = line.strip_suffix(b"\r\n") else { return self.at = At::Lost };
        match line.first() {
            None => self.at = body(self.length.take().unwrap_or(0)),
            Some(b' ' | b'\t') => self.at = At::Lost,
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length:") {
                    let length = digits(value.trim_ascii()).filter(|_| self.length.is_none());
                    match length {
                        Some(length) => self.length = Some(length),
                        None => self.at = At::Lost,
                    }
                }
            }
            Some(b't' | b'T') if value_of(line, b"transfer-encoding:").is_some() => self.at = At::Lost,
            Some(b'u' | b'U') if value_of(line, b"upgrade:").is_some() => self.at = At::Lost,
            Some(_) => {}
        }
    }
}

fn end_of_line(read: &[u8]) -> Option<usize> {
    read.iter().position(|byte| *byte == b'\n').map(|end| end + 1)
}

fn body(left: u64) -> At {
    if left == 0 { At::Between } else { At::Body(left) }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are taken for request lines when all comes in pieces of this size.
    fn lines(sent: &[u8], size: usize) -> Vec<String> {
        let (mut framing, mut lines, mut line) = (Framing::default(), Vec::new(), Vec::new());
        for piece in sent.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (part, count) = framing.next(rest);
                assert!(count > 0);
                if part == Part::Line {
                    line.extend_from_slice(&rest[..count]);
                    if line.ends_with(b"\n") {
                        lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap().trim_end().to_owned());
                    }
                }
                rest = &rest[count..];
            }
        }
        lines
    }

    #[test]
    fn each_request_begins_behind_the_body_of_the_one_before() {
        let sent = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length:5\r\n\r\nGET /\r\n\r\n\
                     PUT /3 HTTP/1.0\r\nCookie: x\r\ncontent-length: \t0 \r\nTE: y\r\n\r\nGET /4 HTTP/1.1\r\n\r\n";
        for size in 1..=sent.len() {
            let expected = ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1", "PUT /3 HTTP/1.0", "GET /4 HTTP/1.1"];
            assert_eq!(lines(sent, size), expected, "{size}");
        }
    }

    #[test]
    fn behind_what_is_not_plain_nothing_is_a_request_line() {
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "CONNECT a HTTP/1.1\r\n\r\n",
        ] {
            let sent = format!("{head}GET /2 HTTP/1.1\r\n\r\n");
            for size in [1, 7, sent.len()] {
                assert!(lines(sent.as_bytes(), size).len() <= 1, "{head} {size}");
            }
        }
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\nGET /2 HTTP/1.1\r\n", "a".repeat(2 * LINE_MAX));
        assert_eq!(lines(long.as_bytes(), 1_000).len(), 1);
    }
}
