//! One attempt: a POST to an address that was checked, whose answer is looked at no longer than needed.

use crate::{
    delivery::webhooks::{
        reach::{self, Reach},
        rows::{ErrorClass, SealedPlain},
        sign,
    },
    kernel::{UnixMillis, time},
};
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    error::Error,
    io,
    net::{SocketAddr, ToSocketAddrs},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// More of an answer is not read: the connection is given up instead.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a refusal is kept in the log.
const EXCERPT_CHARS: usize = 200;
/// A name that takes longer to resolve than the rest of an attempt may, waits in vain.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What was sent: `webhook-id` and body.
pub(super) struct Parcel<'a> {
    pub id: &'a str,
    pub body: &'a [u8],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub status: Option<u16>,
    /// `None`: it was taken.
    pub error: Option<ErrorClass>,
    pub took_ms: u32,
    pub retry_after: Option<Duration>,
    pub excerpt: Option<Box<str>>,
}

impl Attempt {
    fn failed(error: ErrorClass) -> Self {
        Self { status: None, error: Some(error), took_ms: 0, retry_after: None, excerpt: None }
    }

    /// The endpoint wants nothing any more.
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// The client of all webhooks.
pub(super) struct Sender {
    client: Client,
    reach: Arc<Reach>,
}

impl Sender {
    pub fn new(reach: Reach, timeout: Duration, connections_per_endpoint: usize) -> Result<Self, reqwest::Error> {
        let reach = Arc::new(reach);
        let client = Client::builder()
            // A proxy would connect where it likes, and resolve what it likes.
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Checked(Arc::clone(&reach))))
            .https_only(!reach.allow_http)
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_max_idle_per_host(connections_per_endpoint)
            .pool_idle_timeout(Duration::from_secs(20))
            .user_agent(concat!("Castellan/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, reach })
    }

    /// Reads an address anew: what is allowed may have changed since it was written down.
    pub fn target(&self, sealed: &SealedPlain) -> Option<Url> {
        self.reach.check(&sealed.url).ok()
    }

    pub async fn send(
        self: Rc<Self>,
        target: Option<Url>,
        sealed: Rc<SealedPlain>,
        parcel: Parcel<'_>,
        now: UnixMillis,
    ) -> Attempt {
        let Some(target) = target else { return Attempt::failed(ErrorClass::AddressForbidden) };
        let started = time::instant();
        let sent = self
            .client
            .post(target)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", parcel.id)
            .header("webhook-timestamp", sign::timestamp(now))
            .header("webhook-signature", sign::signatures(&sealed, parcel.id, now, parcel.body))
            .body(parcel.body.to_vec())
            .send()
            .await;
        let mut attempt = match sent {
            Ok(answer) => judge(answer).await,
            Err(error) => Attempt::failed(class_of(&error)),
        };
        attempt.took_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        attempt
    }
}

async fn judge(mut answer: reqwest::Response) -> Attempt {
    let status = answer.status();
    let error = match status.as_u16() {
        200..=299 => None,
        300..=399 => Some(ErrorClass::Redirect),
        _ => Some(ErrorClass::Status),
    };
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let (mut read, mut begin) = (0, Vec::new());
    // The status says it all: an answer that ends badly behind it changes nothing. Read to its end, the connection
    // can be used again.
    while let Ok(Some(part)) = answer.chunk().await {
        read += part.len();
        let room = (EXCERPT_CHARS * 4).saturating_sub(begin.len());
        begin.extend_from_slice(&part[..part.len().min(room)]);
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
    Attempt {
        status: Some(status.as_u16()),
        error,
        took_ms: 0,
        retry_after: retry_after.map(Duration::from_secs),
        excerpt: error.and_then(|_| excerpt(&begin)),
    }
}

fn excerpt(begin: &[u8]) -> Option<Box<str>> {
    let text: String = String::from_utf8_lossy(begin)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(EXCERPT_CHARS)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

fn class_of(error: &reqwest::Error) -> ErrorClass {
    let known = error.source().and_then(known_cause);
    known.unwrap_or(match () {
        () if error.is_timeout() => ErrorClass::Timeout,
        () if error.is_connect() => ErrorClass::Connect,
        () => ErrorClass::Closed,
    })
}

fn known_cause(cause: &(dyn Error + 'static)) -> Option<ErrorClass> {
    match cause.downcast_ref() {
        Some(Refused::NoAddress) => return Some(ErrorClass::NameNotFound),
        Some(Refused::Forbidden) => return Some(ErrorClass::AddressForbidden),
        None => {}
    }
    if cause.is::<rustls::Error>() {
        return Some(ErrorClass::Tls);
    }
    // An `io::Error` hides from `source` what it carries.
    let carried = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    carried.and_then(|carried| known_cause(carried)).or_else(|| cause.source().and_then(known_cause))
}

/// Resolves names to addresses that may be reached; the connection goes to one of them and to nothing else.
struct Checked(Arc<Reach>);

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the name has no address")]
    NoAddress,
    #[error("no address of the name may be reached")]
    Forbidden,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || resolve(name.as_str()).unwrap_or_default()).await?;
            if found.is_empty() {
                return Err(Refused::NoAddress.into());
            }
            let allowed: Vec<_> = found.into_iter().filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Refused::Forbidden.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(match reach::literal(name) {
        Some(address) => vec![(address, 0).into()],
        // Port 0 stands for the one of the address.
        None => (name, 0).to_socket_addrs()?.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_clean() {
        assert_eq!(excerpt(b" \r\n"), None);
        assert_eq!(excerpt(b"no\r\nway\x1b[0m").as_deref(), Some("no  way [0m"));
        assert_eq!(excerpt("ä".repeat(1000).as_bytes()).unwrap().chars().count(), EXCERPT_CHARS);
        assert!(excerpt(&[0xff, b'a']).unwrap().ends_with('a'));
    }

    #[tokio::test]
    async fn names_lead_only_where_they_may() {
        let strict = Checked(Arc::new(Reach::default()));
        let refused = strict.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(matches!(refused.downcast_ref(), Some(Refused::Forbidden)), "{refused}");
        let networks = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec();
        let open = Checked(Arc::new(Reach { allow_http: true, allow_networks: networks }));
        assert!(open.resolve("localhost".parse().unwrap()).await.unwrap().all(|found| found.ip().is_loopback()));
        let nowhere = open.resolve("no-such-name.invalid".parse().unwrap()).await.err().unwrap();
        assert!(matches!(nowhere.downcast_ref(), Some(Refused::NoAddress)), "{nowhere}");
    }
}
