//! Attackers: each source walks over the devices, looks at a phone's files and tries a PAP on the page; beside them
//! somebody has stolen telephone systems' tokens and tries many PAPs of one device at the same time.

use super::told;
use crate::{
    api::text,
    chance::Chance,
    client::{ClientError, Target},
    course::Course,
    phones::{Form, Organisation, line::Line, open_form},
    report::LoadError,
    site::Site,
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::Ipv4Addr,
    rc::Rc,
    time::{Duration, Instant},
};

/// A device that waits for its PAP.
pub struct Waiting {
    pub id: String,
    pub organisation: usize,
    pub mac: String,
    pub agent: String,
    pub file: String,
    pub pap: String,
}

/// What the attackers were told.
#[derive(Default)]
pub struct Heard {
    /// Sources, by address or token, that were told to wait.
    pub closed: BTreeSet<String>,
    pub too_many: u64,
    pub refused: u64,
    /// Devices whose PAP was hit by chance.
    pub right: BTreeSet<String>,
    pub minimal: u64,
    /// Answers that nobody may get.
    pub strange: u64,
    pub words: Vec<String>,
}

impl Heard {
    fn strange(&mut self, words: String) {
        self.strange += 1;
        if self.words.len() < 10 {
            self.words.push(words);
        }
    }

    pub fn add(&mut self, other: Self) {
        self.closed.extend(other.closed);
        self.right.extend(other.right);
        self.too_many += other.too_many;
        self.refused += other.refused;
        self.minimal += other.minimal;
        self.strange += other.strange;
        self.words.extend(other.words);
    }

    pub fn told(&self) -> Value {
        json!({
            "refused": self.refused, "too_many": self.too_many, "minimal_configurations": self.minimal,
            "sources_closed": self.closed.len(), "hit_by_chance": self.right.len(),
        })
    }
}

struct Inner {
    target: Target,
    organisations: Vec<Organisation>,
    waiting: Rc<Vec<Waiting>>,
    course: Course,
    chance: Chance,
    /// Stolen ones, one of each organisation.
    tokens: RefCell<Vec<String>>,
    heard: RefCell<Heard>,
    until: Cell<Option<Instant>>,
}

#[derive(Clone)]
pub struct Attack(Rc<Inner>);

/// PAPs of one device that are tried at the same time.
const PARALLEL: usize = 12;
const BETWEEN: Duration = Duration::from_millis(250);
/// One in so many devices.
const LAST: usize = 8;
/// Neighbouring sources try the same devices at about the same time.
const TOGETHER: usize = 5;

impl Attack {
    pub fn new(
        target: &Target,
        organisations: &[Organisation],
        waiting: &Rc<Vec<Waiting>>,
        course: &Course,
        chance: &Chance,
    ) -> Self {
        Self(Rc::new(Inner {
            target: target.clone(),
            organisations: organisations.to_vec(),
            waiting: waiting.clone(),
            course: course.clone(),
            chance: chance.fork(77),
            tokens: RefCell::default(),
            heard: RefCell::default(),
            until: Cell::default(),
        }))
    }

    pub fn course(&self) -> &Course {
        &self.0.course
    }

    /// Tokens as telephone systems have them.
    pub async fn add_pbx_thieves(&self, site: &Site, name: &str) -> Result<(), LoadError> {
        for organisation in &self.0.organisations {
            let mut admin = organisation.callers(&site.target, &self.0.chance).admin;
            let body = json!({ "label": format!("Stolen, {name}"), "scopes": ["devices:authenticate"] });
            let answer = admin.post("/tokens", &body).await?;
            self.0.tokens.borrow_mut().push(text(&answer, "token", "POST /tokens")?);
        }
        Ok(())
    }

    /// All sources at once, for so long.
    pub async fn run(self, sources: u16, span: Duration) -> Result<Heard, LoadError> {
        self.0.until.set(Some(Instant::now() + span));
        let mut tasks = Vec::new();
        for source in 0..sources {
            tasks.push(tokio::task::spawn_local(self.clone().walk(source, sources)));
        }
        tasks.push(tokio::task::spawn_local(self.clone().overrun()));
        for task in tasks {
            task.await.map_err(|error| LoadError::Unfit(error.to_string()))?;
        }
        Ok(std::mem::take(&mut *self.0.heard.borrow_mut()))
    }

    fn is_over(&self) -> bool {
        self.0.until.get().is_none_or(|until| Instant::now() >= until)
    }

    fn broken(&self, error: &ClientError) {
        self.0.heard.borrow_mut().strange(format!("attacker: {error}"));
    }

    /// One source, on the page.
    async fn walk(self, source: u16, sources: u16) {
        let inner = &self.0;
        let from = Ipv4Addr::new(198, 18, 0, source as u8 + 1);
        let mut chance = inner.chance.fork(u64::from(source));
        let mut line = Line::new(&inner.target);
        // Nobody tells them when to begin.
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        let mut forms: Vec<Option<Form>> = inner.organisations.iter().map(|_| None).collect();
        let groups = usize::from(sources).div_ceil(TOGETHER);
        let first = usize::from(source) / TOGETHER * inner.waiting.len() / groups;
        for device in inner.waiting.iter().cycle().skip(first) {
            if self.is_over() {
                break;
            }
            if let Err(error) = self.try_one(&mut line, from, device, &mut forms, &mut chance).await {
                self.broken(&error);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        line.close().await;
    }

    async fn try_one(
        &self,
        line: &mut Line,
        from: Ipv4Addr,
        device: &Waiting,
        forms: &mut [Option<Form>],
        chance: &mut Chance,
    ) -> Result<(), ClientError> {
        let inner = &self.0;
        let organisation = &inner.organisations[device.organisation];
        if chance.happens(0.25) {
            let path = format!("{}/{}", organisation.provisioning, device.file);
            let answer = line.ask(from, "GET", &path, &[("User-Agent", &device.agent)], b"").await?;
            told(&inner.course, "attackers' fetches", answer.status, answer.took);
            let mut heard = inner.heard.borrow_mut();
            if answer.text().contains(&format!("pap-{}", device.mac)) {
                heard.minimal += 1;
            } else {
                heard.strange(format!("a stranger asked for {}: {}", device.mac, answer.status));
            }
        }
        let form = match forms[device.organisation].take() {
            Some(form) => form,
            None => match open_form(line, &organisation.page, from).await?.1 {
                Some(form) => form,
                None => {
                    inner.heard.borrow_mut().strange("the page has no form".into());
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return Ok(());
                }
            },
        };
        let pap = format!("{:06}", chance.below(1_000_000));
        let answer = form.send(line, from, &device.mac, &pap).await?;
        told(&inner.course, "guesses on the page", answer.status, answer.took);
        let word = Form::outcome(&answer);
        self.hear(device, &pap, &from.to_string(), &word);
        forms[device.organisation] = Some(form);
        Ok(())
    }

    /// `word`: what the page said, or the authentication service.
    fn hear(&self, device: &Waiting, pap: &str, source: &str, word: &str) {
        let mut heard = self.0.heard.borrow_mut();
        match word {
            "too_many" => {
                heard.too_many += 1;
                heard.closed.insert(source.to_owned());
            }
            "refused" | "wrong" | "failed" | "blocked" => heard.refused += 1,
            "accepted" | "not_needed" if pap == device.pap || heard.right.contains(&device.id) => {
                heard.right.insert(device.id.clone());
            }
            other => heard.strange(format!("{pap} for {} from {source}: {other}", device.mac)),
        }
    }

    /// With stolen tokens, many PAPs of one device at the same time, device after device.
    async fn overrun(self) {
        let inner = self.0.clone();
        let tokens = inner.tokens.borrow().clone();
        let mut lines: Vec<Line> = (0..PARALLEL).map(|_| Line::new(&inner.target)).collect();
        let mut chance = inner.chance.fork(5000);
        // The last ones alone, so that the walkers find devices that are not locked yet.
        let last = inner.waiting.len().div_ceil(LAST);
        for at in (0..inner.waiting.len()).rev().take(last).cycle() {
            if self.is_over() {
                return;
            }
            let tries = lines.drain(..).map(|mut line| {
                let (attack, token) = (self.clone(), tokens[inner.waiting[at].organisation].clone());
                let pap = format!("{:06}", chance.below(1_000_000));
                tokio::task::spawn_local(async move {
                    if let Err(error) = attack.call(&mut line, at, &token, &pap).await {
                        attack.broken(&error);
                    }
                    line
                })
            });
            let tries: Vec<_> = tries.collect();
            for one in tries {
                match one.await {
                    Ok(line) => lines.push(line),
                    Err(error) => return self.0.heard.borrow_mut().strange(error.to_string()),
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    async fn call(&self, line: &mut Line, at: usize, token: &str, pap: &str) -> Result<(), ClientError> {
        let device = &self.0.waiting[at];
        let body = json!({ "mac": device.mac, "pap": pap }).to_string();
        let bearer = format!("Bearer {token}");
        let from = Ipv4Addr::new(198, 19, 0, 1);
        let path = "/api/v1/devices/authenticate";
        let answer = line.ask(from, "POST", path, &[("Authorization", &bearer)], body.as_bytes()).await?;
        told(&self.0.course, "guesses by call", answer.status, answer.took);
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let word = match answer.status {
            429 => "too_many".to_owned(),
            200 => said["outcome"].as_str().unwrap_or_default().to_owned(),
            other => format!("{other} {said}"),
        };
        // Sources are told apart by address: a token is none of those that must be closed.
        if word == "too_many" {
            self.0.heard.borrow_mut().too_many += 1;
        } else {
            self.hear(device, pap, "the stolen token", &word);
        }
        Ok(())
    }
}
