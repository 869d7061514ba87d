//! A box that is used much does better with the plan whose guarantee is shortest. Exchanges of one day in the box's own
//! time zone are counted, and a working day with more than `ADVISED_ABOVE` is told: in the box, and by mail at most
//! once in `ADVISED_EVERY`. Nothing is counted for a box that has that plan.

use super::{
    event::{Event, Judged},
    state::SmartBox,
    words::Plan,
};
use crate::kernel::UnixMillis;
use minicbor::{Decode, Encode};
use std::time::Duration;

/// Exchanges of a working day.
pub const ADVISED_ABOVE: u32 = 50;
/// For so long after such a day the advice stands, and so long nobody is mailed again.
pub const ADVISED_EVERY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A day in the box's time zone, and the exchanges that took place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Day {
    #[n(0)]
    pub from: UnixMillis,
    #[n(1)]
    pub until: UnixMillis,
    /// Monday to Friday.
    #[n(2)]
    pub working: bool,
    #[n(3)]
    pub exchanges: u32,
}

impl Day {
    fn has(&self, at: UnixMillis) -> bool {
        (self.from..self.until).contains(&at)
    }

    fn around(at: UnixMillis, zone: &str) -> Option<Self> {
        let zone = jiff::tz::TimeZone::get(zone).ok()?;
        let date = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?.to_zoned(zone.clone()).date();
        let begins = |date: jiff::civil::Date| {
            let at = date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond();
            u64::try_from(at).ok().map(UnixMillis)
        };
        let (from, until) = (begins(date)?, begins(date.tomorrow().ok()?)?);
        Some(Self { from, until, working: date.weekday().to_monday_zero_offset() < 5, exchanges: 0 })
    }
}

/// A working day with so many exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Advice {
    /// When it began.
    #[n(0)]
    pub day: UnixMillis,
    /// When it was noticed.
    #[n(1)]
    pub exchanges: u32,
    /// Of the last mail about it.
    #[n(2)]
    pub mailed: UnixMillis,
}

fn is_exchange(judged: &Judged) -> bool {
    judged.outcome.took_place() && judged.act.is_some_and(|act| act.fob().is_some())
}

impl SmartBox {
    fn day(&self) -> Option<&Day> {
        self.watch.as_deref()?.day.as_ref()
    }

    /// The advice that stands.
    pub fn advice(&self, now: UnixMillis) -> Option<Advice> {
        let advice = self.watch.as_deref()?.advice?;
        (self.plan != Plan::BusinessPro && advice.day.plus(ADVISED_EVERY) > now).then_some(advice)
    }

    /// With the first exchanges of a day in a sync: that day, and how many there were. What was decided online stands
    /// in the journal too.
    pub(super) fn day_begun(&self, events: &[Event]) -> Option<Day> {
        if self.plan == Plan::BusinessPro {
            return None;
        }
        let judged = || events.iter().filter_map(Event::judged).filter(|judged| is_exchange(judged));
        let last = judged().map(|judged| judged.at).max()?;
        if self.day().is_some_and(|day| last < day.until) {
            return None;
        }
        let day = Day::around(last, &self.zone)?;
        let exchanges = judged().filter(|judged| day.has(judged.at)).count();
        Some(Day { exchanges: u32::try_from(exchanges).unwrap_or(u32::MAX), ..day })
    }

    /// Once for each day that is one too many.
    pub(super) fn advise(&self, begun: Option<&Day>, now: UnixMillis) -> Option<Event> {
        let day = begun.or(self.day()).filter(|day| day.working && day.exchanges > ADVISED_ABOVE)?;
        let known = self.watch.as_deref().and_then(|watch| watch.advice);
        if self.plan == Plan::BusinessPro || known.is_some_and(|known| known.day == day.from) {
            return None;
        }
        let last = known.map(|known| known.mailed).filter(|mailed| mailed.plus(ADVISED_EVERY) > now);
        let mailed = last.unwrap_or(now);
        Some(Event::PlanAdvised(Advice { day: day.from, exchanges: day.exchanges, mailed }))
    }

    pub(super) fn count_exchange(&mut self, judged: &Judged) {
        if let Some(day) = self.watch.as_deref_mut().and_then(|watch| watch.day.as_mut())
            && day.has(judged.at)
            && is_exchange(judged)
        {
            day.exchanges = day.exchanges.saturating_add(1);
        }
    }

    pub(super) fn begin_day(&mut self, day: Option<Day>) {
        if day.is_some() {
            self.watch.get_or_insert_default().day = day;
        }
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
        if plan == Plan::BusinessPro
            && let Some(watch) = &mut self.watch
        {
            (watch.day, watch.advice) = (None, None);
            self.tighten_watch();
        }
    }
}
