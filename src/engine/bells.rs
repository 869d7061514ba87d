//! Who is told at once that an entity has something for him: whoever holds a line to it, such as a box's link. A bell
//! says nothing but that it rang; what there is, its owner reads. It rings when the change is durable.

use super::Engine;
use crate::kernel::Address;
use dashmap::{DashMap, mapref::entry::Entry};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Bells {
    hung: DashMap<Address, Arc<Rope>>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Rope {
    rung: Notify,
    replaced: AtomicBool,
}

/// One hung bell, taken down when it is dropped.
pub struct Bell {
    bells: Arc<Bells>,
    of: Address,
    rope: Arc<Rope>,
}

impl Bells {
    /// Hangs the only bell of an entity: one that hung there before is replaced, and rings once more. `None` if there
    /// are as many as there may be, or if all have ended.
    pub fn hang(self: &Arc<Self>, of: Address, max: usize) -> Option<Bell> {
        if self.has_ended() || (self.hung.len() >= max && !self.hung.contains_key(&of)) {
            return None;
        }
        let rope = Arc::<Rope>::default();
        if let Some(before) = self.hung.insert(of, Arc::clone(&rope)) {
            before.replaced.store(true, Ordering::Release);
            before.rung.notify_one();
        }
        // Whoever hangs one while all are ended hears it himself.
        if self.has_ended() {
            rope.rung.notify_one();
        }
        Some(Bell { bells: Arc::clone(self), of, rope })
    }

    pub(super) fn ring(&self, of: Address) {
        if let Some(rope) = self.hung.get(&of) {
            rope.rung.notify_one();
        }
    }

    /// The server stops: every bell rings, and no new one is hung.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.hung.iter().for_each(|rope| rope.rung.notify_one());
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub fn count(&self) -> usize {
        self.hung.len()
    }
}

impl Bell {
    /// Waits until it rings; what rang meanwhile is one ring.
    pub async fn rung(&self) {
        self.rope.rung.notified().await;
    }

    /// Another one hangs in its place.
    pub fn is_replaced(&self) -> bool {
        self.rope.replaced.load(Ordering::Acquire)
    }

    pub fn has_ended(&self) -> bool {
        self.bells.has_ended()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Entry::Occupied(hung) = self.bells.hung.entry(self.of)
            && Arc::ptr_eq(hung.get(), &self.rope)
        {
            hung.remove();
        }
    }
}

impl Engine {
    pub fn bells(&self) -> &Arc<Bells> {
        &self.shared.bells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{BoxId, OrgId};

    #[tokio::test]
    async fn a_bell_hangs_alone_and_is_taken_down() {
        let bells = Arc::<Bells>::default();
        let (one, two) = (BoxId(1).at(OrgId(7)), BoxId(2).at(OrgId(7)));
        let first = bells.hang(one, 1).unwrap();
        assert!(bells.hang(two, 1).is_none(), "there may be no more");
        bells.ring(one);
        bells.ring(one);
        bells.ring(two);
        first.rung().await;
        let second = bells.hang(one, 1).unwrap();
        first.rung().await;
        assert!(first.is_replaced() && !second.is_replaced());
        drop(first);
        assert_eq!(bells.count(), 1);
        bells.end();
        second.rung().await;
        assert!(second.has_ended() && bells.hang(two, 9).is_none());
        drop(second);
        assert_eq!(bells.count(), 0);
    }
}
