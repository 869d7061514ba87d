//! What leaves the server, with a courier that fails as it is told.

use super::*;
use crate::{
    kernel::{MailCopy, MailTrouble, PersonId, Recipient},
    store::keys::KeyKind,
};
use parking_lot::Mutex;
use std::pin::Pin;

/// Keeps what it is told of mails that died, and nothing else.
#[derive(Debug, Default, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
struct Registry {
    #[n(0)]
    dead: Vec<u64>,
}

impl Machine for Registry {
    const KIND: EntityKind = EntityKind::Organisation;
    const EVOLVE_VERSION: u16 = 1;
    type Command = u64;
    type Event = u64;
    type Refusal = ();
    type Answer = ();
    type View = ();

    fn blank(_: Address) -> Self {
        Self::default()
    }

    fn decide(&self, told: &u64, _: usize, _: &Context, events: &mut Vec<u64>) -> Result<Progress, ()> {
        events.push(*told);
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &u64, _: EventStamp) {
        self.dead.push(*event);
    }

    fn answer(&self, _: &u64, _: &[u64], _: u64, _: &Context) {}

    fn effects(&self, _: &u64, _: &[u64], _: &Context, _: &mut Effects) {}

    fn message(message: Incoming<'_>) -> Result<u64, String> {
        u64::decode_from(message.body)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Self::decode_from(bytes)
    }
}

#[derive(Debug, Clone, Copy)]
enum Weather {
    Fine,
    /// For this recipient.
    Trouble(Recipient, MailTrouble),
    /// For everybody.
    Down,
    /// No try ever ends.
    Stuck,
}

#[derive(Debug)]
struct TestCourier {
    weather: Mutex<Weather>,
    tries: AtomicU32,
    carried: Mutex<Vec<(Recipient, u64)>>,
}

impl TestCourier {
    fn new(weather: Weather) -> Arc<Self> {
        Arc::new(Self { weather: Mutex::new(weather), tries: AtomicU32::new(0), carried: Mutex::default() })
    }

    fn turns(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }

    fn to(&self, wanted: Recipient) -> Vec<u64> {
        let carried = self.carried.lock();
        carried.iter().filter(|(to, _)| *to == wanted).map(|(_, number)| *number).collect()
    }

    async fn carries(&self, count: usize) {
        for _ in 0..1000 {
            if self.carried.lock().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} of {count} after {:?} tries", self.carried.lock().len(), self.tries);
    }
}

impl Courier for TestCourier {
    fn carry<'a>(&'a self, post: Post<'a>) -> Pin<Box<dyn Future<Output = Carried> + 'a>> {
        Box::pin(async move {
            let mail = &post.item.mail;
            self.tries.fetch_add(1, Ordering::Relaxed);
            let weather = *self.weather.lock();
            let failed = |trouble| Carried::Failed { trouble, code: None };
            match weather {
                Weather::Trouble(to, trouble) if to == mail.to => failed(trouble),
                Weather::Down => failed(MailTrouble::Unreachable),
                Weather::Stuck => std::future::pending().await,
                Weather::Fine | Weather::Trouble(..) => {
                    self.carried.lock().push((mail.to, u64::decode_from(&mail.about).unwrap()));
                    Carried::Sent
                }
            }
        })
    }

    fn died(&self, mail: &MailCopy, trouble: MailTrouble, _: Option<u16>) -> Vec<u8> {
        (u64::decode_from(&mail.about).unwrap() * 100 + trouble as u64).to_bytes()
    }

    fn limits(&self) -> PostLimits {
        PostLimits { at_once: 4, retry_first: Duration::from_millis(16), retry_longest: Duration::from_millis(64) }
    }
}

fn with(courier: &Arc<TestCourier>) -> EngineConfig {
    EngineConfig { courier: Some(Arc::clone(courier) as Arc<dyn Courier>), ..EngineConfig::default() }
}

fn kinds() -> Kinds {
    super::kinds().with::<Registry>()
}

fn later() -> UnixMillis {
    Clock::system().now().plus(Duration::from_secs(3600))
}

fn person(n: u128) -> Recipient {
    Recipient::Person(PersonId(n))
}

async fn mail(rig: &Rig, to: Recipient, number: u64, deadline: UnixMillis) {
    rig.ask(address(7), Ask::Mail(to, number, deadline)).await.unwrap();
}

fn waiting(rig: &Rig, partition: u8) -> usize {
    rig.engine.db().scan(&[partition, KeyKind::Post as u8], None, 10_000).unwrap().len()
}

#[test]
fn a_recipient_in_trouble_keeps_its_order_and_holds_up_nobody() {
    for partitions in [1, 4] {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let courier = TestCourier::new(Weather::Trouble(person(1), MailTrouble::Deferred));
            let rig = Rig::start_kinds(folder.path(), partitions, with(&courier), None, kinds()).await;
            for number in 0..100 {
                mail(&rig, person(u128::from(number % 10)), number, later()).await;
            }
            courier.carries(90).await;
            assert!(courier.to(person(1)).is_empty());
            courier.turns(Weather::Fine);
            courier.carries(100).await;
            for to in 0..10 {
                let expected: Vec<_> = (0..10).map(|n| n * 10 + to).collect();
                assert_eq!(courier.to(person(u128::from(to))), expected);
            }
            rig.stop().await;
        });
    }
}

#[test]
fn a_mail_dies_at_its_deadline_or_when_trying_again_cannot_help() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let courier = TestCourier::new(Weather::Trouble(Recipient::Owner, MailTrouble::Deferred));
        let rig = Rig::start_kinds(folder.path(), 1, with(&courier), None, kinds()).await;
        let soon = Clock::system().now().plus(Duration::from_millis(300));
        let registry = address(7).org.at(address(7).org);
        let dead = async |count| {
            for _ in 0..500 {
                let dead = rig.engine.read::<Registry, _>(registry, |state, _| state.dead.clone()).await.unwrap();
                if dead.len() >= count {
                    return dead;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("nobody was told");
        };
        mail(&rig, Recipient::Owner, 1, soon).await;
        mail(&rig, Recipient::Owner, 2, later()).await;
        assert_eq!(dead(1).await, [100 + MailTrouble::Deferred as u64]);
        assert!(courier.tries.load(Ordering::Relaxed) > 2, "it was tried until then");
        courier.turns(Weather::Trouble(Recipient::Owner, MailTrouble::Rejected));
        assert_eq!(dead(2).await[1], 200 + MailTrouble::Rejected as u64, "an expired mail blocks nobody");
        // The mail server is down for longer than anybody wants the mail.
        courier.turns(Weather::Down);
        mail(&rig, Recipient::Owner, 3, Clock::system().now().plus(Duration::from_millis(200))).await;
        assert_eq!(dead(3).await[2], 300 + MailTrouble::Unreachable as u64);
        assert_eq!(waiting(&rig, 0), 0);
        rig.stop().await;
        let rig = Rig::start_kinds(folder.path(), 1, with(&courier), None, kinds()).await;
        assert_eq!(rig.engine.read::<Registry, _>(registry, |state, _| state.dead.len()).await.unwrap(), 3, "once");
        rig.stop().await;
    });
}

#[test]
fn a_mail_server_that_is_down_is_asked_with_one_mail_at_a_time() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let courier = TestCourier::new(Weather::Down);
        let rig = Rig::start_kinds(folder.path(), 1, with(&courier), None, kinds()).await;
        for number in 0..200 {
            mail(&rig, person(u128::from(number)), number, later()).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let tries = courier.tries.load(Ordering::Relaxed);
        assert!((2..100).contains(&tries), "{tries} tries in half a second");
        courier.turns(Weather::Fine);
        courier.carries(200).await;
        rig.stop().await;
    });
}

#[test]
fn a_courier_that_is_stuck_holds_up_no_message_and_no_stop() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let courier = TestCourier::new(Weather::Stuck);
        let rig = Rig::start_kinds(folder.path(), 1, with(&courier), None, kinds()).await;
        let (from, to) = (address(7), address(14));
        for number in 0..20 {
            mail(&rig, person(u128::from(number)), number, later()).await;
            rig.ask(from, Ask::Tell(to, 1)).await.unwrap();
        }
        rig.eventually(to, |state| state.heard == 20).await;
        assert_eq!(courier.tries.load(Ordering::Relaxed), 4, "as many as may be under way");
        assert_eq!(waiting(&rig, 0), 20);
        let started = crate::kernel::time::instant();
        rig.stop().await;
        assert!(started.elapsed() < Duration::from_secs(8));
        // After the start they are all there, in order.
        let courier = TestCourier::new(Weather::Fine);
        let rig = Rig::start_kinds(folder.path(), 1, with(&courier), None, kinds()).await;
        courier.carries(20).await;
        rig.stop().await;
    });
}

/// More than a lane holds in memory: the rest waits in the store, and comes in order.
#[test]
fn a_crowd_of_messages_for_one_entity_arrives() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig { mailbox_capacity: 4096, ..Default::default() }).await;
        let (from, to) = (address(7), address(14));
        for _ in 0..20 {
            let asks = (0..100).map(|_| rig.ask(from, Ask::Tell(to, 1)));
            futures_util::future::join_all(asks).await.into_iter().for_each(|told| assert!(told.is_ok()));
        }
        rig.eventually(to, |state| state.heard == 2000).await;
        rig.stop().await;
    });
}
