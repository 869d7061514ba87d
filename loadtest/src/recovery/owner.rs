//! Owners: they set their contact and validate it, and get back in when they have lost their password.

use super::{
    call::{Caller, Told},
    model::Ledger,
    sinks::Sinks,
};
use serde_json::json;
use std::{rc::Rc, time::Duration};

/// One installation, and who owns its mailbox and telephone.
#[derive(Clone, Debug)]
pub struct Owned {
    pub index: usize,
    pub id: String,
    pub path: String,
    pub email: String,
    pub telephone: Option<String>,
    /// A thief reads the mailbox, but has not the telephone.
    pub stolen: bool,
    pub name: String,
    pub password: String,
}

/// How long a mail or a text is waited for.
const BROUGHT_WITHIN: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_secs(6);
/// How often the whole way is begun anew.
const TRIES: u64 = 15;

pub type Done<T> = Result<T, String>;

pub fn told(what: &str, told: Option<&Told>) -> String {
    match told {
        Some(told) => format!("{what}: {} {}", told.status, told.body.chars().take(200).collect::<String>()),
        None => format!("{what}: no answer"),
    }
}

pub struct Owner {
    pub caller: Caller,
    pub sinks: Sinks,
    pub ledger: Rc<Ledger>,
}

impl Owner {
    /// Logs in as administrator 1, at a terminal of his own.
    pub async fn administrator(&mut self, owned: &Owned) -> Done<String> {
        let terminal = self.caller.open(&owned.path).await.ok_or("no terminal")?;
        let login = self.caller.log_in(&terminal, &owned.name, &owned.password).await;
        match login.as_ref().map(|login| login.text("outcome")) {
            Some(outcome) if outcome == "logged_in" => Ok(terminal),
            _ => Err(told("log in", login.as_ref())),
        }
    }

    /// Sets the contact and waits for its mail; the path of its link.
    pub async fn set_contact(&mut self, owned: &Owned, terminal: &str) -> Done<String> {
        let before = self.sinks.links(&owned.email, 0).len();
        let body = json!({ "email": owned.email, "telephone": owned.telephone });
        let set = self.caller.confirmed("PUT", "/recovery/v1/terminal/contact", terminal, &body).await;
        // After a lost answer its repeat does not fit any more: what is there counts.
        let fits = set.as_ref().is_some_and(|set| set.status == 200) || self.state(terminal).await? == "to_validate";
        if !fits {
            return Err(told("set the contact", set.as_ref()));
        }
        self.mail(owned, before, BROUGHT_WITHIN).await
    }

    pub async fn clear_contact(&mut self, terminal: &str) -> Done<()> {
        let body = json!({ "email": null });
        let cleared = self.caller.confirmed("PUT", "/recovery/v1/terminal/contact", terminal, &body).await;
        let fits =
            cleared.as_ref().is_some_and(|cleared| cleared.status == 200) || self.state(terminal).await? == "none";
        if fits { Ok(()) } else { Err(told("clear the contact", cleared.as_ref())) }
    }

    /// Of the contact.
    pub async fn state(&mut self, terminal: &str) -> Done<String> {
        let path = "/recovery/v1/terminal/contact";
        let shown = self.caller.patient_json("GET", path, Some(terminal), None).await;
        match shown.as_ref().map(|shown| shown.text("state")) {
            Some(state) if !state.is_empty() => Ok(state),
            _ => Err(told("look at the contact", shown.as_ref())),
        }
    }

    /// Asks for another validation mail; the path of its link.
    pub async fn another_mail(&mut self, owned: &Owned, terminal: &str) -> Done<String> {
        let before = self.sinks.links(&owned.email, 0).len();
        let path = "/recovery/v1/terminal/contact/validation";
        let asked = self.caller.patient_json("POST", path, Some(terminal), Some(&json!({}))).await;
        match asked.as_ref().map(|asked| asked.status) {
            Some(204) => self.mail(owned, before, BROUGHT_WITHIN).await,
            _ => Err(told("another mail", asked.as_ref())),
        }
    }

    /// The newest mail behind so many, that has a link.
    pub async fn mail(&self, owned: &Owned, before: usize, within: Duration) -> Done<String> {
        let found = |sinks: &Sinks| {
            let links = sinks.links(&owned.email, before);
            links.into_iter().rev().find(|link| link.contains("/link/"))
        };
        self.sinks.until(within, found).await.ok_or_else(|| "the mail does not come".to_owned())
    }

    /// Presses a button. With a telephone: the form that takes the code, and the code that was texted.
    pub async fn press(&mut self, owned: &Owned, link: &str) -> Done<(String, Option<String>)> {
        let number = owned.telephone.clone().unwrap_or_default();
        let before = self.sinks.texts(&number, 0).len();
        let pressed = self.caller.patient_form(link, "").await;
        let Some(form) = pressed.as_ref().and_then(Told::leads_to) else {
            return match pressed.as_ref().map(Told::page) {
                Some("validated") => Ok((String::new(), None)),
                _ => Err(told("press", pressed.as_ref())),
            };
        };
        if !form.contains("/code/") {
            return Ok((form, None));
        }
        // Another text may come too: that the telephone is the contact's no longer.
        let code_in = |text: &String| {
            text.get(..6).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned)
        };
        let found = |sinks: &Sinks| sinks.texts(&number, before).iter().rev().find_map(code_in);
        let code: Option<String> = self.sinks.until(BROUGHT_WITHIN, found).await;
        let code = code.ok_or_else(|| "the text does not come".to_owned())?;
        Ok((form, Some(code)))
    }

    /// Validates the contact whose mail leads to this link.
    pub async fn validate(&mut self, owned: &Owned, link: &str) -> Done<()> {
        let (form, code) = self.press(owned, link).await?;
        if let Some(code) = code {
            let entered = self.caller.patient_form(&form, &format!("code={code}")).await;
            if entered.as_ref().is_none_or(|entered| entered.page() != "validated") {
                return Err(told("enter the code", entered.as_ref()));
            }
        }
        Ok(())
    }

    /// The whole way from the first wrong password to the new one. Others may have asked for mails before, and the server
    /// may be killed in between: whatever link is newest is tried, again and again.
    pub async fn recover(&mut self, owned: &mut Owned) -> Done<()> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            match self.recover_once(owned, attempt).await {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
            tokio::time::sleep(Duration::from_millis(300 + self.caller.chance.below(700))).await;
        }
        Err(last)
    }

    async fn recover_once(&mut self, owned: &mut Owned, attempt: u64) -> Done<()> {
        let reads = self.ledger.reads(owned.index);
        let terminal = self.caller.open(&owned.path).await.ok_or("no terminal")?;
        // A name that nobody has: others' guesses do not let it rest.
        let nobody = format!("lost-{}-{attempt}", self.caller.chance.number());
        for _ in 0..2 {
            let login = self.caller.log_in(&terminal, &nobody, "what was it").await;
            if login.as_ref().is_none_or(|login| login.text("outcome") != "refused") {
                return Err(told("a wrong password", login.as_ref()));
            }
        }
        let asked = self.caller.confirmed("POST", "/recovery/v1/terminal/forgotten", &terminal, &json!({})).await;
        if asked.as_ref().is_none_or(|asked| asked.json()["accepted"] != true) {
            return Err(told("forgotten", asked.as_ref()));
        }
        self.caller.close(&terminal).await;
        // Somebody may have asked a moment before: then it is that mail, or none for a while.
        let link = self.mail(owned, reads, SOON).await?;
        self.ledger.begins(owned.index, self.sinks.links(&owned.email, 0).len());
        let (form, code) = self.press(owned, &link).await?;
        let form = match code {
            None => form,
            Some(code) => {
                let entered = self.caller.patient_form(&form, &format!("code={code}")).await;
                entered.as_ref().and_then(Told::leads_to).ok_or_else(|| told("enter the code", entered.as_ref()))?
            }
        };
        let name = format!("Anna-{:x}", self.caller.chance.number());
        let password = format!("neues Wort {:x}", self.caller.chance.number());
        // Written down before: an answer may be lost that was a yes.
        self.ledger.tries(owned.index, &name, &password);
        let encoded = password.replace(' ', "+");
        let body = format!("name={name}&password={encoded}&again={encoded}");
        let set = self.caller.patient_form(&form, &body).await;
        let page = set.as_ref().map(|set| set.page().to_owned()).unwrap_or_default();
        // After a lost answer the form has expired, because it was used.
        if page != "reset_done" && page != "expired" {
            return Err(told("new credentials", set.as_ref()));
        }
        let before = (owned.name.clone(), owned.password.clone());
        (owned.name, owned.password) = (name, password);
        match self.administrator(owned).await {
            Ok(terminal) => {
                self.ledger.done(owned.index);
                self.caller.close(&terminal).await;
                Ok(())
            }
            Err(why) => {
                (owned.name, owned.password) = before;
                Err(why)
            }
        }
    }
}
