//! Mails that follow from what happens to a box: of conflicts and the guarantee, of alerts, of keys to bring back, of
//! codes, of a clone, a theft and a plan that is too small. One mail for all of a kind that a command leads to. They go
//! to the organisation's owner, to whom it names for alerts, and to whoever has the key. Pure.

use super::{
    advice::Advice,
    alerts::{AlertKind, AlertMails, Alerts, ExchangeTold, Trouble},
    event::{Event, Suspicion},
    state::SmartBox,
    words::Plan,
};
use crate::kernel::{AccessId, BoxId, Effects, KeyId, PersonId, Recipient, UnixMillis};
use minicbor::{Decode, Encode};
use std::time::Duration;

/// What such a mail is about. Stored in the outbox and in dead letters: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum BoxMail {
    #[n(0)]
    Conflicts {
        #[n(0)]
        smart_box: BoxId,
        /// The first `CONFLICTS_MAX` of them.
        #[n(1)]
        numbers: Vec<u64>,
        #[n(2)]
        total: u32,
    },
    #[n(1)]
    GuaranteeBroken {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        pending_since: UnixMillis,
        #[n(2)]
        due: UnixMillis,
        #[n(3)]
        plan: Plan,
        #[n(4)]
        last_contact: Option<UnixMillis>,
    },
    #[n(2)]
    GuaranteeKept {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        /// Known if nobody had noticed the breach before.
        #[n(2)]
        pending_since: Option<UnixMillis>,
        #[n(3)]
        plan: Plan,
    },
    /// It seems to be cloned.
    #[n(3)]
    Suspended {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        /// The journal's number that gave it away.
        #[n(2)]
        seq: u64,
        /// It came again with other content; else it was behind what had been receipted.
        #[n(3)]
        reused: bool,
    },
    /// It was stolen, and codes that it could check are drawn anew.
    #[n(11)]
    Stolen {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        /// So many are told of theirs.
        #[n(2)]
        people: u32,
    },
    /// To whoever has a key, by mail or by text.
    #[n(13)]
    ReturnReminder {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        key: KeyId,
        #[n(2)]
        person: PersonId,
        /// When it was picked up.
        #[n(3)]
        since: UnixMillis,
        /// When the access ends.
        #[n(4)]
        until: Option<UnixMillis>,
    },
    /// More exchanges in a working day than the plan is made for.
    #[n(14)]
    PlanAdvised {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        #[n(2)]
        exchanges: u32,
        #[n(3)]
        plan: Plan,
    },
    /// The new codes of its keys.
    #[n(12)]
    KeyCodes {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        #[n(2)]
        keys: Vec<KeyId>,
    },
    /// Alerts that began or ended together, and exchanges to be told of.
    #[n(10)]
    Alerts {
        #[n(0)]
        smart_box: BoxId,
        #[n(1)]
        at: UnixMillis,
        /// The first `ALERTS_MAX` of them.
        #[n(2)]
        items: Vec<AlertItem>,
        #[n(3)]
        total: u32,
    },
}

/// One line of a mail about alerts.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub enum AlertItem {
    #[n(0)]
    Began(#[n(0)] Trouble),
    #[n(1)]
    Ended(#[n(0)] Trouble),
    #[n(2)]
    Exchange(#[n(0)] ExchangeTold),
}

impl AlertItem {
    pub fn kind(&self) -> AlertKind {
        match self {
            Self::Began(condition) | Self::Ended(condition) => condition.what.kind(),
            Self::Exchange(_) => AlertKind::Exchange,
        }
    }
}

/// Conflicts that one mail describes; further ones are counted.
pub const CONFLICTS_MAX: usize = 50;
/// Alerts that one mail describes; further ones are counted.
pub const ALERTS_MAX: usize = 50;
/// A conflict should be put right while it can be seen in the bins, a cloned box as soon as anybody reads it.
const CONFLICTS_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);
/// That a guarantee was broken yesterday is history, and stands there.
const GUARANTEE_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// Without it somebody stands before a closed cabinet.
pub(super) const CODES_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

impl BoxMail {
    pub const ADVICE: &str = "box_plan_advised";
    pub const REMINDER: &str = "box_return_reminder";
    pub const REMINDER_TEXT: &str = "sms_return_reminder";

    pub fn template(&self) -> &'static str {
        match self {
            Self::Conflicts { .. } => "box_conflicts",
            Self::GuaranteeBroken { .. } => "box_guarantee_broken",
            Self::GuaranteeKept { .. } => "box_guarantee_kept",
            Self::Suspended { .. } => "box_suspended",
            Self::Alerts { .. } => "box_alerts",
            Self::Stolen { .. } => "box_stolen",
            Self::KeyCodes { .. } => "box_key_codes",
            Self::ReturnReminder { .. } => Self::REMINDER,
            Self::PlanAdvised { .. } => Self::ADVICE,
        }
    }

    pub fn smart_box(&self) -> BoxId {
        match self {
            Self::Conflicts { smart_box, .. }
            | Self::GuaranteeBroken { smart_box, .. }
            | Self::GuaranteeKept { smart_box, .. }
            | Self::Suspended { smart_box, .. }
            | Self::Stolen { smart_box, .. }
            | Self::KeyCodes { smart_box, .. }
            | Self::ReturnReminder { smart_box, .. }
            | Self::PlanAdvised { smart_box, .. }
            | Self::Alerts { smart_box, .. } => *smart_box,
        }
    }
}

/// Somebody's new codes, when a box was stolen that could check the old ones. What they are is read when it is sent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct CodesReplaced {
    #[n(0)]
    pub person: PersonId,
    #[n(1)]
    pub smart_box: BoxId,
    #[n(2)]
    pub code: bool,
    #[n(3)]
    pub pin: bool,
    /// Those with a new booking code.
    #[n(4)]
    pub accesses: Box<[AccessId]>,
    #[n(5)]
    pub at: UnixMillis,
}

impl CodesReplaced {
    pub const MAIL: &str = "codes_replaced";
    pub const TEXT: &str = "sms_codes_replaced";

    pub fn tell(&self, by_mail: bool, effects: &mut Effects) {
        let (template, to) = match by_mail {
            true => (Self::MAIL, Recipient::Person(self.person)),
            false => (Self::TEXT, Recipient::Mobile(self.person)),
        };
        effects.mail(template, to, self, self.at.plus(CODES_WITHIN));
    }
}

/// What one record has for the owner.
#[derive(Default)]
pub(super) struct MailNews {
    pub conflicts: Vec<u64>,
    broken_since: Option<UnixMillis>,
    kept_again: bool,
    suspicion: Option<Suspicion>,
    alerts: Vec<AlertItem>,
    /// So many people's codes are drawn anew.
    stolen: Option<u32>,
    advised: Option<Advice>,
}

impl MailNews {
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::GuaranteeBroken { pending_since } => self.broken_since = Some(*pending_since),
            Event::GuaranteeKeptAgain => self.kept_again = true,
            Event::Suspended { why, .. } => self.suspicion = Some(*why),
            Event::CodesExposed { people, .. } => self.stolen = Some(*people),
            Event::PlanAdvised(advice) => self.advised = Some(*advice),
            Event::AlertRaised(condition) => self.alerts.push(AlertItem::Began(*condition)),
            Event::AlertEnded { condition, .. } => self.alerts.push(AlertItem::Ended(*condition)),
            Event::ExchangeTold(told) => self.alerts.push(AlertItem::Exchange(*told)),
            _ => {}
        }
    }
}

impl SmartBox {
    pub(super) fn mail(&self, news: MailNews, now: UnixMillis, effects: &mut Effects) {
        let smart_box = self.id();
        let mut send = |mail: BoxMail, within| {
            effects.mail(mail.template(), Recipient::Owner, &mail, now.plus(within));
        };
        let MailNews { conflicts: mut numbers, broken_since, kept_again, suspicion, alerts, stolen, advised } = news;
        if let Some(Advice { exchanges, .. }) = advised.filter(|advice| advice.mailed == now) {
            send(BoxMail::PlanAdvised { smart_box, at: now, exchanges, plan: self.plan }, CODES_WITHIN);
        }
        if let Some(people) = stolen.filter(|people| *people > 0) {
            send(BoxMail::Stolen { smart_box, at: now, people }, CODES_WITHIN);
        }
        match suspicion {
            // Its conflict is what gave it away: one mail tells both.
            Some(Suspicion::SequenceReused { seq }) => {
                send(BoxMail::Suspended { smart_box, at: now, seq, reused: true }, CONFLICTS_WITHIN);
            }
            Some(Suspicion::BehindReceipts { seq }) => {
                send(BoxMail::Suspended { smart_box, at: now, seq, reused: false }, CONFLICTS_WITHIN);
            }
            // By an administrator, who knows.
            Some(Suspicion::Stolen) => {}
            None if numbers.is_empty() => {}
            None => {
                let total = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                numbers.truncate(CONFLICTS_MAX);
                send(BoxMail::Conflicts { smart_box, numbers, total }, CONFLICTS_WITHIN);
            }
        }
        match (broken_since, kept_again) {
            // A breach that is noticed when it is over is one piece of news.
            (pending_since, true) => {
                let mail = BoxMail::GuaranteeKept { smart_box, at: now, pending_since, plan: self.plan };
                send(mail, GUARANTEE_WITHIN);
            }
            (Some(pending_since), false) => {
                let mail = BoxMail::GuaranteeBroken {
                    smart_box,
                    pending_since,
                    due: pending_since.plus(self.plan.guarantee()),
                    plan: self.plan,
                    last_contact: self.sync.last_contact,
                };
                send(mail, GUARANTEE_WITHIN);
            }
            (None, false) => {}
        }
        if !alerts.is_empty() {
            self.mail_alerts(&alerts, now, effects);
        }
    }

    /// One mail for each who wants to hear of any of them.
    fn mail_alerts(&self, alerts: &[AlertItem], now: UnixMillis, effects: &mut Effects) {
        for AlertMails { person, kinds } in &Alerts::of(self.alerts.as_deref()).mails {
            // Of these the owner has mails of their own, which he chooses elsewhere.
            let told_anyway = |kind| person.is_none() && matches!(kind, AlertKind::Guarantee | AlertKind::Conflict);
            let wanted = |item: &&AlertItem| kinds.has(item.kind()) && !told_anyway(item.kind());
            let mut items: Vec<AlertItem> = alerts.iter().filter(wanted).copied().collect();
            let total = u32::try_from(items.len()).unwrap_or(u32::MAX);
            items.truncate(ALERTS_MAX);
            if total > 0 {
                let mail = BoxMail::Alerts { smart_box: self.id(), at: now, items, total };
                let to = person.map_or(Recipient::Owner, Recipient::Person);
                effects.mail(mail.template(), to, &mail, now.plus(GUARANTEE_WITHIN));
            }
        }
    }
}
