//! Break-glass: when mailbox and telephone are both lost, the operator starts a reset to a new address. It waits, is
//! announced to whoever may object, and any of them stops it. Pure.

use super::{
    event::Event,
    state::{Known, Refusal},
    words::{LinkEnd, Minted, Purpose, Rules, is_same},
};
use crate::{
    kernel::{Stamp, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use std::time::Duration;

/// A reset that the operator has started, until it has ended in one way or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Glass {
    /// The secrets of the mail that leads to the reset.
    #[n(0)]
    pub minted: Minted,
    /// What stops it.
    #[n(1)]
    pub stop: Mark,
    /// Before this nothing is sent to the new address.
    #[n(2)]
    pub due: UnixMillis,
    /// How long the mail's link will live.
    #[n(3)]
    pub lives_ms: u64,
    #[n(4)]
    pub stage: GlassStage,
    /// The revision with which the new address was sealed.
    #[n(5)]
    pub sealed_at: u64,
    #[n(6)]
    pub started: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum GlassStage {
    #[n(0)]
    Waiting,
    /// The mail was sent to the new address.
    #[n(1)]
    Sent,
    /// Its link has opened the reset terminal.
    #[n(2)]
    Opened,
}

impl GlassStage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Opened => "opened",
        }
    }
}

/// Who ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopper {
    /// Whoever was told of it, by the address in the mail or text.
    Told(Mark),
    /// Administrator 1, logged in at this terminal.
    Terminal(Mark),
    Operator,
}

impl Known {
    /// The break-glass reset that this address stops.
    pub fn glass_stopped_by(&self, stop: Mark) -> Option<&Glass> {
        self.glass.as_ref().filter(|glass| is_same(glass.stop, stop))
    }

    pub(super) fn break_glass(
        &self,
        minted: &Minted,
        stop: Mark,
        rules: &Rules,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.glass.is_some_and(|glass| is_same(glass.stop, stop)) {
            return Ok(());
        }
        if self.glass.is_some() {
            return Err(Refusal::GlassPending);
        }
        let (due, lives) = (now.plus(rules.break_glass_wait), rules.link_lives);
        let lives_ms = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
        events.push(Event::GlassStarted { minted: *minted, stop, due, lives_ms });
        Ok(())
    }

    pub(super) fn stop_glass(&self, by: Stopper, now: UnixMillis, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let why = match by {
            Stopper::Told(stop) => {
                self.glass_stopped_by(stop).ok_or(Refusal::Expired)?;
                LinkEnd::Stopped
            }
            Stopper::Terminal(terminal) => {
                self.terminal(terminal, now).ok_or(Refusal::NoTerminal)?;
                if !self.is_administrators(terminal, now) {
                    return Err(Refusal::NotAdministrator);
                }
                self.glass.ok_or(Refusal::NoGlass)?;
                LinkEnd::Stopped
            }
            Stopper::Operator => {
                self.glass.ok_or(Refusal::NoGlass)?;
                LinkEnd::Withdrawn
            }
        };
        self.end_glass(why, events);
        Ok(())
    }

    /// Ends it: its link too, and the reset terminal that the link has opened.
    fn end_glass(&self, why: LinkEnd, events: &mut Vec<Event>) {
        let Some(glass) = self.glass else { return };
        let link = self.resets.iter().find(|link| is_same(link.minted.link, glass.minted.link));
        events.extend(link.map(|link| Event::LinkDied { link: link.minted.link, why }));
        if glass.stage == GlassStage::Opened && self.is_open_by(&glass) {
            events.push(Event::ResetOver);
        }
        events.push(Event::GlassEnded { why });
    }

    fn is_open_by(&self, glass: &Glass) -> bool {
        self.reset_terminal.is_some_and(|open| is_same(open.form, glass.minted.reset_form))
    }

    /// What time alone does to it.
    pub(super) fn tick_glass(&self, now: UnixMillis, events: &mut Vec<Event>) {
        let Some(glass) = self.glass else { return };
        match glass.stage {
            GlassStage::Waiting if glass.due <= now => events.push(Event::LinkSent {
                minted: glass.minted,
                purpose: Purpose::BreakGlass,
                until: now.plus(Duration::from_millis(glass.lives_ms)),
            }),
            GlassStage::Waiting => {}
            GlassStage::Sent => {
                let alive =
                    self.resets.iter().any(|link| is_same(link.minted.link, glass.minted.link) && now < link.ends());
                if !alive {
                    events.push(Event::GlassEnded { why: LinkEnd::Expired });
                }
            }
            GlassStage::Opened => {
                if self.reset_terminal.is_none_or(|open| open.until <= now) {
                    events.push(Event::GlassEnded { why: LinkEnd::Expired });
                }
            }
        }
    }

    pub(super) fn apply_glass(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::GlassStarted { minted, stop, due, lives_ms } => {
                self.glass = Some(Glass {
                    minted: *minted,
                    stop: *stop,
                    due: *due,
                    lives_ms: *lives_ms,
                    stage: GlassStage::Waiting,
                    sealed_at: stamp.revision,
                    started: stamp.at,
                });
            }
            Event::GlassEnded { .. } => self.glass = None,
            Event::LinkSent { purpose: Purpose::BreakGlass, .. } => self.glass_is(GlassStage::Sent),
            Event::ResetOpened { form, .. }
                if self.glass.is_some_and(|glass| is_same(glass.minted.reset_form, *form)) =>
            {
                self.glass_is(GlassStage::Opened);
            }
            // What was proven before is lost by what the operator was told: it has to be proven anew.
            Event::ResetDone { .. } => {
                let opened = self.glass.take().is_some_and(|glass| glass.stage == GlassStage::Opened);
                if let Some(contact) = self.contact.as_mut().filter(|_| opened) {
                    contact.validated = false;
                }
            }
            _ => {}
        }
    }

    fn glass_is(&mut self, stage: GlassStage) {
        if let Some(glass) = &mut self.glass {
            glass.stage = stage;
        }
    }

    /// What everybody who logs in is told.
    pub fn glass_due(&self) -> Option<UnixMillis> {
        self.glass.map(|glass| glass.due)
    }

    /// Administrator 1 has just come in: the link has died, and what it has opened. What still waits goes on, so that
    /// somebody who knows a stolen password does not end it unseen.
    pub(super) fn end_glass_at_login(&self, events: &mut Vec<Event>) {
        let past = self.glass.filter(|glass| glass.stage != GlassStage::Waiting);
        events.extend(past.map(|_| Event::GlassEnded { why: LinkEnd::LoggedIn }));
    }
}
