//! A desk: a phone, what the model says of it, and whoever stands in front of it. Every answer is compared with what
//! the model says it must be.

use super::{
    handset::{Got, Handset, How},
    line::Line,
    model::{Device, Lists, Outcome, Served, Span, State},
    person,
    script::{Pap, Step, Way},
    vendors::Kind,
    world::{World, lane},
};
use crate::{
    api::{Api, ApiError},
    chance::Chance,
    client::ClientError,
    clock::{self, from_rfc3339},
    report::LoadError,
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::Ipv4Addr,
    rc::Rc,
    time::{Duration, Instant},
};

/// How long what the server does after an answer may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);
/// How long it is waited before it is looked at again: first, and at most. Whoever looks is work for the server too.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(640);

pub struct Desk {
    pub id: String,
    pub organisation: usize,
    pub home: Ipv4Addr,
    /// Where somebody else asks from.
    pub elsewhere: Ipv4Addr,
    pub handset: Handset,
    pub model: Device,
    pub lists: Rc<RefCell<Lists>>,
    pub chance: Chance,
    /// The neighbour's, while there is one.
    pub neighbours_pap: Option<String>,
    last_wrong: Option<String>,
    /// The server has something to do after its last answer.
    unsettled: bool,
}

/// The administrator and the telephone system of one organisation.
pub struct Callers {
    pub admin: Api,
    pub pbx: Api,
}

impl Desk {
    pub fn new(
        id: String,
        organisation: usize,
        [home, elsewhere]: [Ipv4Addr; 2],
        handset: Handset,
        pap: String,
        lists: Rc<RefCell<Lists>>,
        chance: Chance,
    ) -> Self {
        Self {
            id,
            organisation,
            home,
            elsewhere,
            handset,
            model: Device::new(pap, home),
            lists,
            chance,
            neighbours_pap: None,
            last_wrong: None,
            unsettled: false,
        }
    }

    fn name(&self) -> String {
        format!("{:?} {} ({})", self.handset.vendor, self.handset.mac, self.id)
    }

    pub async fn take(
        &mut self,
        step: Step,
        world: &Rc<World>,
        line: &mut Line,
        callers: &mut Callers,
    ) -> Result<(), LoadError> {
        match step {
            Step::Start => self.start(world, line).await,
            Step::Poll => self.fetch(world, line, How::Whole).await,
            Step::Head => self.fetch(world, line, How::Head).await,
            Step::Part => self.fetch(world, line, How::Part).await,
            Step::Stranger => self.stranger(world, line, None).await,
            Step::StrangerWithKey => self.stranger(world, line, Some("00000000000000000000")).await,
            Step::Contradiction => self.contradict(world, line).await,
            Step::Forget => self.handset.forget(),
            Step::Enter(pap, way) => {
                self.settle(world, callers).await?;
                self.enter(pap, way, world, line, callers).await?;
            }
            Step::Suspend | Step::Reset => {
                self.settle(world, callers).await?;
                self.administer(step, callers).await?;
            }
            Step::Look => {
                self.settle(world, callers).await?;
                let device = callers.admin.get(&format!("/devices/{}", self.id)).await?;
                self.compare(&device, world);
            }
        }
        Ok(())
    }

    /// The whole sequence of its vendor.
    pub async fn start(&mut self, world: &Rc<World>, line: &mut Line) {
        for request in self.handset.vendor.start(&self.handset.mac) {
            let wanted = match request.kind {
                Kind::Device => {
                    self.fetch(world, line, How::Whole).await;
                    continue;
                }
                Kind::Common => [200, 304],
                Kind::Absent => [404, 404],
                Kind::Log => [201, 201],
            };
            let mut saw = world.saw(lane(request.kind));
            match self.handset.other(line, self.home, request.method, &request.file, &mut saw).await {
                Ok(status) if wanted.contains(&status) => {}
                Ok(status) => {
                    let words = format!("{}: {} {}: {status}", self.name(), request.method, request.file);
                    world.tally.wrong_answer(format!("{words} instead of {}", wanted[0]));
                }
                Err(error) => self.broken(&error, world),
            }
        }
    }

    fn broken(&self, error: &ClientError, world: &World) {
        world.tally.error(format!("{}: {error}", self.name()));
    }

    async fn fetch(&mut self, world: &Rc<World>, line: &mut Line, how: How) {
        let shown = self.handset.credential.clone();
        let mut saw = world.saw(lane(Kind::Device));
        let (got, when) = match self.handset.configuration(line, self.home, how, &mut saw).await {
            Ok(answer) => answer,
            Err(error) => return self.broken(&error, world),
        };
        let lists = self.lists.clone();
        let wanted = self.model.deserves(self.home, shown.as_deref(), &lists.borrow(), when);
        let was = self.model.state;
        let (what, read) = match got {
            Got::Whole(what, read) => (what, read),
            Got::Unchanged(what) => (what, None),
            Got::Unread => (wanted, None),
            Got::Strange(words) => return world.tally.wrong_answer(format!("{}: {words}", self.name())),
        };
        world.tally.count(if what == Served::Full { "full" } else { "minimal" });
        if what != wanted && !self.model.doubtful {
            let words = format!("{what:?} instead of {wanted:?} while {was:?}, from {}", self.home);
            world.tally.wrong_answer(format!("{}: {words}", self.name()));
        }
        if let (Some(known), Some(read)) = (&self.model.credential, &read)
            && known != read
        {
            world.tally.wrong_answer(format!("{}: another credential without a reason", self.name()));
        }
        self.model.was_served(what, self.home, read.as_deref(), &mut lists.borrow_mut(), when);
        self.unsettled |= self.model.state != was;
    }

    /// Somebody elsewhere asks for this phone's configuration as the phone would.
    async fn stranger(&mut self, world: &Rc<World>, line: &mut Line, key: Option<&str>) {
        let base = world.organisations[self.organisation].provisioning.clone();
        let mut thief = Handset::new(self.handset.vendor, &self.handset.mac, &base, &self.handset.account);
        thief.credential = key.map(str::to_owned);
        let mut saw = world.saw("stranger");
        let answer = thief.configuration(line, self.elsewhere, How::Whole, &mut saw).await;
        let (got, when) = match answer {
            Ok(answer) => answer,
            Err(error) => return self.broken(&error, world),
        };
        let lists = self.lists.clone();
        let wanted = self.model.deserves(self.elsewhere, key, &lists.borrow(), when);
        match got {
            Got::Whole(what, read) => {
                if what != wanted && !self.model.doubtful {
                    let words = format!("a stranger gets {what:?} instead of {wanted:?}");
                    world.tally.wrong_answer(format!("{}: {words}", self.name()));
                }
                let was = self.model.state;
                self.model.was_served(what, self.elsewhere, read.as_deref(), &mut lists.borrow_mut(), when);
                self.unsettled |= self.model.state != was;
                world.tally.count("strangers");
            }
            other => world.tally.wrong_answer(format!("{}: a stranger gets {other:?}", self.name())),
        }
    }

    /// A phone asks for this one's configuration and names itself.
    async fn contradict(&mut self, world: &Rc<World>, line: &mut Line) {
        let vendor = self.handset.vendor;
        let agent = vendor.agent(&vendor.mac(0xfff_fff));
        let base = &world.organisations[self.organisation].provisioning;
        let path = format!("{base}/{}", vendor.device_file(&self.handset.mac));
        let answer = line.ask(self.elsewhere, "GET", &path, &[("User-Agent", &agent)], b"").await;
        match answer {
            Ok(answer) => {
                world.saw("stranger")(&answer);
                if answer.status != 403 {
                    let words = format!("{} with another MAC in the user agent", answer.status);
                    world.tally.wrong_answer(format!("{}: {words}", self.name()));
                }
            }
            Err(error) => self.broken(&error, world),
        }
    }

    fn chosen(&mut self, pap: Pap) -> Option<String> {
        match pap {
            Pap::Right => self.model.pap.clone().or_else(|| Some("314159".to_owned())),
            Pap::Again => self.last_wrong.clone(),
            Pap::Neighbours => self.neighbours_pap.clone(),
            Pap::Wrong => loop {
                let drawn = format!("{:06}", self.chance.below(1_000_000));
                if Some(&drawn) != self.model.pap.as_ref() && Some(&drawn) != self.last_wrong.as_ref() {
                    break Some(drawn);
                }
            },
        }
    }

    async fn enter(
        &mut self,
        pap: Pap,
        way: Way,
        world: &Rc<World>,
        line: &mut Line,
        callers: &mut Callers,
    ) -> Result<(), LoadError> {
        let Some(entered) = self.chosen(pap) else { return Ok(()) };
        let before = self.lists.borrow().temporary.len();
        let sent = clock::now_ms();
        let heard = match way {
            Way::Call { by_account } => {
                let began = Instant::now();
                let mac = &self.handset.mac;
                let who = if by_account { json!(format!("pap-{mac}")) } else { json!(mac) };
                let body = json!({ (if by_account { "account" } else { "mac" }): who, "pap": entered });
                let answer = callers.pbx.post("/devices/authenticate", &body).await?;
                world.course.answered("PAP by call", began.elapsed());
                person::Heard::Call(answer)
            }
            Way::Page => {
                let page = &world.organisations[self.organisation].page;
                match person::at_the_page(world, line, page, self.home, &self.handset.mac, &entered).await {
                    Ok(heard) => heard,
                    Err(error) => {
                        self.broken(&error, world);
                        return Ok(());
                    }
                }
            }
        };
        let now = Span::new(sent, clock::now_ms());
        let wanted = {
            let mut lists = self.lists.borrow_mut();
            self.model.authenticate(&entered, &mut lists, now, world.rounds_max.get())
        };
        if wanted == Outcome::Accepted {
            self.last_wrong = None;
        } else if matches!(pap, Pap::Wrong | Pap::Neighbours) {
            self.last_wrong = Some(entered);
        }
        world.tally.count(&format!("pap {}", wanted.word()));
        if let Some(words) = heard.differs(wanted)
            && !self.model.doubtful
        {
            world.tally.wrong_answer(format!("{}: {words}", self.name()));
        }
        if self.lists.borrow().temporary.len() > before {
            self.whitelisted(world, callers).await?;
        }
        Ok(())
    }

    /// The whitelist hears of a right PAP a moment later.
    async fn whitelisted(&self, world: &Rc<World>, callers: &mut Callers) -> Result<(), LoadError> {
        let lists = self.lists.borrow().temporary.clone();
        let (began, mut wait) = (Instant::now(), LOOK_AGAIN);
        loop {
            let list = callers.admin.get("/phones/whitelist").await?;
            let known = temporary(&list);
            if lists.keys().all(|address| known.contains_key(&*address.to_string())) {
                world.course.answered("address whitelisted", began.elapsed());
                return Ok(());
            }
            if began.elapsed() > SETTLED_WITHIN {
                world.tally.wrong_state(format!("{}: {lists:?} not on the whitelist", self.name()));
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_AGAIN_MAX);
        }
    }

    /// Waits until the server has noted what it sent whole.
    async fn settle(&mut self, world: &Rc<World>, callers: &mut Callers) -> Result<(), LoadError> {
        if !std::mem::take(&mut self.unsettled) || self.model.doubtful {
            return Ok(());
        }
        let (began, mut wait) = (Instant::now(), LOOK_AGAIN);
        loop {
            let device = callers.admin.get(&format!("/devices/{}", self.id)).await?;
            if device["state"] == "successful" && device["provisioning"] == false {
                return Ok(());
            }
            if began.elapsed() > SETTLED_WITHIN {
                world.tally.wrong_state(format!("{}: sent whole, and still {device}", self.name()));
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_AGAIN_MAX);
        }
    }

    async fn administer(&mut self, step: Step, callers: &mut Callers) -> Result<(), ApiError> {
        let what = if step == Step::Suspend { "suspension" } else { "reset" };
        let sent = clock::now_ms();
        callers.admin.post(&format!("/devices/{}/{what}", self.id), &json!({})).await?;
        let now = Span::new(sent, clock::now_ms());
        if step == Step::Suspend {
            self.model.suspend(now);
        } else {
            let shown = callers.admin.get(&format!("/devices/{}/pap", self.id)).await?;
            self.model.reset(shown["pap"].as_str().unwrap_or_default().to_owned(), now);
            self.last_wrong = None;
        }
        Ok(())
    }

    /// Compares the device, as the API shows it, with the model.
    pub fn compare(&mut self, device: &Value, world: &World) {
        self.model.pass_to(Span::new(clock::now_ms(), clock::now_ms()));
        if self.model.doubtful {
            return;
        }
        let model = &self.model;
        let (state, provisioning) = match model.state {
            State::Required => ("required", false),
            State::Failed { .. } => ("failed", false),
            State::Blocked => ("blocked", false),
            State::Provisioning => ("successful", true),
            State::Successful => ("successful", false),
        };
        let mut wanted = json!({
            "mac": self.handset.mac, "vendor": self.handset.vendor.word(), "state": state, "provisioning": provisioning,
            "wrong": model.wrong(), "rounds": model.rounds, "locked_attempts": model.locked_attempts,
            "has_pap": model.pap.is_some(),
        });
        if model.is_lost_sure() {
            wanted["lost_configuration"] = model.is_lost().into();
        }
        let mut differences: Vec<String> = wanted
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| device[name.as_str()] != **value)
            .map(|(name, value)| format!("{name} is {} instead of {value}", device[name.as_str()]))
            .collect();
        let time = |value: &Value| value.as_str().and_then(from_rfc3339);
        let locked = if let State::Failed { until } = model.state { Some(until) } else { None };
        for (name, wanted) in [("locked_until", locked), ("suspended_until", model.suspended)] {
            let found = time(&device[name]);
            if !matches!((wanted, found), (None, None)) && !wanted.zip(found).is_some_and(|(span, at)| span.holds(at)) {
                differences.push(format!("{name} is {} instead of {wanted:?}", device[name]));
            }
        }
        world.tally.compared.set(world.tally.compared.get() + 1);
        if !differences.is_empty() {
            world.tally.wrong_state(format!("{}: {}", self.name(), differences.join(", ")));
        }
    }
}

/// The addresses on a whitelist that end by themselves.
pub fn temporary(list: &Value) -> BTreeMap<&str, &Value> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let temporary = items.iter().filter(|item| item["kind"] == "temporary");
    temporary.filter_map(|item| Some((item["network"].as_str()?.trim_end_matches("/32"), item))).collect()
}
