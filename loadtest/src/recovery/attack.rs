//! Those who are not the owner: they guess passwords, links and the forms behind them, ask for mails as visitors, and
//! where they have stolen a mailbox they guess the codes that go to the telephone they have not.

use super::{
    call::{Caller, Told},
    model::{ATTEMPTS_MAX, JUDGED_MAX},
    owner::Owned,
    sinks::Sinks,
};
use crate::chance::Chance;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

/// Guesses at one code that are on their way together.
pub const PARALLEL: usize = 20;
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SECRET_LETTERS: usize = 26;

/// What the attackers got.
#[derive(Default)]
pub struct Loot {
    /// What nobody but the owner may get: a login, a page with its form.
    pub let_in: Cell<u64>,
    /// Codes or passwords judged beyond what one mail or one terminal allows.
    pub over_limit: Cell<u64>,
    pub passwords: Cell<u64>,
    pub links: Cell<u64>,
    pub codes: Cell<u64>,
    pub mails_asked: Cell<u64>,
    pub put_off: Cell<u64>,
    pub words: RefCell<Vec<String>>,
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}

impl Loot {
    pub fn catches(&self, count: &Cell<u64>, words: String) {
        add(count, 1);
        let mut all = self.words.borrow_mut();
        if all.len() < 10 {
            all.push(words);
        }
    }

    pub fn told(&self) -> Value {
        json!({
            "passwords": self.passwords.get(), "links": self.links.get(), "codes": self.codes.get(),
            "mails_asked": self.mails_asked.get(), "put_off": self.put_off.get(),
        })
    }
}

pub struct Attacker {
    pub caller: Caller,
    pub sinks: Sinks,
    pub victims: Rc<Vec<Owned>>,
    pub loot: Rc<Loot>,
    /// For guesses that go together.
    pub helpers: Vec<Caller>,
}

impl Attacker {
    pub fn new(caller: Caller, sinks: Sinks, victims: Rc<Vec<Owned>>, loot: Rc<Loot>) -> Self {
        let helpers = (0..PARALLEL).map(|number| caller.another(number as u64 + 1)).collect();
        Self { caller, sinks, victims, loot, helpers }
    }

    pub async fn run(mut self, running: Rc<Cell<bool>>) {
        while running.get() {
            let Some(victim) = self.caller.chance.pick(&self.victims).cloned() else { return };
            match self.caller.chance.below(4) {
                0 => self.guess_passwords(&victim).await,
                1 => self.guess_links(&victim).await,
                2 => self.ask_for_mails(&victim).await,
                _ => self.guess_codes(&victim).await,
            }
            let pause = self.caller.chance.below(40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn terminal(&mut self, victim: &Owned) -> Option<String> {
        let path = format!("/recovery/v1/{}/terminals", victim.path);
        let opened = self.caller.json("POST", &path, None, Some(&json!({}))).await?;
        (opened.status == 201).then(|| opened.text("terminal"))
    }

    async fn log_in(&mut self, terminal: &str, name: &str, password: &str) -> Option<Told> {
        let body = json!({ "name": name, "password": password });
        let told = self.caller.json("POST", "/recovery/v1/terminal/login", Some(terminal), Some(&body)).await?;
        if told.is_put_off() {
            add(&self.loot.put_off, 1);
        }
        Some(told)
    }

    /// More than a terminal takes; the name of administrator 1 where its owner does not need it any more.
    async fn guess_passwords(&mut self, victim: &Owned) {
        let Some(terminal) = self.terminal(victim).await else { return };
        let mut judged = 0;
        for _ in 0..ATTEMPTS_MAX + 2 {
            let guess = format!("admin{}", self.caller.chance.below(10_000));
            let name = if victim.stolen || self.caller.chance.happens(0.5) { &*guess } else { &*victim.name };
            let Some(told) = self.log_in(&terminal, name, &guess).await else { return };
            add(&self.loot.passwords, 1);
            if told.status != 200 {
                break;
            }
            judged += 1;
            if told.text("outcome") == "logged_in" {
                self.loot.catches(&self.loot.let_in, format!("{}: logged in as {name}", victim.id));
            }
        }
        if judged > ATTEMPTS_MAX {
            let words = format!("{}: {judged} passwords judged at one terminal", victim.id);
            self.loot.catches(&self.loot.over_limit, words);
        }
    }

    async fn guess_links(&mut self, victim: &Owned) {
        for page in ["link", "code", "reset", "stop"] {
            let secret: String =
                (0..SECRET_LETTERS).map(|_| char::from(LETTERS[self.caller.chance.index(LETTERS.len())])).collect();
            let path = format!("/recovery/{page}/{}{secret}", victim.path);
            let body = "code=123456&name=Eva&password=ein+fremdes+Wort&again=ein+fremdes+Wort";
            for told in [self.caller.page(&path).await, self.caller.form(&path, body).await].into_iter().flatten() {
                add(&self.loot.links, 1);
                if told.status != 410 && !told.is_put_off() {
                    self.loot.catches(&self.loot.let_in, format!("{}: {page} says {}", victim.id, told.status));
                }
            }
        }
    }

    async fn ask_for_mails(&mut self, victim: &Owned) {
        let Some(terminal) = self.terminal(victim).await else { return };
        for _ in 0..2 {
            let nobody = format!("visitor{}", self.caller.chance.number());
            self.log_in(&terminal, &nobody, "wrong").await;
        }
        let path = "/recovery/v1/terminal/forgotten";
        let Some(first) = self.caller.json("POST", path, Some(&terminal), Some(&json!({}))).await else { return };
        let again = json!({ "confirmation": first.json()["confirmation"] });
        if first.status == 200 {
            self.caller.json("POST", path, Some(&terminal), Some(&again)).await;
            add(&self.loot.mails_asked, 1);
        }
        self.caller.json("DELETE", "/recovery/v1/terminal", Some(&terminal), None).await;
    }

    /// The mailbox is stolen, the telephone is not.
    async fn guess_codes(&mut self, victim: &Owned) {
        if !victim.stolen {
            return;
        }
        let Some(link) = self.sinks.links(&victim.email, 0).pop().filter(|link| link.contains("/link/")) else {
            return;
        };
        let Some(pressed) = self.caller.form(&link, "").await else { return };
        let Some(form) = pressed.leads_to().filter(|form| form.contains("/code/")) else { return };
        let texts = self.sinks.texts(victim.telephone.as_deref().unwrap_or_default(), 0);
        // By chance alone one in so many thieves would be right, and this is about the others.
        let codes: Vec<String> = (0..PARALLEL).map(|_| format!("{:06}", self.caller.chance.below(1_000_000))).collect();
        let codes = codes.into_iter().filter(|code| !texts.iter().any(|text| text.starts_with(code.as_str())));
        let told = together(&mut self.helpers, &form, codes.collect()).await;
        add(&self.loot.codes, told.len() as u64);
        let judged = told.iter().filter(|told| told.page() == "code_wrong" || told.leads_to().is_some()).count() as u64;
        if told.iter().any(|told| told.leads_to().is_some()) {
            self.loot.catches(&self.loot.let_in, format!("{}: a wrong code led on", victim.id));
        }
        if judged > JUDGED_MAX {
            self.loot.catches(&self.loot.over_limit, format!("{}: {judged} codes judged of one mail", victim.id));
        }
    }
}

/// Sends all these codes at the same moment; the answers that came.
pub async fn together(helpers: &mut Vec<Caller>, form: &str, codes: Vec<String>) -> Vec<Told> {
    let sent: Vec<_> = codes
        .into_iter()
        .map_while(|code| helpers.pop().map(|helper| (helper, code)))
        .map(|(mut helper, code)| {
            let form = form.to_owned();
            tokio::task::spawn_local(async move {
                let told = helper.form(&form, &format!("code={code}")).await;
                (helper, told)
            })
        })
        .collect();
    let mut all = Vec::new();
    for one in sent {
        if let Ok((helper, told)) = one.await {
            helpers.push(helper);
            all.extend(told);
        }
    }
    all
}

/// Twenty codes of which one is right, in any order.
pub fn one_is_right(right: &str, chance: &mut Chance) -> Vec<String> {
    let mut codes = vec![right.to_owned()];
    while codes.len() < PARALLEL {
        let code = format!("{:06}", chance.below(1_000_000));
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    chance.shuffle(&mut codes);
    codes
}
