//! What a connected box is told before it opens a bin, and what becomes of it.

use super::{
    second::Judged as Second,
    state::{Exchange, KeptOrder, MAX_OPEN, OPEN_FOR, Stage, WRONG_CODE_FORGOTTEN_MS, WRONG_CODES},
    words::{
        Asked, Bearer, Decision, End, Ended, OfExchange, OnlineAnswer, OnlineCommand, OnlineEvent, OnlineRefusal,
        OpenOrder, Opened,
    },
};
use crate::{
    boxes::{
        Act, BinState, Clash, Event, Fob, JournalEntry, Judged, Outcome, Refusal, Size, SmartBox, access::Access,
        state::Key,
    },
    kernel::{Context, ExchangeId, KeyId, PersonId, UnixMillis},
};

type Decided = Result<(), Refusal>;

fn is_texted(event: &Event) -> bool {
    matches!(event, Event::Online(event) if matches!(**event, OnlineEvent::CodeTexted(_)))
}

fn no<T>(refusal: OnlineRefusal) -> Result<T, Refusal> {
    Err(Refusal::Online(refusal))
}

impl Exchange {
    /// Whether this is what was decided.
    pub(in crate::boxes) fn is_of(&self, bin: usize, act: Act) -> bool {
        usize::from(self.bin) == bin && self.act == act
    }

    /// What a journal tells of it. The box need not know who stood there.
    pub(in crate::boxes) fn told_by(&self, read: &JournalEntry, judged: &mut Judged) -> JournalEntry {
        judged.person = read.person.or(self.person);
        judged.by = judged.by.or(self.by);
        JournalEntry { person: judged.person, ..*read }
    }
}

impl SmartBox {
    pub(in crate::boxes) fn decide_online(
        &self,
        command: &OnlineCommand,
        cx: &Context,
        events: &mut Vec<Event>,
    ) -> Decided {
        let mut told = Vec::new();
        match command {
            OnlineCommand::Ask { token_hash, asked } => {
                self.check_token(token_hash)?;
                self.decide_ask(asked, cx, &mut told)?;
            }
            OnlineCommand::Conclude { token_hash, exchange, end } => {
                self.check_token(token_hash)?;
                self.decide_end(*exchange, *end, cx.now, &mut told)?;
            }
            OnlineCommand::Lend { pass, to } => return self.decide_lend(*pass, *to, cx.now, events),
            OnlineCommand::Set { quick_scan, second_factor } => {
                let mut settings = self.settings();
                settings.quick_scan = quick_scan.unwrap_or(settings.quick_scan);
                settings.second_factor = second_factor.unwrap_or(settings.second_factor);
                if settings != self.settings() {
                    told.push(OnlineEvent::SettingsSet(settings));
                }
            }
            OnlineCommand::Give { order, .. } => self.decide_order(*order, cx.now, &mut told)?,
            OnlineCommand::Fetch { token_hash } => {
                self.check_token(token_hash)?;
                self.decide_fetch(cx.now, &mut told);
            }
            OnlineCommand::Report { token_hash, order, results } => {
                self.check_token(token_hash)?;
                self.decide_report(*order, results, cx.now, &mut told)?;
            }
        }
        for event in told {
            let event = Event::Online(Box::new(event));
            let heard = event.judged().and_then(|judged| self.told_of(judged));
            let in_vain = event.judged().and_then(|judged| self.used_in_vain(judged));
            events.push(event);
            events.extend(heard.into_iter().chain(in_vain));
        }
        Ok(())
    }

    fn decide_ask(&self, asked: &Asked, cx: &Context, told: &mut Vec<OnlineEvent>) -> Decided {
        let now = cx.now;
        let known = self.online.as_ref().and_then(|online| online.exchange(asked.id));
        match known {
            // The answer was lost: it is given again.
            Some(known) if known.act == asked.act && known.is_open(now) => return Ok(()),
            Some(_) => return no(OnlineRefusal::ExchangeEnded),
            None => {}
        }
        let drained = self.sync.drained && asked.head.checked_add(1) == Some(self.journal.next);
        if !drained || self.sync.offline || self.sync.last_contact.is_none() || cx.epoch > self.epoch {
            return no(OnlineRefusal::Reconciling);
        }
        let retry_s = self.throttled(now);
        if retry_s > 0 {
            return no(OnlineRefusal::Throttled { retry_s });
        }
        if asked.by == Bearer::Nobody {
            told.push(OnlineEvent::WrongCode);
            return Ok(());
        }
        let named = self.named_by(asked);
        let person = self.entitled(&asked.by, asked.act, named, now)?;
        if let (Some(person), Act::PickUp(_)) = (person, asked.act) {
            match self.judge_second(person, asked, now)? {
                Second::Right => {}
                Second::Wrong => {
                    told.push(OnlineEvent::WrongCode);
                    return Ok(());
                }
                Second::Texted(texted) => {
                    told.push(OnlineEvent::CodeTexted(texted));
                    return Ok(());
                }
            }
        }
        let bin = match asked.act {
            Act::PickUp(fob) => self.bin_to_take_from(&fob, now)?,
            Act::DropOff(fob) => self.bin_to_fill(&fob, named.map_or(asked.size, |key| key.size), now)?,
            Act::Opened | Act::OpenedAll => return no(OnlineRefusal::NotPermitted),
        };
        let clear = named.filter(|key| {
            person.is_none_or(|person| self.permits(person, Some((key.id, &key.groups)), now))
                && asked.by != Bearer::Anonymous
        });
        let open = self.online.iter().flat_map(|online| &online.exchanges).filter(|exchange| exchange.is_open(now));
        if open.count() >= MAX_OPEN {
            return no(OnlineRefusal::UnderWay);
        }
        told.push(OnlineEvent::ExchangeOpened(Box::new(Opened {
            exchange: asked.id,
            act: asked.act,
            bin: self.bins[bin].label,
            person,
            key: asked.act.fob().and_then(|fob| self.key_on(&fob)).or(clear).map(|key| key.id),
            until: now.plus(OPEN_FOR),
            by: asked.shown,
        })));
        Ok(())
    }

    /// Seconds until a code is taken again.
    fn throttled(&self, now: UnixMillis) -> u32 {
        let until = self.online.as_ref().map_or(UnixMillis(0), |online| online.wrong_until);
        let behind = now.0.saturating_add((WRONG_CODES - 1) * WRONG_CODE_FORGOTTEN_MS);
        u32::try_from(until.0.saturating_sub(behind).div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Whom this exchange counts for; `None`: somebody anonymous. The one place where a credential becomes a person and
    /// a permission. No end of an access stops a drop-off.
    fn entitled(
        &self,
        by: &Bearer,
        act: Act,
        named: Option<&Key>,
        now: UnixMillis,
    ) -> Result<Option<PersonId>, Refusal> {
        match (by, act) {
            (Bearer::Person(person), Act::PickUp(fob)) => {
                let key = self.key_on(&fob).map(|key| (key.id, &*key.groups));
                if self.permits(*person, key, now) { Ok(Some(*person)) } else { no(OnlineRefusal::NotPermitted) }
            }
            (Bearer::Booking(person, accesses), Act::PickUp(fob)) => {
                let key = self.key_on(&fob).map(|key| (key.id, &*key.groups));
                let opens = |known: &Access| accesses.contains(&known.id) && known.permits(*person, key, now);
                if self.accesses.iter().any(opens) { Ok(Some(*person)) } else { no(OnlineRefusal::NotPermitted) }
            }
            (Bearer::Person(person) | Bearer::Booking(person, _), _) => Ok(Some(*person)),
            (Bearer::Signed(signed), act) => self.entitled_by(signed, act, now).map(Some),
            // Its code opens for a key, at home here, and for nothing else.
            (Bearer::KeyCode(mark), _) => {
                let key = act.fob().and_then(|fob| self.key_on(&fob)).or(named);
                let code = key.and_then(|key| self.key_code(key.id)).and_then(|known| known.code);
                if code.is_some_and(|code| code.mark == *mark) { Ok(None) } else { no(OnlineRefusal::NotPermitted) }
            }
            (Bearer::Anonymous, Act::DropOff(_)) if self.settings().quick_scan => Ok(None),
            (Bearer::Anonymous, _) => no(OnlineRefusal::PersonNeeded),
            (Bearer::Nobody, _) => no(OnlineRefusal::NotPermitted),
        }
    }

    /// Whether an exchange that is under way needs this bin or this fob.
    fn is_in_use(&self, bin: usize, fob: &Fob, now: UnixMillis) -> bool {
        let uses = |exchange: &Exchange| {
            exchange.is_open(now) && (usize::from(exchange.bin) == bin || exchange.act.fob().as_ref() == Some(fob))
        };
        self.online.as_ref().is_some_and(|online| online.exchanges.iter().any(uses))
    }

    fn bin_to_take_from(&self, fob: &Fob, now: UnixMillis) -> Result<usize, Refusal> {
        let Some(bin) = self.bin_of(fob) else { return no(OnlineRefusal::KeyNotHere) };
        if self.bins[bin].state != BinState::Enabled {
            return no(OnlineRefusal::BinClosed);
        }
        if self.is_in_use(bin, fob, now) { no(OnlineRefusal::UnderWay) } else { Ok(bin) }
    }

    /// The smallest bin that is enabled, empty and large enough. One of whose emptiness nobody is sure comes last.
    fn bin_to_fill(&self, fob: &Fob, elsewhere: Option<Size>, now: UnixMillis) -> Result<usize, Refusal> {
        if self.bin_of(fob).is_some() {
            return no(OnlineRefusal::KeyInBin);
        }
        let empty = |bin: &usize| self.bins[*bin].fob.is_none();
        let enabled = |bin: &usize| self.bins[*bin].state == BinState::Enabled;
        let free: Vec<usize> = (0..self.bins.len()).filter(empty).filter(enabled).collect();
        let needed = self.key_on(fob).map_or(elsewhere, |key| key.size).unwrap_or_default();
        let size = |bin: usize| self.bins[bin].size.unwrap_or_default();
        let large = || free.iter().copied().filter(|bin| size(*bin) >= needed);
        let usable = large().filter(|bin| !self.is_in_use(*bin, fob, now));
        if let Some(bin) = usable.min_by_key(|bin| (!self.bins[*bin].confirmed, size(*bin))) {
            return Ok(bin);
        }
        no(if large().next().is_some() {
            OnlineRefusal::UnderWay
        } else if !free.is_empty() {
            OnlineRefusal::TooSmall
        } else if (0..self.bins.len()).any(|bin| empty(&bin)) {
            OnlineRefusal::OnlyProtectedLeft
        } else {
            OnlineRefusal::NoFreeBin
        })
    }

    fn decide_end(&self, id: ExchangeId, end: End, now: UnixMillis, told: &mut Vec<OnlineEvent>) -> Decided {
        let known = self.online.as_ref().and_then(|online| online.exchange(id));
        let Some(exchange) = known else { return no(OnlineRefusal::ExchangeEnded) };
        match (exchange.stage, end) {
            // Said before.
            (Stage::Completed, End::Completed { .. }) | (Stage::Ended, End::Cancelled) => return Ok(()),
            // By now it has not happened. That it has is for the journal to say.
            _ if !exchange.is_open(now) => return no(OnlineRefusal::ExchangeEnded),
            (_, End::Cancelled) => {
                told.push(OnlineEvent::ExchangeEnded { exchange: id, why: Ended::Cancelled });
            }
            (_, End::Completed { fob }) => {
                let act = match (exchange.act, fob) {
                    (Act::PickUp(_), Some(fob)) => Act::PickUp(fob),
                    (Act::DropOff(_), Some(fob)) => Act::DropOff(fob),
                    (act, _) => act,
                };
                let judged = self.judge_completed(exchange, act, now);
                let number = (!judged.outcome.took_place()).then(|| self.server_conflict(0));
                told.push(OnlineEvent::ExchangeCompleted { judged: Box::new(judged), number });
            }
        }
        Ok(())
    }

    /// A completion in its time. By then an administrator may have corrected the bin: it must fit what is known now.
    fn judge_completed(&self, exchange: &Exchange, act: Act, now: UnixMillis) -> Judged {
        let bin = usize::from(exchange.bin);
        let label = self.bins[bin].label;
        let read = JournalEntry {
            seq: 0,
            at: now,
            cursor: None,
            act,
            bin: Some(label),
            person: exchange.person,
            by: None,
            exchange: Some(exchange.id),
            named: None,
        };
        let outcome = self.judge_of_exchange(exchange, &read, bin, now);
        let fob = act.fob();
        Judged {
            seq: 0,
            content: 0,
            outcome,
            act: Some(act),
            bin: Some(label),
            person: exchange.person,
            box_time: None,
            at: now,
            estimated: false,
            cursor: None,
            key: fob.and_then(|fob| self.key_on(&fob)).map(|key| key.id),
            late: false,
            found: (!outcome.took_place()).then(|| Box::new(self.found(Some(bin), fob))),
            text: None,
            exchange: Some(OfExchange { id: exchange.id, known: false }),
            by: exchange.by,
            named: self.named_in(exchange, act),
        }
    }

    /// The key that hangs on a fob that no key here has, as whoever stands there says, or as the key's code does.
    fn named_by(&self, asked: &Asked) -> Option<&Key> {
        let Act::DropOff(fob) = asked.act else { return None };
        let coded = match &asked.by {
            Bearer::KeyCode(mark) => self.coded(mark),
            _ => None,
        };
        self.may_learn(coded.or(asked.named), &fob)
    }

    /// The same of an exchange, if nothing has come between.
    fn named_in(&self, exchange: &Exchange, act: Act) -> Option<KeyId> {
        let fob = act.fob().filter(|_| act == exchange.act)?;
        self.may_learn(exchange.named, &fob).map(|key| key.id)
    }

    /// The permission of an exchange was judged when it was asked for; whether it fits is judged when it is told.
    pub(in crate::boxes) fn judge_of_exchange(
        &self,
        exchange: &Exchange,
        read: &JournalEntry,
        bin: usize,
        at: UnixMillis,
    ) -> Outcome {
        match read.act {
            Act::PickUp(fob) if exchange.is_of(bin, read.act) => match self.bins[bin].fob == Some(fob) {
                true => Outcome::Applied,
                false => Outcome::Ignored(Clash::KeyNotInBin),
            },
            Act::PickUp(fob) => self.judge_pick_up(read, &self.bins[bin], &fob, at),
            Act::DropOff(fob) => self.judge_drop_off(read, &self.bins[bin], &fob),
            Act::Opened | Act::OpenedAll => Outcome::Applied,
        }
    }

    /// A journal entry about an exchange that was not known to be completed.
    pub(in crate::boxes) fn judge_decided(
        &self,
        exchange: &Exchange,
        read: &JournalEntry,
        bin: usize,
        judged: &mut Judged,
    ) {
        let decided = exchange.told_by(read, judged);
        judged.outcome = self.judge_of_exchange(exchange, &decided, bin, judged.at);
        judged.named = self.named_in(exchange, read.act);
    }

    pub(in crate::boxes) fn online_answer(
        &self,
        command: &OnlineCommand,
        events: &[Event],
        revision: u64,
        cx: &Context,
    ) -> OnlineAnswer {
        let known = |id| self.online.as_ref().and_then(|online| online.exchange(id));
        match command {
            OnlineCommand::Ask { asked, .. } => match (known(asked.id), asked.act.fob()) {
                (Some(exchange), Some(fob)) => OnlineAnswer::Decided(Decision {
                    id: exchange.id,
                    bin: self.bins[usize::from(exchange.bin)].label,
                    fob,
                    person: exchange.person,
                    until: exchange.until,
                }),
                _ if events.iter().any(is_texted) => OnlineAnswer::Texted,
                _ => OnlineAnswer::Unknown,
            },
            OnlineCommand::Fetch { .. } => {
                let orders = self.online.iter().flat_map(|online| &online.orders);
                let alive = orders.filter(|order| cx.now < order.until);
                OnlineAnswer::Orders(alive.map(OpenOrder::from).collect())
            }
            OnlineCommand::Conclude { .. }
            | OnlineCommand::Set { .. }
            | OnlineCommand::Lend { .. }
            | OnlineCommand::Give { .. }
            | OnlineCommand::Report { .. } => OnlineAnswer::Done { revision },
        }
    }

    /// The exchange that a journal entry says it belongs to.
    pub(in crate::boxes) fn exchange_of(&self, read: &JournalEntry) -> Option<&Exchange> {
        self.online.as_ref()?.exchange(read.exchange?)
    }

    pub(in crate::boxes) fn tick_online(&self, now: UnixMillis, events: &mut Vec<Event>) {
        let Some(online) = &self.online else { return };
        let over = online.exchanges.iter().filter(|exchange| exchange.stage == Stage::Open && exchange.until <= now);
        let ended = over.map(|exchange| OnlineEvent::ExchangeEnded { exchange: exchange.id, why: Ended::Expired });
        events.extend(ended.map(|event| Event::Online(Box::new(event))));
        self.orders_expire(|order| order.until <= now, events);
    }

    /// What was meant for one cabinet opens nothing at the one that comes after it.
    pub(in crate::boxes) fn orders_of_a_cabinet_that_goes(&self, events: &mut Vec<Event>) {
        self.orders_expire(|_| true, events);
    }

    fn orders_expire(&self, which: impl Fn(&KeptOrder) -> bool, events: &mut Vec<Event>) {
        let dead = self.online.iter().flat_map(|online| &online.orders).filter(|order| which(order));
        let expired = dead.map(|order| OnlineEvent::OrderExpired { number: order.number });
        events.extend(expired.map(|event| Event::Online(Box::new(event))));
    }
}
