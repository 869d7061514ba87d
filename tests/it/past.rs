//! A past for a server: its folder is opened in this process, with a clock that stands where the test puts it.

use crate::rig::Rig;
use castellan::{
    app,
    boxes::{
        Answer, BinState, Command, Conflict, Creation, Cursor, Entry, Fob, Health, KeyRecord, Label, Model, Plan,
        Refusal, SecretHash, SmartBox, SyncRequest,
    },
    config::Config,
    engine::{Call, Engine, Failure, Permit},
    kernel::{BoxId, Chance, Clock, Codec, KeyId, OrgId, Principal, RowSpace, UnixMillis},
};
use std::time::Duration;

pub const DAY: Duration = Duration::from_secs(86_400);

pub struct Past {
    engine: Engine,
    clock: Clock,
    arbiters: Vec<actix::Arbiter>,
}

/// Opens the folder of a server that does not run, so many days ago, and lets something happen there.
pub fn in_the_past<T>(rig: &Rig, days: u32, happens: impl AsyncFnOnce(&Past) -> T) -> T {
    let config = Config::load(&rig.config()).unwrap();
    let now = Clock::system().now();
    let clock = Clock::manual(UnixMillis(now.0 - (DAY * days).as_millis() as u64));
    actix::System::new().block_on(async move {
        let engine = app::open(&config, clock.clone(), Chance::system()).unwrap();
        let arbiters: Vec<_> = (0..2).map(|_| actix::Arbiter::new()).collect();
        for arbiter in &arbiters {
            let engine = engine.clone();
            arbiter.spawn_fn(move || engine.attach_worker());
        }
        while !engine.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let past = Past { engine, clock, arbiters };
        let happened = happens(&past).await;
        let Past { engine, arbiters, .. } = past;
        engine.stop().await;
        for arbiter in arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
        happened
    })
}

fn label(bin: &str) -> Label {
    Label::new(bin).unwrap()
}

impl Past {
    pub fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    pub async fn tell(&self, org: OrgId, id: BoxId, command: Command) -> Result<Answer, Failure<Refusal>> {
        let call = Call {
            by: Principal::Server,
            from: Some([192, 0, 2, 77].into()),
            now: self.clock.now(),
            permit: Permit::internal(),
            only_if: None,
            replay: None,
        };
        self.engine.ask::<SmartBox>(id.at(org), command, call).await.map(|committed| committed.answer)
    }

    /// A box with a key, whose one bin is filled and emptied by hand, and with a conflict that is resolved: two records
    /// a day until today.
    pub async fn box_with_a_history(&self, org: OrgId, number: u128, days: u32) -> BoxId {
        let id = BoxId(0x7e57_0000 + number);
        let creation = Creation {
            name: format!("Old {number}").into(),
            model: Model::MS5,
            plan: Plan::Premium,
            location: "".into(),
            zone: "Europe/Rome".into(),
            bins: [label("A-1"), label("A-2")].into(),
        };
        self.tell(org, id, Command::Create(creation)).await.unwrap();
        let hash = SecretHash([number as u8 + 1; 32]);
        let expires = self.clock.now().plus(DAY);
        self.tell(org, id, Command::MakeEnrolmentCode { code_hash: hash, expires, stolen: false }).await.unwrap();
        self.tell(org, id, Command::Enrol { code_hash: hash, token_hash: hash }).await.unwrap();
        let fob = Fob::new(&format!("OLD-{number}")).unwrap();
        let (name, groups) = ("Van".into(), [].into());
        let key = KeyRecord { id: KeyId(id.0), name, fob: Some(fob), roaming: false, groups, size: None };
        self.tell(org, id, Command::AddKey { key, bin: Some(label("A-1")), texts: None }).await.unwrap();
        for seq in 1..=2 {
            self.conflict(org, id, hash, seq).await;
        }
        self.resolve(org, id, 1).await;
        for _ in 0..days {
            self.pass(DAY / 2);
            self.tell(org, id, Command::CorrectBin { bin: label("A-1"), fob: None, key: None }).await.unwrap();
            self.pass(DAY / 2);
            self.tell(org, id, Command::CorrectBin { bin: label("A-1"), fob: Some(fob), key: None }).await.unwrap();
        }
        self.tell(org, id, Command::SetBin { bin: label("A-2"), state: Some(BinState::Protected), size: None })
            .await
            .unwrap();
        id
    }

    async fn conflict(&self, org: OrgId, id: BoxId, token_hash: SecretHash, seq: u64) {
        let request = SyncRequest {
            cursor: None::<Cursor>,
            head: seq,
            kept_from: None,
            more: false,
            entries: [Entry::Unreadable { seq, text: "?".into() }].into(),
            clock: self.clock.now(),
            health: Health::default(),
        };
        self.tell(org, id, Command::Sync { token_hash, request }).await.unwrap();
    }

    async fn resolve(&self, org: OrgId, id: BoxId, number: u64) {
        let key = castellan::boxes::numbered_key(id, number).to_vec();
        let row = self.engine.row(RowSpace::Conflicts, org, key).await.unwrap().unwrap();
        let conflict = Box::new(Conflict::decode_from(&row).unwrap());
        let accept = castellan::boxes::Accept::ByHand;
        self.tell(org, id, Command::ResolveConflict { conflict, accept }).await.unwrap();
    }
}
