//! A simulated phone: it asks for its files as its vendor's phones do, remembers entity tags, applies only what has
//! changed, and uses the credential that it was given. It judges nothing.

use super::{
    line::{Answer, Line},
    model::{Served, Span},
    proof::{Challenge, basic},
    vendors::{Proof, Vendor},
};
use crate::client::ClientError;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// How much of its configuration a phone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Whole,
    /// Only the headers, as some do before they fetch.
    Head,
    /// Only the beginning.
    Part,
}

/// What came of asking for the device's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A whole configuration, and the credential in it.
    Whole(Served, Option<String>),
    /// The one that it has already.
    Unchanged(Served),
    /// Headers, or a part: nobody can tell of what.
    Unread,
    /// Nothing that a phone understands.
    Strange(String),
}

/// The configuration that it applied last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    path: String,
    tag: Option<String>,
    what: Served,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Session {
    Digest(Challenge),
    Basic,
}

pub struct Handset {
    pub mac: String,
    pub vendor: Vendor,
    pub agent: String,
    /// Where the organisation's phones ask, without a slash at its end.
    base: String,
    /// Words of the base's own that look like a credential.
    base_words: BTreeSet<String>,
    /// The account that the full configuration must have.
    pub account: String,
    pub credential: Option<String>,
    /// All credentials that it ever had.
    given: BTreeSet<String>,
    session: Option<Session>,
    kept: Option<Kept>,
    common_tags: BTreeMap<String, String>,
    /// Configurations that said something new.
    pub applied: u64,
    /// Those that said what the phone knew.
    pub unchanged: u64,
}

/// How long a credential may be; it has no letters that are taken for digits, and none that makes words.
const CREDENTIAL_LETTERS: std::ops::RangeInclusive<usize> = 20..=40;

fn credentials(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    words.filter(|word| CREDENTIAL_LETTERS.contains(&word.len()) && !word.contains(['i', 'l', 'o', 'u']))
}

impl Handset {
    pub fn new(vendor: Vendor, mac: &str, base: &str, account: &str) -> Self {
        Self {
            mac: mac.to_owned(),
            vendor,
            agent: vendor.agent(mac),
            base: base.to_owned(),
            base_words: credentials(base).map(str::to_owned).collect(),
            account: account.to_owned(),
            credential: None,
            given: BTreeSet::new(),
            session: None,
            kept: None,
            common_tags: BTreeMap::new(),
            applied: 0,
            unchanged: 0,
        }
    }

    /// Back as it left the factory.
    pub fn forget(&mut self) {
        self.credential = None;
        self.session = None;
        self.kept = None;
        self.common_tags.clear();
    }

    /// It does not say what it has: it asks for everything anew.
    pub fn forget_tags(&mut self) {
        self.kept = None;
        self.common_tags.clear();
    }

    fn path(&self, file: &str) -> String {
        match (&self.credential, self.vendor.proof()) {
            (None, _) => format!("{}/{file}", self.base),
            (Some(credential), Proof::Key) => format!("{}/key-{credential}/{file}", self.base),
            (Some(_), _) => format!("{}/auth/{file}", self.base),
        }
    }

    fn authorization(&mut self, method: &str, path: &str) -> Option<String> {
        let password = self.credential.as_deref()?;
        match self.session.as_mut()? {
            Session::Digest(challenge) => Some(challenge.answer(&self.mac, password, method, path)),
            Session::Basic => Some(basic(&self.mac, password)),
        }
    }

    /// Asks, and proves itself when it is asked to. The answers on the way are given to `seen`.
    async fn request(
        &mut self,
        line: &mut Line,
        from: Ipv4Addr,
        method: &str,
        file: &str,
        headers: &[(&str, &str)],
        seen: &mut impl FnMut(&Answer),
    ) -> Result<Answer, ClientError> {
        let path = self.path(file);
        let body: &[u8] = if method == "PUT" { b"0722101523|so  |4|00|started\n" } else { b"" };
        for _ in 0..3 {
            let authorization = self.authorization(method, &path);
            let agent = self.agent.clone();
            let mut all = vec![("User-Agent", agent.as_str())];
            all.extend_from_slice(headers);
            if !body.is_empty() {
                all.push(("Content-Type", "text/plain"));
            }
            if let Some(value) = &authorization {
                all.push(("Authorization", value));
            }
            let answer = line.ask(from, method, &path, &all, body).await?;
            seen(&answer);
            if answer.status != 401 || self.credential.is_none() {
                return Ok(answer);
            }
            let proof = self.vendor.proof();
            let offers_basic = answer.challenges.iter().any(|challenge| challenge.starts_with("Basic "));
            self.session = match Challenge::choose(&answer.challenges, proof) {
                Some(challenge) => Some(Session::Digest(challenge)),
                None if offers_basic => Some(Session::Basic),
                None => Challenge::choose(&answer.challenges, Proof::DigestMd5).map(Session::Digest),
            };
            if self.session.is_none() {
                return Ok(answer);
            }
        }
        line.ask(from, method, &path, &[("User-Agent", &self.agent)], body).await
    }

    /// A file that is not the device's configuration; its status, 304 when it has it already.
    pub async fn other(
        &mut self,
        line: &mut Line,
        from: Ipv4Addr,
        method: &str,
        file: &str,
        seen: &mut impl FnMut(&Answer),
    ) -> Result<u16, ClientError> {
        let tag = self.common_tags.get(&self.path(file)).cloned();
        let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("If-None-Match", &**tag)).collect();
        let answer = self.request(line, from, method, file, &headers, seen).await?;
        if let (200, Some(tag)) = (answer.status, &answer.etag) {
            self.common_tags.insert(self.path(file), tag.clone());
        }
        Ok(answer.status)
    }

    /// The device's own configuration. What it read it uses from then on.
    pub async fn configuration(
        &mut self,
        line: &mut Line,
        from: Ipv4Addr,
        how: How,
        seen: &mut impl FnMut(&Answer),
    ) -> Result<(Got, Span), ClientError> {
        let file = self.vendor.device_file(&self.mac);
        let path = self.path(&file);
        let kept = self.kept.as_ref().filter(|kept| kept.path == path);
        let (tag, what) = (kept.and_then(|kept| kept.tag.clone()), kept.map(|kept| kept.what));
        let (method, headers): (_, Vec<(&str, &str)>) = match (how, &tag) {
            (How::Whole, Some(tag)) => ("GET", vec![("If-None-Match", &**tag)]),
            (How::Whole, None) => ("GET", vec![]),
            (How::Head, _) => ("HEAD", vec![]),
            (How::Part, _) => ("GET", vec![("Range", "bytes=0-15")]),
        };
        let answer = self.request(line, from, method, &file, &headers, seen).await?;
        let got = match (how, answer.status, what.filter(|_| tag.is_some())) {
            (How::Whole, 200, _) => self.read(&path, &answer),
            (How::Whole, 304, Some(what)) => {
                self.unchanged += 1;
                Got::Unchanged(what)
            }
            (How::Head, 200, _) => Got::Unread,
            (How::Part, 206, _) if answer.body.len() == 16 => Got::Unread,
            (_, status, _) => Got::Strange(format!("{method} {path}: {status}, {} bytes", answer.body.len())),
        };
        Ok((got, answer.when))
    }

    fn read(&mut self, path: &str, answer: &Answer) -> Got {
        let text = answer.text();
        let (is_minimal, is_full) = (text.contains(&format!("pap-{}", self.mac)), text.contains(&self.account));
        let what = match (is_minimal, is_full) {
            (true, false) => Served::Minimal,
            (false, true) => Served::Full,
            _ => {
                let begin: String = text.chars().take(80).collect();
                return Got::Strange(format!("GET {path}: neither minimal nor full: {begin:?}"));
            }
        };
        let same = self.kept.as_ref().filter(|kept| kept.body == answer.body);
        if same.is_some_and(|kept| kept.path == path && kept.tag.is_some()) {
            return Got::Strange(format!("GET {path}: sent again although If-None-Match named it"));
        }
        let is_same = same.is_some();
        let found: BTreeSet<&str> = credentials(&text).filter(|word| !self.base_words.contains(*word)).collect();
        let credential = match (what, found.len()) {
            // At most the password of the account that it is given meanwhile, which is none that was ever a credential.
            (Served::Minimal, 0 | 1) if found.iter().all(|word| !self.given.contains(*word)) => None,
            (Served::Full, 1) => found.first().map(|word| (*word).to_owned()),
            (_, count) => return Got::Strange(format!("GET {path}: {what:?} with {count} credentials")),
        };
        self.kept = Some(Kept { path: path.to_owned(), tag: answer.etag.clone(), what, body: answer.body.clone() });
        if is_same {
            self.unchanged += 1;
        } else {
            self.applied += 1;
        }
        // A minimal configuration points the phone at the way without a credential again.
        if self.credential != credential {
            self.session = None;
        }
        self.given.extend(credential.clone());
        self.credential.clone_from(&credential);
        Got::Whole(what, credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Target;
    use std::{cell::RefCell, rc::Rc};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const CREDENTIAL: &str = "23456789abcdefghjkmn";

    /// A server that answers each request with the next of these, and keeps what it was asked.
    async fn serving(answers: Vec<String>) -> (Target, Rc<RefCell<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::local(listener.local_addr().unwrap().port());
        let asked: Rc<RefCell<Vec<String>>> = Rc::default();
        let heard = asked.clone();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            for answer in answers {
                let read = stream.read(&mut buffer).await.unwrap();
                heard.borrow_mut().push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (target, asked)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn it_goes_from_minimal_to_full_and_proves_itself_afterwards() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let minimal = answer("200 OK", "etag: \"m\"\r\n", "user=pap-00085d000001");
            let full = format!("user=u00085d000001\npassword={CREDENTIAL}\nurl=/p/{}x/auth/", "z".repeat(25));
            let challenge = "www-authenticate: Digest realm=\"phones\", qop=\"auth\", algorithm=MD5, nonce=\"n\"\r\n";
            let (target, asked) = serving(vec![
                minimal,
                answer("304 Not Modified", "", ""),
                answer("200 OK", "etag: \"f\"\r\n", &full),
                answer("401 Unauthorized", challenge, ""),
                answer("200 OK", "etag: \"f\"\r\n", &full),
                answer("304 Not Modified", "", ""),
            ])
            .await;
            let base = format!("/provisioning/{}x", "z".repeat(25));
            let mut phone = Handset::new(Vendor::Aastra, "00085d000001", &base, "u00085d000001");
            let (mut line, home) = (Line::new(&target), Ipv4Addr::new(10, 0, 0, 1));
            let mut got = Vec::new();
            for _ in 0..5 {
                got.push(phone.configuration(&mut line, home, How::Whole, &mut |_| ()).await.unwrap().0);
            }
            let whole = Got::Whole(Served::Full, Some(CREDENTIAL.into()));
            let minimal = [Got::Whole(Served::Minimal, None), Got::Unchanged(Served::Minimal)];
            assert_eq!(got, [&minimal[..], &[whole.clone(), whole, Got::Unchanged(Served::Full)]].concat());
            let asked = asked.borrow();
            assert!(asked[1].contains("If-None-Match: \"m\"") && asked[1].contains("X-Forwarded-For: 10.0.0.1"));
            assert!(asked[3].starts_with(&format!("GET {base}/auth/00085D000001.cfg")) && !asked[3].contains("Digest"));
            assert!(asked[4].contains("username=\"00085d000001\"") && asked[4].contains("nc=00000001"));
            assert!(asked[5].contains("nc=00000002") && asked[5].contains("If-None-Match: \"f\""));
            assert_eq!((phone.applied, phone.unchanged), (2, 3));
        });
    }
}
