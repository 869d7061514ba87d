//! Gateways over HTTP: Kannel's `sendsms`, and any other by templates.

use super::SmsError;
use crate::{
    config::{self, SmsDriver},
    kernel::MailTrouble,
};
use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use std::{fs, path::Path, time::Duration};
use zeroize::Zeroizing;

pub(super) struct Gateway {
    client: Client,
    url: String,
    kind: Kind,
    /// A sender's number or name.
    from: String,
    /// What the answer holds when the text was taken. Empty: its status says it.
    accepted: String,
}

enum Kind {
    Kannel { username: String, password: Zeroizing<String> },
    Http { body: String, content_type: HeaderValue, authorization: Option<HeaderValue> },
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

/// More of an answer is not looked at.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Kannel's bits: delivered, failed, queued, accepted by the network, rejected by it.
const EVERY_REPORT: &str = "31";

fn wrong(key: &'static str, reason: impl ToString) -> SmsError {
    SmsError { key, reason: reason.to_string() }
}

fn secret(key: &'static str, file: &Path) -> Result<Zeroizing<String>, SmsError> {
    if file.as_os_str().is_empty() {
        return Ok(Zeroizing::default());
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(key, format!("{}: {error}", file.display())))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

impl Gateway {
    pub fn new(config: &config::Sms) -> Result<Self, SmsError> {
        // Another part may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timeout = Duration::from_millis(config.timeout_ms);
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(timeout)
            .user_agent(concat!("Castellan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong("url", error))?;
        let kind = match config.driver {
            SmsDriver::Kannel => Kind::Kannel {
                username: config.username.clone(),
                password: secret("password_file", &config.password_file)?,
            },
            _ => Kind::Http {
                body: config.body.clone(),
                content_type: HeaderValue::from_str(&config.content_type)
                    .map_err(|error| wrong("content_type", error))?,
                authorization: match secret("authorization_file", &config.authorization_file)? {
                    text if text.is_empty() => None,
                    text => Some(HeaderValue::from_str(&text).map_err(|error| wrong("authorization_file", error))?),
                },
            },
        };
        let gateway = Self {
            client,
            url: config.url.clone(),
            kind,
            from: config.from.clone(),
            accepted: config.accepted.clone(),
        };
        drop(gateway.request("+390000000000", "x", None).map_err(|why| wrong("url", why))?);
        Ok(gateway)
    }

    /// The request for one text.
    fn request(&self, to: &str, text: &str, report: Option<&str>) -> Result<RequestBuilder, String> {
        match &self.kind {
            Kind::Kannel { username, password } => {
                let mut url: Url = self.url.parse().map_err(|error| format!("{error}"))?;
                {
                    let mut query = url.query_pairs_mut();
                    query.append_pair("username", username).append_pair("password", password);
                    query.append_pair("to", to).append_pair("text", text).append_pair("charset", "UTF-8");
                    // Letters beyond the short alphabet go as UCS-2.
                    query.append_pair("coding", if is_short_alphabet(text) { "0" } else { "2" });
                    if !self.from.is_empty() {
                        query.append_pair("from", &self.from);
                    }
                    if let Some(report) = report {
                        query.append_pair("dlr-mask", EVERY_REPORT).append_pair("dlr-url", report);
                    }
                }
                Ok(self.client.get(url))
            }
            Kind::Http { body, content_type, authorization } => {
                let in_url = |value: &str| percent(value);
                let url: Url =
                    filled(&self.url, to, text, &self.from, in_url).parse().map_err(|error| format!("{error}"))?;
                let request = if body.is_empty() {
                    self.client.get(url)
                } else {
                    let json = content_type.as_bytes().starts_with(b"application/json");
                    let body =
                        filled(body, to, text, &self.from, |value| if json { in_json(value) } else { percent(value) });
                    self.client.post(url).header(CONTENT_TYPE, content_type).body(body)
                };
                Ok(match authorization {
                    Some(value) => request.header(AUTHORIZATION, value),
                    None => request,
                })
            }
        }
    }

    /// Hands one text over. Whatever is not a clear yes or no is tried again.
    /// What becomes of it is told to `report`, where the gateway can do so.
    pub async fn send(&self, to: &str, text: &str, report: Option<&str>) -> Result<(), MailTrouble> {
        let request = self.request(to, text, report).map_err(|_| MailTrouble::Unrenderable)?;
        let mut answer = request.send().await.map_err(|_| MailTrouble::Gateway)?;
        let status = answer.status();
        let mut said = Vec::new();
        while let Ok(Some(part)) = answer.chunk().await {
            said.extend_from_slice(&part);
            if said.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        self.judge(status, &String::from_utf8_lossy(&said))
    }

    fn judge(&self, status: StatusCode, said: &str) -> Result<(), MailTrouble> {
        match (&self.kind, status.as_u16()) {
            // `0: Accepted for delivery`, `3: Queued for later delivery`: it will be brought, by Kannel.
            (Kind::Kannel { .. }, 200..=299) if said.starts_with("0:") || said.starts_with("3:") => Ok(()),
            (Kind::Http { .. }, 200..=299) if said.contains(&self.accepted) => Ok(()),
            (_, 200..=299 | 408 | 429 | 500..) => Err(MailTrouble::Gateway),
            // Our own login.
            (_, 401 | 403) => Err(MailTrouble::Gateway),
            _ => Err(MailTrouble::Rejected),
        }
    }
}

/// Letters that a text of 160 characters may have, as far as ours use them.
fn is_short_alphabet(text: &str) -> bool {
    text.chars().all(|c| (' '..='~').contains(&c) && !"[]{}\\^~|`".contains(c))
}

fn filled(template: &str, to: &str, text: &str, from: &str, escape: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(template.len() + text.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let values = [("{to}", to), ("{text}", text), ("{from}", from)];
        match values.into_iter().find(|(name, _)| rest[at..].starts_with(name)) {
            Some((name, value)) => {
                out.push_str(&escape(value));
                rest = &rest[at + name.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn percent(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// As it may stand between quotes of JSON.
fn in_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        let body = filled(r#"{"to":"{to}","text":"{text}"}"#, "+39", "a\"}\n{to}", "x", in_json);
        assert_eq!(body, r#"{"to":"+39","text":"a\"}\n{to}"}"#);
        assert_eq!(
            filled("https://g.example/?n={to}&t={text}", "+39", "a&b=ü", "", percent),
            "https://g.example/?n=%2B39&t=a%26b%3D%C3%BC"
        );
        assert_eq!(filled("{x}{", "", "", "", percent), "{x}{");
    }

    #[test]
    fn kannels_answer_is_read_and_not_only_its_status() {
        let config = config::Sms {
            driver: SmsDriver::Kannel,
            url: "http://127.0.0.1:13013/cgi-bin/sendsms".to_owned(),
            ..config::Sms::default()
        };
        let gateway = Gateway::new(&config).unwrap();
        for (status, said, judged) in [
            (202, "0: Accepted for delivery", Ok(())),
            (202, "3: Queued for later delivery", Ok(())),
            (202, "Sent.", Err(MailTrouble::Gateway)),
            (500, "0: Accepted for delivery", Err(MailTrouble::Gateway)),
            (503, "", Err(MailTrouble::Gateway)),
            (403, "Authorization failed for sendsms", Err(MailTrouble::Gateway)),
            (400, "Missing receiver", Err(MailTrouble::Rejected)),
        ] {
            assert_eq!(gateway.judge(StatusCode::from_u16(status).unwrap(), said), judged, "{status} {said}");
        }
        let report = "http://127.0.0.1:8080/recovery/v1/reports/x?type=%d";
        let url = gateway.request("+39021234567", "012345 è", Some(report)).unwrap().build().unwrap().url().to_string();
        assert!(url.contains("to=%2B39021234567&text=012345+%C3%A8&charset=UTF-8&coding=2"), "{url}");
        let asked = "dlr-mask=31&dlr-url=http%3A%2F%2F127.0.0.1%3A8080%2Frecovery%2Fv1%2Freports%2Fx%3Ftype%3D%25d";
        assert!(url.contains(asked), "{url}");
    }
}
