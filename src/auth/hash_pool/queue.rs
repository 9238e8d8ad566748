//! A queue for memory that is fair between clients.
//!
//! This queue serves the buckets in turn. A bucket is a group of clients that count as one client. tokio's `Semaphore` serves waiters in
//! the order of arrival, so one client could fill the queue. `FairShare` of the crate `mea` has no weights, and with one permit it also
//! serves in the order of arrival.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Grants memory to one hash of each bucket in turn.
pub(super) struct FairQueue {
    /// Memory that no hash uses, in KiB.
    free_kib: u32,
    /// Buckets that have hashes, waiting or running.
    buckets: HashMap<String, Bucket>,
    /// Names of the buckets with waiting hashes. The first one is served next.
    turns: VecDeque<String>,
}

#[derive(Default)]
struct Bucket {
    waiting: VecDeque<Waiter>,
    /// Number of tickets.
    hashes: usize,
    /// Expected time of all its hashes, waiting or running, if they had the whole pool.
    expected: Duration,
}

struct Waiter {
    kib: u32,
    granted: oneshot::Sender<()>,
}

/// The expected wait of a new hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectedWait {
    pub(super) total: Duration,
    /// The part that is caused by hashes of the same bucket.
    pub(super) own: Duration,
    /// Whether all hashes in the queue are of this bucket.
    pub(super) is_alone: bool,
}

impl FairQueue {
    pub(super) fn new(memory_kib: u32) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            free_kib: memory_kib,
            buckets: HashMap::new(),
            turns: VecDeque::new(),
        }))
    }

    /// Returns the expected wait of a new hash of `bucket` with the duration `next`. Older hashes of the same bucket run first. In the
    /// same time, each other bucket uses at most the same amount.
    pub(super) fn expected_wait(&self, bucket: &str, next: Duration) -> ExpectedWait {
        let own = self
            .buckets
            .get(bucket)
            .map_or(Duration::ZERO, |it| it.expected);
        let others = self.buckets.iter().filter(|(name, _)| *name != bucket);
        let others: Duration = others.map(|(_, it)| it.expected.min(own + next)).sum();
        ExpectedWait {
            total: own + others,
            own,
            is_alone: others.is_zero(),
        }
    }

    /// Grants memory to as many waiters as it suffices for.
    fn grant(&mut self) {
        while let Some(name) = self.turns.front() {
            let Some(Bucket { waiting, .. }) = self.buckets.get_mut(name) else {
                self.turns.pop_front();
                continue;
            };
            // A closed waiter belongs to a login that gave up.
            while waiting
                .front()
                .is_some_and(|waiter| waiter.granted.is_closed())
            {
                waiting.pop_front();
            }
            if waiting
                .front()
                .is_some_and(|waiter| waiter.kib > self.free_kib)
            {
                return;
            }
            if let Some(waiter) = waiting.pop_front() {
                self.free_kib -= waiter.kib;
                // Tickets close their receivers under the lock of the queue, so the receiver is still open.
                let _ = waiter.granted.send(());
            }
            let has_more = !waiting.is_empty();
            let name = self.turns.pop_front();
            self.turns.extend(name.filter(|_| has_more));
        }
    }
}

/// A place in the queue, and then the memory of one hash. Dropping the ticket gives back both.
pub(super) struct Ticket {
    queue: Arc<Mutex<FairQueue>>,
    bucket: String,
    kib: u32,
    expected: Duration,
    granted: oneshot::Receiver<()>,
    is_granted: bool,
}

impl Ticket {
    /// Enters the queue. `expected` is the time of the hash if it had the whole pool.
    pub(super) fn new(
        queue: &Arc<Mutex<FairQueue>>,
        bucket: &str,
        kib: u32,
        expected: Duration,
    ) -> Self {
        let (sender, granted) = oneshot::channel();
        let mut state = queue.lock();
        let entry = state.buckets.entry(bucket.to_owned()).or_default();
        entry.hashes += 1;
        entry.expected += expected;
        let is_first = entry.waiting.is_empty();
        entry.waiting.push_back(Waiter {
            kib,
            granted: sender,
        });
        if is_first {
            state.turns.push_back(bucket.to_owned());
        }
        state.grant();
        drop(state);
        Self {
            queue: Arc::clone(queue),
            bucket: bucket.to_owned(),
            kib,
            expected,
            granted,
            is_granted: false,
        }
    }

    /// Completes when the memory is granted.
    pub(super) async fn granted(&mut self) {
        self.is_granted = (&mut self.granted).await.is_ok();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        self.granted.close();
        if self.is_granted || self.granted.try_recv().is_ok() {
            queue.free_kib += self.kib;
        }
        if let Some(bucket) = queue.buckets.get_mut(&self.bucket) {
            bucket.hashes -= 1;
            bucket.expected -= self.expected;
            if bucket.hashes == 0 {
                queue.buckets.remove(&self.bucket);
                queue.turns.retain(|name| *name != self.bucket);
            }
        }
        queue.grant();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_granted(ticket: &mut Ticket) -> bool {
        ticket.granted().now_or_never().is_some()
    }

    #[test]
    fn buckets_are_served_in_turn() {
        let queue = FairQueue::new(1);
        let ticket = |bucket| Ticket::new(&queue, bucket, 1, SECOND);
        let mut running = ticket("a");
        assert!(is_granted(&mut running));
        let mut waiting = ["a", "a", "b", "b", "c"].map(|bucket| Some(ticket(bucket)));
        let mut order = Vec::new();
        drop(running);
        while let Some(next) = waiting
            .iter_mut()
            .position(|ticket| ticket.as_mut().is_some_and(is_granted))
        {
            order.push(next);
            waiting[next] = None;
        }
        // By index: the first of a, b and c, then the second of a and b.
        assert_eq!(order, [0, 2, 4, 1, 3]);
        assert!(queue.lock().buckets.is_empty());
    }

    #[test]
    fn dropped_tickets_leave_the_queue() {
        let queue = FairQueue::new(2);
        let ticket = |kib| Ticket::new(&queue, "a", kib, SECOND);
        let running = ticket(1);
        let (large, mut small) = (ticket(2), ticket(1));
        // Hashes of one bucket run in order, so the small hash must wait.
        assert!(!is_granted(&mut small));
        drop(large);
        assert!(is_granted(&mut small));
        // A ticket that was granted and not yet awaited gives its memory back, too.
        drop(running);
        drop(small);
        assert_eq!(queue.lock().free_kib, 2);
        assert!(queue.lock().turns.is_empty());
    }

    #[test]
    fn expected_wait_counts_one_turn_of_each_other_bucket() {
        let queue = FairQueue::new(1);
        let tickets = |bucket, count| -> Vec<_> {
            let tickets = (0..count).map(|_| Ticket::new(&queue, bucket, 1, SECOND));
            tickets.collect()
        };
        let expected = |bucket| queue.lock().expected_wait(bucket, SECOND);
        let long = tickets("long", 400);
        assert_eq!(expected("long").total, SECOND * 400);
        assert!(expected("long").is_alone && !expected("new").is_alone);
        assert_eq!(expected("new").total, SECOND);
        let _short = tickets("short", 4);
        assert_eq!(expected("new").total, SECOND * 2);
        assert_eq!(expected("short").total, SECOND * 9);
        assert_eq!(expected("long").total, SECOND * 404);
        drop(long);
        assert_eq!(expected("new").total, SECOND);
    }
}
