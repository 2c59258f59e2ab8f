//! What is put in order beside the turns: locks that were left, the trash, caches where the disk is short.

use std::time::Duration;

use super::{Coordinator, Message};
use crate::coordinator::{evict, log, sweep};
use crate::core::schedule;

impl Coordinator {
    pub(super) fn clear_locks(&self, after: Duration) {
        let (world, inbox) = (self.world.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            let has_locks = tokio::task::spawn_blocking(move || sweep::clear_locks(&world)).await;
            let _ = inbox.send(Message::Locks(has_locks.unwrap_or(false)));
        });
    }

    /// Where the disk is short, the cache goes that was used longest ago. One at a time: then it is looked again.
    pub(super) fn make_room(&mut self) {
        if self.makes_room || !schedule::is_disk_short(&self.seen, &self.limits) {
            return;
        }
        match evict::evict(&self.world, &self.pooled_in_use()) {
            Ok(None) => return,
            Ok(Some(path)) => log(&format!("there is little room on the disk: {} is thrown away", path.display())),
            Err(error) => return log(&format!("cannot make room: {error}")),
        }
        self.makes_room = true;
        let (world, inbox) = (self.world.clone(), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            sweep::empty_trash(&world);
            let _ = inbox.send(Message::RoomMade);
        });
    }

    pub(super) fn empty_trash(&self) {
        let world = self.world.clone();
        tokio::task::spawn_blocking(move || sweep::empty_trash(&world));
    }

    /// The pooled worktrees that a run has, or a candidate that is being made.
    pub(super) fn pooled_in_use(&self) -> Vec<u32> {
        let made = self.numbers.iter().filter(|(subject, _)| self.seen.busy.contains(subject));
        self.state.lines().runs().map(|run| run.slot).chain(made.map(|(_, (_, slot))| *slot)).collect()
    }
}
