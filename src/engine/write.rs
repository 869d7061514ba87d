//! What follows from a judged command as row operations: events, rows, claims, messages, sealed rows, timer, snapshot.

use super::actor::{EntityActor, Judged};
use crate::{
    kernel::{
        ClaimOp, Codec, Context as Circumstances, Effects, Machine, MailCopy, MailName, MessageTarget, UnixMillis,
        VaultField, VaultOp,
    },
    store::{
        Ops, OutboxItem, StoreError, StoredRecord,
        keys::{self, Channel},
        ops::OpTag,
        record::{MailItem, SnapshotHead, Target},
        vault,
    },
};
use std::{sync::atomic::Ordering, time::Duration};

impl<M: Machine> EntityActor<M> {
    /// Writes everything that follows into row operations.
    pub(super) fn write(&mut self, judged: &Judged<M>, cx: &Circumstances, ops: &mut Ops) -> Result<(), StoreError> {
        let partition = self.partition();
        let count = judged.events.len() as u64;
        if count > 0 {
            let key = keys::event(partition, self.address, self.revision - count + 1);
            let before = ops.as_bytes().len();
            ops.push(OpTag::PutEvent, &key, |bytes| {
                StoredRecord::write(bytes, cx.now, cx.by, cx.from, &judged.events);
            });
            self.bytes_since_snapshot += u32::try_from(ops.as_bytes().len() - before).unwrap_or(u32::MAX);
            self.events_since_snapshot += u32::try_from(count).unwrap_or(u32::MAX);
            self.last_at = cx.now;
        }
        for row in &judged.effects.rows {
            let key = keys::row(partition, row.space, row.org, &row.key);
            match &row.value {
                Some(value) => ops.put(&key, value),
                None => ops.delete(&key),
            }
        }
        for claim in &judged.claims {
            let (ClaimOp::Take { space, value }
            | ClaimOp::TakeFree { space, value }
            | ClaimOp::Inherit { space, value, .. }
            | ClaimOp::Release { space, value }) = claim;
            let digest = self.claim_key(*space, value).digest;
            let key = keys::claim(partition, *space, self.address.org, &digest);
            match claim {
                ClaimOp::Release { .. } => ops.delete(&key),
                _ => ops.put(&key, &self.address.to_bytes()),
            }
        }
        self.write_messages(&judged.effects, ops);
        self.write_mails(&judged.effects, cx.now, ops);
        let is_first = count > 0 && self.revision == count;
        match &judged.effects.vault[..] {
            [VaultOp::SealAlone { field, plaintext }] => self.write_alone(*field, plaintext, ops),
            _ if judged.effects.touches_a_key() => self.write_vault(&judged.effects.vault, is_first, ops)?,
            _ => {}
        }
        self.write_timer(cx.now, is_first, ops);
        self.write_snapshot(ops);
        Ok(())
    }

    fn write_messages(&self, effects: &Effects, ops: &mut Ops) {
        for (n, message) in (0u32..).zip(&effects.messages) {
            let to = match &message.to {
                MessageTarget::Entity(address) => Target::Entity(*address),
                MessageTarget::ClaimHolder { space, value } => {
                    Target::ClaimHolder(*space as u8, self.claim_key(*space, value).digest)
                }
                MessageTarget::Index { space, prefix, kind } => {
                    Target::Index(*space as u8, prefix.clone(), *kind as u8, Vec::new())
                }
            };
            let item = OutboxItem {
                from: self.address,
                revision: self.revision,
                n,
                to,
                body: message.body.clone(),
                secret: message.secret.map(|(subject, field)| (subject, field as u8)),
            };
            ops.push(OpTag::PutOutbox, &[], |bytes| item.encode_into(bytes));
        }
    }

    fn write_mails(&self, effects: &Effects, now: UnixMillis, ops: &mut Ops) {
        for (n, request) in (0u32..).zip(&effects.mails) {
            let lane = keys::post_lane(self.partition(), Channel::to(request.to), self.address.org, request.to);
            let name = MailName { from: self.address, revision: self.revision, n, at: now };
            let mail = MailCopy {
                name: request.name.unwrap_or(name),
                template: (&*request.template).into(),
                to: request.to,
                about: request.about.clone(),
            };
            let item = MailItem { mail, deadline: request.deadline, since: now };
            ops.push(OpTag::PutPost, &lane, |bytes| item.encode_into(bytes));
        }
    }

    fn write_alone(&self, field: VaultField, plaintext: &[u8], ops: &mut Ops) {
        let row = keys::subject_key(self.partition(), self.address);
        ops.put(&row, &self.shared.keys.seal_alone(self.address, field, plaintext));
    }

    fn write_vault(&self, vault: &[VaultOp], is_first: bool, ops: &mut Ops) -> Result<(), StoreError> {
        let (partition, ring) = (self.partition(), &self.shared.keys);
        let key_row = keys::subject_key(partition, self.address);
        let mut wrapped = match self.shared.subject_keys.under_way(self.address) {
            Some(wrapped) => {
                // Whether the record that made it becomes durable is not known yet.
                wrapped.iter().for_each(|wrapped| ops.put(&key_row, wrapped));
                wrapped
            }
            // Whoever never wrote anything has no key yet.
            None if is_first => None,
            None => self.shared.db.get(&key_row)?,
        };
        for op in vault {
            match op {
                // Beside nothing else, and then it is not here.
                VaultOp::SealAlone { field, plaintext } => self.write_alone(*field, plaintext, ops),
                VaultOp::Seal { .. } | VaultOp::SealNumbered { .. } => {
                    let key = match &wrapped {
                        Some(wrapped) => ring.unwrap_subject_key(self.address, wrapped)?,
                        None => {
                            let (key, new) = ring.new_subject_key(self.address);
                            ops.put(&key_row, &new);
                            wrapped = Some(new);
                            key
                        }
                    };
                    let (row, sealed) = match op {
                        VaultOp::SealNumbered { field, number, plaintext } => (
                            keys::vault_numbered(partition, self.address, *field, *number),
                            ring.seal_numbered(&key, self.address, (*field, *number), plaintext),
                        ),
                        VaultOp::Seal { field, plaintext } => (
                            keys::vault(partition, self.address, *field),
                            ring.seal(&key, self.address, *field, plaintext),
                        ),
                        VaultOp::SealAlone { .. } | VaultOp::Erase => continue,
                    };
                    ops.put(&row, &sealed);
                }
                VaultOp::Erase => {
                    self.shared.keys_deleted.store(true, Ordering::Release);
                    ops.delete(&key_row);
                    if !wrapped.take().is_some_and(|row| vault::stands_alone(&row)) {
                        for field in VaultField::ALL {
                            ops.delete(&keys::vault(partition, self.address, field));
                        }
                    }
                }
            }
        }
        self.shared.subject_keys.sent(self.address, wrapped);
        Ok(())
    }

    /// A deadline is a durable row, rewritten only when it moves earlier; a stale firing re-arms. Which row that is
    /// stands in a row of its own from the second on: of the first the state knows it.
    fn write_timer(&mut self, now: UnixMillis, is_first: bool, ops: &mut Ops) {
        let Some(deadline) = self.state.next_deadline() else { return };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        let deadline = deadline.max(now.plus(Duration::from_millis(200)));
        let partition = self.partition();
        if let Some(armed) = self.armed {
            ops.delete(&keys::timer(partition, armed, self.address));
        }
        ops.put(&keys::timer(partition, deadline, self.address), &[]);
        if !is_first {
            ops.put(&keys::armed(partition, self.address), &deadline.0.to_be_bytes());
        }
        self.armed = Some(deadline);
    }

    /// A snapshot is a cache: made when the events since the last one are many or heavy.
    fn write_snapshot(&mut self, ops: &mut Ops) {
        let heavy = self.bytes_since_snapshot > 4 * self.snapshot_bytes.max(512);
        if self.events_since_snapshot < self.shared.config.snapshot_every_events && !heavy {
            return;
        }
        let head = SnapshotHead { evolve_version: M::EVOLVE_VERSION, revision: self.revision, last_at: self.last_at };
        let before = ops.as_bytes().len();
        ops.push(OpTag::Put, &keys::snapshot(self.partition(), self.address), |bytes| {
            head.encode_into(bytes);
            self.state.to_snapshot(bytes);
        });
        self.snapshot_bytes = u32::try_from(ops.as_bytes().len() - before).unwrap_or(u32::MAX);
        self.events_since_snapshot = 0;
        self.bytes_since_snapshot = 0;
    }
}
