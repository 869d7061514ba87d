//! The person at the phone: what he hears from the authentication service, what the page shows him.

use super::{
    line::{Answer, Line},
    model::Outcome,
    world::World,
};
use crate::{client::ClientError, clock::from_rfc3339};
use serde_json::Value;
use std::{net::Ipv4Addr, rc::Rc};

/// What somebody who entered a PAP was told.
pub enum Heard {
    /// By the authentication service.
    Call(Value),
    /// The word of the page.
    Page(String),
}

impl Heard {
    /// How it differs from what he must be told.
    pub fn differs(&self, wanted: Outcome) -> Option<String> {
        match self {
            Self::Page(word) => {
                let right = if wanted == Outcome::Accepted { "accepted" } else { "refused" };
                (word != right).then(|| format!("the page says {word} instead of {right} ({wanted:?})"))
            }
            Self::Call(answer) => {
                let mut same = answer["outcome"] == wanted.word();
                match wanted {
                    Outcome::Wrong { left } => same &= answer["attempts_left"] == left,
                    Outcome::Failed { until } => {
                        let at = answer["locked_until"].as_str().and_then(from_rfc3339);
                        same &= at.is_some_and(|at| until.holds(at));
                    }
                    _ => {}
                }
                (!same).then(|| format!("heard {answer} instead of {wanted:?}"))
            }
        }
    }
}

/// The value of an attribute in the tag that has another one.
fn attribute<'a>(page: &'a str, having: &str, name: &str) -> Option<&'a str> {
    let tag =
        page.split('<').map(|rest| rest.split('>').next().unwrap_or_default()).find(|tag| tag.contains(having))?;
    let value = tag.split_once(&format!("{name}=\""))?.1;
    value.split('"').next()
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The form as the page sent it; it may be sent several times.
pub struct Form {
    page: String,
    token: String,
    cookie: String,
}

pub async fn open_form(line: &mut Line, page: &str, from: Ipv4Addr) -> Result<(Answer, Option<Form>), ClientError> {
    let headers = [("Accept-Language", "de"), ("User-Agent", "Mozilla/5.0")];
    let answer = line.ask(from, "GET", page, &headers, b"").await?;
    let token = attribute(&answer.text(), "name=\"token\"", "value").map(percent);
    let cookie = answer.cookie.as_ref().and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    let form = token.zip(cookie).map(|(token, cookie)| Form { page: page.to_owned(), token, cookie });
    Ok((answer, form))
}

impl Form {
    /// Fills it in and sends it.
    pub async fn send(&self, line: &mut Line, from: Ipv4Addr, mac: &str, pap: &str) -> Result<Answer, ClientError> {
        let body = format!("mac={mac}&pap={pap}&token={}&language=de", self.token);
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", &*self.cookie)];
        line.ask(from, "POST", &self.page, &headers, body.as_bytes()).await
    }

    /// What the page says of it.
    pub fn outcome(answer: &Answer) -> String {
        let text = answer.text();
        let word = attribute(&text, "data-outcome", "data-outcome").map(str::to_owned);
        word.unwrap_or_else(|| format!("{} without an outcome", answer.status))
    }
}

/// Opens the page, fills it in, sends it.
pub async fn at_the_page(
    world: &Rc<World>,
    line: &mut Line,
    page: &str,
    from: Ipv4Addr,
    mac: &str,
    pap: &str,
) -> Result<Heard, ClientError> {
    let (answer, form) = open_form(line, page, from).await?;
    world.saw("page")(&answer);
    let Some(form) = form else { return Ok(Heard::Page(format!("{} and no form", answer.status))) };
    let answer = form.send(line, from, mac, pap).await?;
    world.saw("PAP by page")(&answer);
    Ok(Heard::Page(Form::outcome(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phones::model::Span;
    use serde_json::json;

    #[test]
    fn forms_are_read() {
        let page = "<main data-outcome=\"refused\"><form><input type=\"hidden\" name=\"token\" value=\"a/b+c\">";
        assert_eq!(attribute(page, "name=\"token\"", "value"), Some("a/b+c"));
        assert_eq!(attribute(page, "data-outcome", "data-outcome"), Some("refused"));
        assert_eq!((attribute(page, "name=\"mac\"", "value"), &*percent("a/b+c=")), (None, "a%2Fb%2Bc%3D"));
    }

    #[test]
    fn what_is_heard_is_compared_with_all_that_it_says() {
        let call = |answer: Value| Heard::Call(answer);
        let two = Outcome::Wrong { left: 2 };
        assert_eq!(call(json!({ "outcome": "wrong", "attempts_left": 2 })).differs(two), None);
        assert!(call(json!({ "outcome": "wrong", "attempts_left": 1 })).differs(two).is_some());
        let until = Outcome::Failed { until: Span::new(1000, 2000) };
        assert_eq!(call(json!({ "outcome": "failed", "locked_until": "1970-01-01T00:00:01.5Z" })).differs(until), None);
        assert!(call(json!({ "outcome": "failed", "locked_until": "1970-01-01T00:00:03Z" })).differs(until).is_some());
        assert!(Heard::Page("refused".into()).differs(Outcome::Accepted).is_some());
        assert_eq!(Heard::Page("refused".into()).differs(Outcome::Blocked), None);
    }
}
