//! The world: two organisations, their boxes, keys and people, the server's life, and what must be true in the end.

use crate::model::{Dice, ModelBox};
use castellan::{
    boxes::{self, AccessRecord, Act, Command, Creation, Fob, KeyRecord, Label, SmartBox},
    engine::{Call, Engine, EngineConfig, Failure, Kinds, verify},
    kernel::{AccessId, Address, BoxId, Chance, Clock, Codec, GroupId, KeyId, OrgId, PersonId, UnixMillis},
    orgs::{ApiToken, Organisation, Person, Role, person},
    store::{
        CommitLog, Db, Keyring, Options, RocksLog, StoredRecord,
        faults::{Faults, FaultyLog},
        keys::KeyKind,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const ORGS: usize = 2;
const BOXES_PER_ORG: usize = 3;
const BINS: usize = 4;
const KEYS_PER_ORG: usize = 6;
const PEOPLE: usize = 3;

pub struct World {
    seed: u64,
    partitions: u8,
    dice: Dice,
    folder: tempfile::TempDir,
    clock: Clock,
    server: Option<Server>,
    starts: u64,
    boxes: Vec<ModelBox>,
    people: Vec<(OrgId, PersonId)>,
    /// Fobs that are in nobody's bin, by organisation.
    hands: Vec<(OrgId, Fob)>,
    accesses: Vec<(usize, AccessId)>,
    /// Records that retention may have taken, by box and revision.
    old: BTreeMap<(usize, u64), StoredRecord>,
    next_id: u128,
}

struct Server {
    engine: Engine,
    arbiters: Vec<actix::Arbiter>,
}

fn kinds() -> Kinds {
    Kinds::new(2).with::<Organisation>().with::<Person>().with::<ApiToken>().with::<SmartBox>()
}

impl Server {
    async fn start(world: &std::path::Path, partitions: u8, clock: &Clock, faults: Option<(Faults, u64)>) -> Self {
        let is_new = !world.join("CURRENT").exists();
        let db = Db::open(world, Options { partitions, ..Options::default() }, true).unwrap();
        let open = if is_new { Keyring::init } else { Keyring::open };
        let ring = Arc::new(open(&db, zeroize::Zeroizing::new([7; 32]).into(), Chance::system()).unwrap());
        let log: Arc<dyn CommitLog> = match faults {
            Some((faults, seed)) => Arc::new(FaultyLog::new(RocksLog::new(db.clone()), faults, seed)),
            None => Arc::new(RocksLog::new(db.clone())),
        };
        let config = EngineConfig { awake_entities_max: 8, ..EngineConfig::default() };
        let engine = Engine::start(config, kinds(), db, log, ring, clock.clone(), Chance::system()).unwrap();
        let arbiters: Vec<_> = (0..2).map(|_| actix::Arbiter::new()).collect();
        for arbiter in &arbiters {
            let engine = engine.clone();
            arbiter.spawn_fn(move || engine.attach_worker());
        }
        while !engine.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { engine, arbiters }
    }

    /// Stops, but keeps the database open.
    async fn stop(self) -> Db {
        let Self { engine, arbiters } = self;
        engine.stop().await;
        for arbiter in arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
        engine.db().clone()
    }
}

/// Its lock is free from then on. A read that nobody waits for any more may still be under way.
async fn close(mut db: Db) {
    for _ in 0..5_000 {
        match db.try_close() {
            Ok(()) => return,
            Err(held) => db = held,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("somebody still holds the database");
}

fn label(bin: usize) -> Label {
    Label::new(&format!("A-{}", bin + 1)).unwrap()
}

impl World {
    pub async fn new(seed: u64, partitions: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(UnixMillis(1_790_000_000_000));
        let server = Server::start(folder.path(), partitions, &clock, None).await;
        let mut world = Self {
            seed,
            partitions,
            dice: Dice::new(seed),
            folder,
            clock,
            server: Some(server),
            starts: 0,
            boxes: Vec::new(),
            people: Vec::new(),
            hands: Vec::new(),
            accesses: Vec::new(),
            old: BTreeMap::new(),
            next_id: 1,
        };
        for org in 0..ORGS {
            world.found(OrgId(0x5eed_0000 + org as u128)).await;
        }
        world
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        (u128::from(self.seed) << 64 | self.next_id).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }

    async fn found(&mut self, org: OrgId) {
        for _ in 0..PEOPLE {
            let id = PersonId(self.id());
            let plain = boxes::CredentialsPlain {
                code: Some("123456".to_owned()),
                badges: Vec::new(),
                pin: None,
                bookings: Vec::new(),
            }
            .to_bytes();
            let command = person::Command::Create {
                role: Role::User,
                profile: person::Profile { email: None, plain: Vec::new().into() },
                credentials: person::Credentials { access_code: None, badges: Vec::new(), plain: plain.into() },
            };
            self.engine().ask::<Person>(id.at(org), command, self.call()).await.unwrap();
            self.people.push((org, id));
        }
        let first = self.boxes.len();
        for _ in 0..BOXES_PER_ORG {
            let id = BoxId(self.id());
            let creation = Creation {
                name: "box".into(),
                model: boxes::Model::MS5,
                plan: boxes::Plan::Premium,
                location: "".into(),
                zone: "Europe/Rome".into(),
                bins: (0..BINS).map(label).collect(),
            };
            self.boxes.push(ModelBox::new(id, org, (0..BINS).map(|bin| (label(bin), None)).collect()));
            let at = self.boxes.len() - 1;
            self.tell(at, Command::Create(creation)).await;
            self.enrol(at).await;
        }
        for number in 0..KEYS_PER_ORG {
            let (id, fob) = (KeyId(self.id()), Fob::new(&format!("fob-{}-{number}", self.id() % 10_000)).unwrap());
            let (at, bin) = (first + number % BOXES_PER_ORG, number / BOXES_PER_ORG);
            let (name, roaming, groups) = ("key".into(), number % 2 == 0, [GroupId(1)].into());
            let key = KeyRecord { id, name, fob: Some(fob), roaming, groups, size: None };
            self.tell(at, Command::AddKey { key, bin: Some(label(bin)), texts: None }).await;
            self.boxes[at].bins[bin].1 = Some(fob);
        }
    }

    async fn enrol(&mut self, at: usize) {
        let hash = boxes::SecretHash(Chance::seeded(self.boxes[at].id.0 as u64).bytes());
        let expires = self.clock.now().plus(Duration::from_secs(3600));
        self.tell(at, Command::MakeEnrolmentCode { code_hash: hash, expires, stolen: false }).await;
        self.tell(at, Command::Enrol { code_hash: hash, token_hash: hash }).await;
    }

    fn call<M: castellan::kernel::Machine>(&self) -> Call<M> {
        Call::own(self.clock.now())
    }

    fn address(&self, at: usize) -> Address {
        self.boxes[at].id.at(self.boxes[at].org)
    }

    /// Asks until it is done, over rejections and restarts.
    async fn tell(&mut self, at: usize, command: Command) {
        for _ in 0..200 {
            let told = self.engine().ask::<SmartBox>(self.address(at), command.clone(), self.call()).await;
            match told {
                Ok(_) | Err(Failure::Refused(_) | Failure::Taken(_)) => return,
                Err(Failure::OutcomeUnknown) => self.restart().await,
                Err(Failure::NotWritten | Failure::Busy | Failure::Stopping) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(other) => panic!("seed {}: {other:?}", self.seed),
            }
        }
        panic!("seed {}: never done", self.seed);
    }

    async fn restart(&mut self) {
        self.starts += 1;
        let faults = Faults { rejected_per_mille: 30, unknown_per_mille: 30, broken_per_mille: 10 };
        self.start_again(Some((faults, self.seed * 1000 + self.starts))).await;
    }

    async fn start_again(&mut self, faults: Option<(Faults, u64)>) {
        if let Some(server) = self.server.take() {
            close(server.stop().await).await;
        }
        self.server = Some(Server::start(self.folder.path(), self.partitions, &self.clock, faults).await);
    }

    fn engine(&self) -> &Engine {
        &self.server.as_ref().expect("started again at once").engine
    }

    pub async fn step(&mut self) {
        let at = self.dice.below(self.boxes.len());
        self.clock.advance(Duration::from_secs(1 + self.dice.below(120) as u64));

        match self.dice.below(20) {
            0..8 => self.exchange(at),
            8..13 => self.sync(at).await,
            13 => {
                let other = (at + 1) % self.boxes.len();
                self.sync_together(at, other).await;
            }
            14 => self.correct(at).await,
            15 => {
                let bin = self.boxes[at].bins[self.dice.below(BINS)].0;
                self.tell(at, Command::ConfirmBin { bin }).await;
            }
            16 => self.grant(at).await,
            17 => self.revoke().await,
            18 => self.clock.advance(Duration::from_secs(self.dice.below(4 * 3600) as u64)),
            _ if self.dice.one_in(4) => self.restart().await,
            _ => self.trim(at).await,
        }
    }

    /// Somebody takes a key or puts one back; the box writes it down.
    fn exchange(&mut self, at: usize) {
        let org = self.boxes[at].org;
        let people: Vec<_> = self.people.iter().filter(|person| person.0 == org).map(|person| person.1).collect();
        let person = if self.dice.one_in(6) { None } else { Some(people[self.dice.below(people.len())]) };
        let bin = self.dice.below(BINS);
        let now = self.clock.now();
        let act = match self.boxes[at].bins[bin].1.take() {
            Some(fob) => {
                self.hands.push((org, fob));
                Act::PickUp(fob)
            }
            None => {
                let held: Vec<_> = (0..self.hands.len()).filter(|hand| self.hands[*hand].0 == org).collect();
                let Some(hand) = held.get(self.dice.below(held.len().max(1))).copied() else { return };
                let (_, fob) = self.hands.swap_remove(hand);
                self.boxes[at].bins[bin].1 = Some(fob);
                Act::DropOff(fob)
            }
        };
        self.boxes[at].write(now, act, label(bin), person);
    }

    fn sync_command(&mut self, at: usize) -> Command {
        let piece = 1 + self.dice.below(8);
        let back = if self.dice.one_in(3) { self.dice.below(4) as u64 } else { 0 };
        let clock = self.clock.now();
        let token_hash = boxes::SecretHash(Chance::seeded(self.boxes[at].id.0 as u64).bytes());
        Command::Sync { token_hash, request: self.boxes[at].request(piece, back, clock) }
    }

    async fn sync(&mut self, at: usize) {
        let command = self.sync_command(at);
        let told = self.engine().ask::<SmartBox>(self.address(at), command, self.call()).await;
        self.synced(at, told).await;
    }

    async fn sync_together(&mut self, one: usize, other: usize) {
        let (first, second) = (self.sync_command(one), self.sync_command(other));
        let (told_one, told_other) = tokio::join!(
            self.engine().ask::<SmartBox>(self.address(one), first, self.call()),
            self.engine().ask::<SmartBox>(self.address(other), second, self.call()),
        );
        self.synced(one, told_one).await;
        self.synced(other, told_other).await;
    }

    async fn synced(
        &mut self,
        at: usize,
        told: Result<castellan::engine::Committed<boxes::Answer>, Failure<boxes::Refusal>>,
    ) {
        match told {
            // Every fifth answer is lost on the way.
            Ok(_) if self.dice.one_in(5) => {}
            Ok(committed) => match committed.answer {
                boxes::Answer::Synced(answer) => self.boxes[at].apply(&answer),
                other => panic!("seed {}: a sync is answered by {other:?}", self.seed),
            },
            Err(Failure::NotWritten | Failure::Busy | Failure::Stopping) => {}
            Err(Failure::OutcomeUnknown) => self.restart().await,
            Err(other) => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// An administrator looks into a bin and enters what is there.
    async fn correct(&mut self, at: usize) {
        let (bin, fob) = self.boxes[at].bins[self.dice.below(BINS)];
        self.tell(at, Command::CorrectBin { bin, fob, key: None }).await;
    }

    async fn grant(&mut self, at: usize) {
        let org = self.boxes[at].org;
        let people: Vec<_> = self.people.iter().filter(|person| person.0 == org).map(|person| person.1).collect();
        let (id, person) = (AccessId(self.id()), people[self.dice.below(PEOPLE)]);
        let access = AccessRecord { id, person, scope: boxes::Scope::Box, from: None, until: None, reminder: None };
        self.tell(at, Command::Grant { accesses: [access].into() }).await;
        self.accesses.push((at, id));
    }

    async fn revoke(&mut self) {
        if self.accesses.is_empty() {
            return;
        }
        let (at, access) = self.accesses.swap_remove(self.dice.below(self.accesses.len()));
        self.tell(at, Command::Revoke { access }).await;
    }

    /// Whatever the log does to a step of trimming, no state changes by it.
    async fn trim(&mut self, at: usize) {
        let age = Duration::from_secs(self.dice.below(12 * 3600) as u64);
        let before = UnixMillis(self.clock.now().0 - age.as_millis() as u64);
        let records = self.engine().history(self.address(at), None, usize::MAX).await.unwrap();
        let old = records.into_iter().filter(|record| record.at < before);
        self.old.extend(old.map(|record| ((at, record.first_revision), record)));
        for _ in 0..5 {
            match self.engine().trim(self.address(at), before).await {
                Ok(step) if step.more => {}
                Ok(_) => return,
                Err(Failure::NotWritten) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(other) => panic!("seed {}: {other:?}", self.seed),
            }
        }
    }

    /// The faults end; everybody syncs until nothing is left to say.
    pub async fn settle(&mut self) {
        self.start_again(None).await;
        for _ in 0..30 {
            self.clock.advance(Duration::from_secs(700));
            tokio::time::sleep(Duration::from_millis(20)).await;
            for at in 0..self.boxes.len() {
                while {
                    let clock = self.clock.now();
                    let request = self.boxes[at].request(50, 0, clock);
                    let more = request.more;
                    let token_hash = boxes::SecretHash(Chance::seeded(self.boxes[at].id.0 as u64).bytes());
                    let command = Command::Sync { token_hash, request };
                    let told = self.engine().ask::<SmartBox>(self.address(at), command, self.call()).await;
                    match told.unwrap().answer {
                        boxes::Answer::Synced(answer) => self.boxes[at].apply(&answer),
                        other => panic!("{other:?}"),
                    }
                    more
                } {}
            }
        }
    }

    pub async fn check(mut self) {
        let seed = self.seed;
        let mut homes: BTreeMap<KeyId, BoxId> = BTreeMap::new();
        for (at, each) in self.boxes.iter().enumerate() {
            let address = each.id.at(each.org);
            let (inventory, broken) = self
                .engine()
                .read::<SmartBox, _>(address, |state, _| (state.inventory(), boxes::check_invariants(state)))
                .await
                .unwrap();
            assert_eq!(broken, [], "seed {seed}");
            each.compare(&inventory);
            for key in &inventory.keys {
                assert_eq!(homes.insert(key.key, each.id), None, "seed {seed}: a key has two homes");
            }
            let mut records: BTreeMap<u64, StoredRecord> = self
                .old
                .range((at, 0)..(at + 1, 0))
                .map(|((_, revision), record)| (*revision, record.clone()))
                .collect();
            let kept = self.engine().history(address, None, usize::MAX).await.unwrap();
            records.extend(kept.into_iter().map(|record| (record.first_revision, record)));
            check_journal(seed, each, &records.into_values().collect::<Vec<_>>());
        }
        assert_eq!(homes.len(), ORGS * KEYS_PER_ORG, "seed {seed}: a key has no home");
        for partition in 0..self.partitions {
            let waiting = self.engine().db().scan(&[partition, KeyKind::Outbox as u8], None, 10).unwrap();
            assert_eq!(waiting.len(), 0, "seed {seed}: messages were never delivered");
        }
        let db = self.server.take().expect("started again at once").stop().await;
        assert_eq!(verify::verify(&db, &kinds(), |_| {}).unwrap().findings, Vec::<String>::new(), "seed {seed}");
    }
}

/// Every entry is in the history exactly once, with the outcome that its receipt said.
fn check_journal(seed: u64, of: &ModelBox, records: &[StoredRecord]) {
    let mut judged: BTreeMap<u64, boxes::Outcome> = BTreeMap::new();
    for record in records {
        for (n, bytes) in (0u64..).zip(&record.events) {
            let event = boxes::Event::decode_from(bytes).unwrap();
            let stamp = castellan::kernel::Stamp { at: record.at, revision: record.first_revision + n };
            let Some(item) = boxes::history_item(&event, stamp) else { continue };
            let Some(seq) = item.seq.filter(|seq| *seq < 1 << 63) else { continue };
            assert_eq!(judged.insert(seq, item.outcome), None, "seed {seed}: entry {seq} counts twice");
        }
    }
    assert_eq!(judged.len(), of.journal.len(), "seed {seed}: entries without a judgement");
    for (seq, receipt) in &of.receipts {
        let first = receipt.outcome == boxes::Outcome::Duplicate || judged.get(seq) == Some(&receipt.outcome);
        assert!(
            first,
            "seed {seed}: entry {seq} was receipted as {:?}, judged as {:?}",
            receipt.outcome,
            judged.get(seq)
        );
    }
}
