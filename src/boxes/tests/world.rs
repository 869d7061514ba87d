use super::mirror::{Mirror, is_foreign};
use crate::{
    boxes::{
        AccessRecord, Act, Answer, BinView, BoxMessage, Clash, Command, Conflict, Creation, Cursor, Entry, Event,
        Fault, Flag, Fob, Health, JournalEntry, KeyPlace, KeyRecord, Label, Model, Outcome, Plan, Receipt, Refusal,
        Scope, SecretHash, SmartBox, SyncAnswer, SyncRequest, check_invariants, numbered_key,
    },
    kernel::{
        AccessId, Address, BoxId, Chance, ClaimOp, Codec, Context, Effects, Incoming, KeyId, Machine, MailRequest,
        Message, MessageTarget, OrgId, PersonId, Principal, Progress, RowSpace, Stamp, UnixMillis, testing::TestKeys,
    },
};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

pub const ORG: OrgId = OrgId(7);
pub const ANNA: PersonId = PersonId(0xa);
pub const BEN: PersonId = PersonId(0xb);
/// 2026-01-01.
pub const START: UnixMillis = UnixMillis(1_767_225_600_000);

pub fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub fn fob(text: &str) -> Fob {
    Fob::new(text).unwrap()
}

/// A journal entry with what every one has.
pub fn line(seq: u64, at: UnixMillis, act: Act, bin: Option<Label>) -> JournalEntry {
    JournalEntry { seq, at, cursor: None, act, bin, person: None, by: None, exchange: None, named: None }
}

pub fn applied() -> Outcome {
    Outcome::Applied
}

pub fn flagged(flag: Flag) -> Outcome {
    Outcome::Flagged(flag)
}

pub fn ignored(clash: Clash) -> Outcome {
    Outcome::Ignored(clash)
}

pub fn rejected(fault: Fault) -> Outcome {
    Outcome::Rejected(fault)
}

#[derive(Debug, Clone, PartialEq)]
pub enum No {
    Refused(Refusal),
    Taken,
}

/// One box's side, and what the world knows of the server's side of it.
pub struct Site {
    pub state: SmartBox,
    pub events: Vec<(Stamp, Event)>,
    pub mirror: Mirror,
    pub cursor: Option<Cursor>,
    pub seq: u64,
    token: SecretHash,
    /// Changes that the box did not make itself, and whether it ever lost a stored state.
    foreign: Vec<(u64, UnixMillis)>,
    lost: bool,
}

pub struct World {
    pub now: UnixMillis,
    /// Raised by a restore.
    pub epoch: u32,
    pub sites: Vec<Site>,
    pub claims: HashMap<Vec<u8>, Address>,
    pub rows: HashMap<(u8, Vec<u8>), Vec<u8>>,
    pub outbox: VecDeque<(Address, Message)>,
    pub mails: Vec<MailRequest>,
    pub minted: u128,
}

impl World {
    /// So many enrolled and synced boxes with bins `A-1`, `A-2`, `A-3`.
    pub fn new(boxes: usize) -> Self {
        let mut world = Self {
            now: START,
            epoch: 1,
            sites: Vec::new(),
            claims: HashMap::new(),
            rows: HashMap::new(),
            outbox: VecDeque::new(),
            mails: Vec::new(),
            minted: 0,
        };
        for _ in 0..boxes {
            world.add_box(Model::MS5, &["A-1", "A-2", "A-3"]);
        }
        world
    }

    pub fn add_box(&mut self, model: Model, bins: &[&str]) -> usize {
        let site = self.sites.len();
        let id = BoxId(site as u128 + 1);
        self.sites.push(Site {
            state: SmartBox::blank(id.at(ORG)),
            events: Vec::new(),
            mirror: Mirror::default(),
            cursor: None,
            seq: 0,
            token: SecretHash([0; 32]),
            foreign: Vec::new(),
            lost: false,
        });
        let creation = Creation {
            name: format!("Box {site}").into(),
            model,
            plan: Plan::Premium,
            location: "".into(),
            zone: "Europe/Rome".into(),
            bins: bins.iter().map(|bin| label(bin)).collect(),
        };
        self.run(site, Command::Create(creation)).unwrap();
        self.enrol(site, false);
        self.sync(site, vec![]);
        self.sync(site, vec![]);
        site
    }

    pub fn enrol(&mut self, site: usize, stolen: bool) {
        self.minted += 2;
        let (code_hash, token_hash) = (SecretHash([self.minted as u8; 32]), SecretHash([self.minted as u8 + 1; 32]));
        let expires = self.now.plus(Duration::from_secs(24 * 3600));
        self.run(site, Command::MakeEnrolmentCode { code_hash, expires, stolen }).unwrap();
        self.run(site, Command::Enrol { code_hash, token_hash }).unwrap();
        self.sites[site].token = token_hash;
        self.sites[site].cursor = None;
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    pub fn id(&self, site: usize) -> BoxId {
        self.sites[site].state.id()
    }

    pub fn token(&self, site: usize) -> SecretHash {
        self.sites[site].token
    }

    /// Steps a command as the shell does, and checks what must always hold.
    pub fn run(&mut self, site: usize, command: Command) -> Result<Answer, No> {
        let cx =
            Context { org: ORG, now: self.now, epoch: self.epoch, up_since: START, by: Principal::Server, from: None };
        let address = self.sites[site].state.id().at(ORG);
        let (mut events, mut claims, mut step) = (Vec::new(), Vec::new(), 0);
        loop {
            let before = events.len();
            let state = &self.sites[site].state;
            let progress = match state.decide(&command, step, &cx, &mut events) {
                Ok(progress) => progress,
                Err(refusal) => {
                    assert_eq!(step, 0, "ENG-5");
                    return Err(No::Refused(refusal));
                }
            };
            if step == 0 {
                state.claims(&command, &events, &mut claims);
                for claim in &claims {
                    let (value, holders) = match claim {
                        ClaimOp::Take { value, .. } => (value, &[address][..]),
                        ClaimOp::TakeFree { value, .. } => (value, &[][..]),
                        ClaimOp::Inherit { value, from, .. } => (value, &[address, *from][..]),
                        ClaimOp::Release { .. } => continue,
                    };
                    let holder = self.claims.get(value).copied();
                    if holder.is_some_and(|holder| !holders.contains(&holder)) {
                        return Err(No::Taken);
                    }
                }
            }
            for event in &events[before..] {
                self.evolve(site, event);
            }
            if progress == Progress::Done {
                break;
            }
            step += 1;
        }
        for claim in claims {
            match claim {
                ClaimOp::Take { value, .. } | ClaimOp::TakeFree { value, .. } | ClaimOp::Inherit { value, .. } => {
                    self.claims.insert(value, address);
                }
                ClaimOp::Release { value, .. } => {
                    let holder = self.claims.remove(&value);
                    assert_eq!(holder, Some(address), "ENG-4: only its holder gives a claim back");
                }
            }
        }
        let state = &self.sites[site].state;
        let answer = state.answer(&command, &events, state.revision(), &cx);
        if !events.is_empty() {
            let mut effects = Effects::default();
            state.effects(&command, &events, &cx, &mut effects);
            for row in effects.rows {
                match row.value {
                    Some(value) => drop(self.rows.insert((row.space as u8, row.key), value)),
                    None => drop(self.rows.remove(&(row.space as u8, row.key))),
                }
            }
            self.mails.extend(effects.mails);
            self.outbox.extend(effects.messages.into_iter().map(|message| (address, message)));
        }
        self.check(site);
        Ok(answer)
    }

    fn evolve(&mut self, site: usize, event: &Event) {
        // What stands in the log is what a restart reads.
        let event = Event::decode_from(&event.to_bytes()).unwrap();
        let site = &mut self.sites[site];
        let stamp = Stamp { at: self.now, revision: site.state.revision() + 1 };
        if is_foreign(&event, &site.state) {
            site.foreign.push((stamp.revision, stamp.at));
        }
        if let Event::Enrolled { .. } | Event::Restored { .. } = event {
            site.foreign = vec![(stamp.revision, stamp.at)];
        }
        site.state.evolve(&event, stamp);
        site.events.push((stamp, event));
    }

    fn check(&self, site: usize) {
        let site = &self.sites[site];
        assert_eq!(check_invariants(&site.state), [], "{:#?}", site.events.last());
        let mut judged = std::collections::HashSet::new();
        let mut line = 0;
        for (_, event) in &site.events {
            match event {
                Event::JournalRestarted { .. } => line += 1,
                Event::EntryJudged(entry) => assert!(judged.insert((line, entry.seq)), "BOX-1: {}", entry.seq),
                _ => {}
            }
        }
        let seen = site.state.overview(self.now, START);
        if seen.enrolled && !site.lost {
            let confirmed = seen.confirmed.map_or(0, |cursor| cursor.revision);
            let missing = site.foreign.iter().find(|(revision, _)| *revision > confirmed);
            assert_eq!(seen.pending_since, missing.map(|(_, at)| *at), "BOX-6: {:#?}", site.events.last());
        }
        let mut bytes = Vec::new();
        site.state.to_snapshot(&mut bytes);
        let again = SmartBox::from_snapshot(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", site.state), "a snapshot is the state");
    }

    /// The same world once more, to try another way on.
    pub fn fork(&self) -> Self {
        let fork = |site: &Site| {
            let mut bytes = Vec::new();
            site.state.to_snapshot(&mut bytes);
            Site {
                state: SmartBox::from_snapshot(&bytes).unwrap(),
                events: site.events.clone(),
                mirror: site.mirror.clone(),
                foreign: site.foreign.clone(),
                ..*site
            }
        };
        Self {
            sites: self.sites.iter().map(fork).collect(),
            claims: self.claims.clone(),
            rows: self.rows.clone(),
            outbox: self.outbox.clone(),
            mails: self.mails.clone(),
            ..*self
        }
    }

    /// The server is restored from a backup: what it knows is what it knew then. The boxes are as they are.
    pub fn restore(&mut self, backup: &Self) {
        let then = backup.fork();
        (self.claims, self.rows, self.outbox) = (then.claims, then.rows, then.outbox);
        for (here, then) in self.sites.iter_mut().zip(then.sites) {
            (here.state, here.events, here.foreign) = (then.state, then.events, then.foreign);
            here.lost = true;
        }
        self.epoch += 1;
    }

    /// From here on this box may come with any cursor: the exact rule of BOX-6 is not checked.
    pub fn never_mind_pending(&mut self, site: usize) {
        self.sites[site].lost = true;
    }

    pub fn box_lost_its_state(&mut self, site: usize) {
        self.sites[site].cursor = None;
        self.sites[site].lost = true;
    }

    pub fn request(&self, site: usize, entries: Vec<Entry>) -> SyncRequest {
        let head = entries.iter().map(Entry::seq).max().unwrap_or_default().max(self.sites[site].seq);
        SyncRequest {
            cursor: self.sites[site].cursor,
            head,
            kept_from: None,
            more: false,
            entries: entries.into(),
            clock: self.now,
            health: Health::default(),
        }
    }

    /// Sends a request without its being the box's own next step; the answer is lost on its way.
    pub fn send(&mut self, site: usize, request: SyncRequest) -> Result<SyncAnswer, No> {
        let token_hash = self.sites[site].token;
        match self.run(site, Command::Sync { token_hash, request })? {
            Answer::Synced(answer) => Ok(*answer),
            other => panic!("a sync is answered by {other:?}"),
        }
    }

    /// A sync that arrives and whose answer is stored: then the box has what the server has.
    pub fn exchange(&mut self, site: usize, request: SyncRequest) -> SyncAnswer {
        let answer = self.send(site, request).unwrap();
        let here = &mut self.sites[site];
        here.mirror.apply(&answer.changes);
        here.cursor = answer.cursor;
        here.seq = answer.resume_at - 1;
        let mut whole = Mirror::default();
        whole.apply(&here.state.changes_since(0));
        assert_eq!(here.mirror, whole, "BOX-4");
        answer
    }

    pub fn sync(&mut self, site: usize, entries: Vec<Entry>) -> Vec<Outcome> {
        let request = self.request(site, entries);
        self.exchange(site, request).receipts.iter().map(|receipt: &Receipt| receipt.outcome).collect()
    }

    /// Syncs, and lets all messages arrive.
    pub fn told(&mut self, site: usize, entries: Vec<Entry>) -> Vec<Outcome> {
        let outcomes = self.sync(site, entries);
        self.settle();
        outcomes
    }

    fn deliver(&mut self, from: Address, message: &Message) {
        let (to, unclaimed) = match &message.to {
            MessageTarget::Entity(to) => (*to, false),
            MessageTarget::ClaimHolder { value, .. } => {
                self.claims.get(value).map_or((from, true), |holder| (*holder, false))
            }
            MessageTarget::Index { .. } => panic!("boxes send no fan-out"),
        };
        let Some(site) = self.sites.iter().position(|site| site.state.id().at(ORG) == to) else { return };
        let chance = &Chance::seeded(1);
        let incoming = Incoming { to, from, body: &message.body, secret: None, unclaimed, keys: &TestKeys(1), chance };
        let command = SmartBox::message(incoming).unwrap();
        match self.run(site, command) {
            Ok(_) | Err(No::Taken) => {}
            Err(no) => panic!("a message was refused: {no:?}"),
        }
    }

    /// Delivers one message; with `late` the newest first, as when one overtakes the others.
    pub fn deliver_one(&mut self, late: bool) -> bool {
        let next = if late { self.outbox.pop_back() } else { self.outbox.pop_front() };
        let Some((from, message)) = next else { return false };
        self.deliver(from, &message);
        true
    }

    pub fn settle(&mut self) {
        for _ in 0..1_000 {
            if !self.deliver_one(false) {
                return;
            }
        }
        panic!("messages without end: {:?}", self.outbox.front());
    }

    /// A key at home in a box.
    pub fn add_key(&mut self, site: usize, serial: &str, bin: Option<&str>, roaming: bool) -> KeyId {
        self.minted += 1;
        let key = KeyId(0x1000 + self.minted);
        self.try_add_key(site, key, serial, bin, roaming).unwrap();
        key
    }

    pub fn try_add_key(
        &mut self,
        site: usize,
        id: KeyId,
        serial: &str,
        bin: Option<&str>,
        roaming: bool,
    ) -> Result<Answer, No> {
        let key =
            KeyRecord { id, name: serial.into(), fob: Some(fob(serial)), roaming, groups: Box::default(), size: None };
        self.run(site, Command::AddKey { key, bin: bin.map(label), texts: None })
    }

    pub fn grant(&mut self, site: usize, person: PersonId, scope: Scope) -> AccessId {
        self.minted += 1;
        let id = AccessId(0x2000 + self.minted);
        let record = AccessRecord { id, person, scope, from: None, until: None, reminder: None };
        self.run(site, Command::Grant { accesses: [record].into() }).unwrap();
        id
    }

    pub fn correct(&mut self, site: usize, bin: &str, content: Option<&str>) {
        self.run(site, Command::CorrectBin { bin: label(bin), fob: content.map(fob), key: None }).unwrap();
    }

    pub fn entry(&self, site: usize, after: u64, act: Act, bin: &str, person: Option<PersonId>) -> Entry {
        let seq = self.sites[site].seq + after;
        let cursor = self.sites[site].cursor;
        Entry::Read(JournalEntry { cursor, person, ..line(seq, self.now, act, Some(label(bin))) })
    }

    /// The entry so many after the last one that this box has a receipt for.
    pub fn pick(&self, site: usize, after: u64, serial: &str, bin: &str, person: Option<PersonId>) -> Entry {
        self.entry(site, after, Act::PickUp(fob(serial)), bin, person)
    }

    pub fn drop(&self, site: usize, after: u64, serial: &str, bin: &str, person: Option<PersonId>) -> Entry {
        self.entry(site, after, Act::DropOff(fob(serial)), bin, person)
    }

    pub fn bin(&self, site: usize, bin: &str) -> BinView {
        let inventory = self.sites[site].state.inventory();
        inventory.bins.into_iter().find(|view| view.bin == label(bin)).unwrap()
    }

    /// Bin content, for short: fob, confirmed, expects a late pick-up.
    pub fn shows(&self, site: usize, bin: &str) -> (Option<String>, bool, bool) {
        let view = self.bin(site, bin);
        (view.fob.map(|fob| fob.to_string()), view.confirmed, view.expects_late_pick_up)
    }

    pub fn place(&self, site: usize, key: KeyId) -> Option<KeyPlace> {
        let inventory = self.sites[site].state.inventory();
        inventory.keys.into_iter().find(|view| view.key == key).map(|view| view.place)
    }

    pub fn holder(&self, site: usize, key: KeyId) -> Option<PersonId> {
        match self.place(site, key) {
            Some(KeyPlace::Person { person, .. }) => person,
            _ => None,
        }
    }

    pub fn conflicts(&self, site: usize) -> Vec<u64> {
        self.sites[site].state.overview(self.now, START).conflicts
    }

    pub fn conflict(&self, site: usize, number: u64) -> Conflict {
        let key = numbered_key(self.id(site), number).to_vec();
        Conflict::decode_from(&self.rows[&(RowSpace::Conflicts as u8, key)]).unwrap()
    }

    pub fn hear(&mut self, site: usize, message: BoxMessage) {
        let from = crate::boxes::BoxOrOther::Other;
        self.run(site, Command::Heard { from, message }).unwrap();
    }

    pub fn events_of(&self, site: usize) -> impl Iterator<Item = &Event> {
        self.sites[site].events.iter().map(|(_, event)| event)
    }
}
