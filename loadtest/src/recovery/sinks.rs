//! Where mails and texts end: an SMTP server and a gateway's HTTP, both on loopback, which keep what came in order.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{cell::RefCell, collections::HashMap, io, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

#[derive(Default)]
struct Inner {
    /// Paths of the links in mails, by address.
    links: RefCell<HashMap<String, Vec<String>>>,
    /// Texts, by number.
    texts: RefCell<HashMap<String, Vec<String>>>,
}

#[derive(Clone)]
pub struct Sinks {
    inner: Rc<Inner>,
    pub smtp: u16,
    pub http: u16,
}

impl Sinks {
    pub async fn open() -> io::Result<Self> {
        let (mails, texts) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let inner = Rc::<Inner>::default();
        let sinks = Self { inner, smtp: mails.local_addr()?.port(), http: texts.local_addr()?.port() };
        let (for_mails, for_texts) = (Rc::clone(&sinks.inner), Rc::clone(&sinks.inner));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = mails.accept().await {
                let inner = Rc::clone(&for_mails);
                tokio::task::spawn_local(async move { take_mails(stream, &inner).await });
            }
        });
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = texts.accept().await {
                let inner = Rc::clone(&for_texts);
                tokio::task::spawn_local(async move { take_texts(stream, &inner).await });
            }
        });
        Ok(sinks)
    }

    /// How the server is told of them.
    pub fn sections(&self) -> String {
        format!(
            "[mail]\ndriver = \"smtp\"\nfrom = \"Castellan <castellan@castle.example>\"\nsmtp_host = \"127.0.0.1\"\n\
             smtp_port = {}\nsmtp_security = \"plain\"\nretry_first_ms = 50\nretry_longest_ms = 500\n\n\
             [sms]\ndriver = \"http\"\nurl = \"http://127.0.0.1:{}/\"\nbody = '{{\"to\":\"{{to}}\",\"text\":\"{{text}}\"}}'\n\
             per_number_in_10_minutes = 1000000\nper_number_a_day = 1000000\nper_organisation_a_day = 1000000\n\
             per_prefix_a_day = 1000000\n",
            self.smtp, self.http
        )
    }

    /// The links that were mailed to an address, behind the first so many.
    pub fn links(&self, address: &str, from: usize) -> Vec<String> {
        let links = self.inner.links.borrow();
        links.get(address).map_or_else(Vec::new, |all| all.iter().skip(from).cloned().collect())
    }

    pub fn texts(&self, number: &str, from: usize) -> Vec<String> {
        let texts = self.inner.texts.borrow();
        texts.get(number).map_or_else(Vec::new, |all| all.iter().skip(from).cloned().collect())
    }

    pub fn counts(&self) -> (usize, usize) {
        let count = |all: &RefCell<HashMap<String, Vec<String>>>| all.borrow().values().map(Vec::len).sum();
        (count(&self.inner.links), count(&self.inner.texts))
    }

    /// Waits until something is there.
    pub async fn until<T>(&self, within: Duration, found: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let waits = async {
            loop {
                if let Some(found) = found(self) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(within, waits).await.ok()
    }
}

/// One connection of the server's; it ends when the server does.
async fn take_mails(stream: TcpStream, inner: &Inner) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await.ok()?;
    let (mut to, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        let said = String::from_utf8_lossy(&line).trim_end().to_owned();
        let word = said.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match word.as_str() {
            "RCPT" => {
                let address = said.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                to.extend(address.map(|(address, _)| address.to_owned()));
                b"250 taken\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mail = read_mail(&mut stream).await?;
                let links: Vec<String> = links_in(&mail);
                let mut all = inner.links.borrow_mut();
                for address in to.drain(..) {
                    all.entry(address).or_default().extend(links.iter().cloned());
                }
                b"250 kept\r\n"
            }
            "MAIL" | "RSET" => {
                to.clear();
                b"250 so be it\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return Some(());
            }
            _ => b"250 sink\r\n",
        };
        stream.write_all(answer).await.ok()?;
    }
}

async fn read_mail(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let from = mail.len();
        if stream.read_until(b'\n', &mut mail).await.ok()? == 0 {
            return None;
        }
        if mail[from..] == *b".\r\n" {
            mail.truncate(from);
            return Some(mail);
        }
        if mail[from..].starts_with(b"..") {
            mail.remove(from);
        }
    }
}

/// Paths of recovery's links in the plain text of a mail; one that has none is kept as an empty one.
fn links_in(mail: &[u8]) -> Vec<String> {
    let mail = String::from_utf8_lossy(mail);
    let part = mail.split("\r\n--").find(|part| part.contains("Content-Type: text/plain")).unwrap_or(&mail);
    let (head, body) = part.split_once("\r\n\r\n").unwrap_or(("", part));
    let head = head.to_ascii_lowercase();
    let text = if head.contains("base64") {
        let bare: String = body.split_whitespace().collect();
        String::from_utf8_lossy(&STANDARD.decode(bare).unwrap_or_default()).into_owned()
    } else if head.contains("quoted-printable") {
        unquoted(body)
    } else {
        body.to_owned()
    };
    let at = text.find("/recovery/");
    vec![at.and_then(|at| text[at..].split_whitespace().next()).unwrap_or_default().to_owned()]
}

fn unquoted(body: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(body.len()), body.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let digits = || behind.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        rest = match first {
            b'=' if behind.starts_with(b"\r\n") => &behind[2..],
            b'=' => match digits() {
                Some(byte) => {
                    out.push(byte);
                    &behind[2..]
                }
                None => behind,
            },
            byte => {
                out.push(*byte);
                behind
            }
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One connection of the server's to its gateway.
async fn take_texts(stream: TcpStream, inner: &Inner) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let bare = line.trim_end();
            if bare.is_empty() {
                break;
            }
            if let Some((name, value)) = bare.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let told: Value = serde_json::from_slice(&body).ok()?;
        let field = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        inner.texts.borrow_mut().entry(field("to")).or_default().push(field("text"));
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_however_the_text_is_wrapped() {
        let plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ";
        let link = "http://127.0.0.1:8080/recovery/link/0123456789abcdef";
        let found = |how: &str, body: &str| {
            links_in(format!("To: a\r\n\r\n--=_x\r\n{plain}{how}\r\n\r\n{body}\r\n--=_x--\r\n").as_bytes())
        };
        let expected = vec!["/recovery/link/0123456789abcdef".to_owned()];
        assert_eq!(found("7bit", &format!("Open\r\n\r\n{link}\r\n\r\nbye")), expected);
        let quoted = format!("=C2=AB{}=\r\n{}\r\n", &link[..30], &link[30..]);
        assert_eq!(found("quoted-printable", &quoted), expected);
        let encoded = STANDARD.encode(format!("«{link}\r\n"));
        assert_eq!(found("base64", &format!("{}\r\n{}", &encoded[..20], &encoded[20..])), expected);
        assert_eq!(found("7bit", "nothing"), [""]);
    }
}
