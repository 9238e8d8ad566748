//! Admission to hashing: a few threads below normal priority, a budget of memory, and a queue in
//! which nobody waits longer than a deadline.
//!
//! Hashing is what a login costs. Unbounded, a storm of logins would take all memory and all cores,
//! and hold up refreshes, which cost next to nothing. The queue is that of two fair semaphores; who
//! is admitted by both is hashed for at once, by a thread that keeps its memory from hash to hash.
//!
//! Buckets take turns: only so many clients of a bucket as can be hashed for at once are in that queue. The others wait for a
//! permit of their own bucket. So a new client waits for one hash of each bucket, however many clients each bucket has.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use argon2::Block;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use tracing::warn;

use super::metrics::HashQueueMetrics;

mod load;

use load::{Counted, Expected, Load};
pub(super) use load::{Kind, Weight};

/// How long a client that finished sending stays in the queue: a client that still waits for the answer looks the same.
const SOON: Duration = Duration::from_millis(200);

/// For so long, memory is kept for the next hash: to have it at hand makes hashing a tenth faster.
const REST: Duration = Duration::from_secs(10);

/// Below the threads that answer requests (see `nice(2)`).
const NICENESS: i32 = 10;

/// How much hashing there may be at once, and for how long a login waits for it.
#[derive(Clone, Copy, Debug)]
pub struct HashPoolLimits {
    /// Hashes at once: one a core.
    pub threads: usize,
    /// Memory of all hashes together, in KiB. One hash that costs more runs alone, outside this promise.
    pub memory_kib: u32,
    /// The longest wait. A login that would wait longer is told so at once.
    pub wait: Duration,
}

impl HashPoolLimits {
    /// How many hashes of so much memory there are at once.
    #[must_use]
    pub fn at_once(&self, memory_kib: u32) -> usize {
        let room = self.memory_kib / memory_kib.max(1);
        self.threads.min(room as usize).max(1)
    }
}

/// There is more to hash than can be hashed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue for hashing is full: it takes {wait:?}")]
pub struct Busy {
    /// How long a login would wait now.
    pub wait: Duration,
}

/// The memory of one hash.
pub(super) type Blocks = Vec<Block>;

type Job = Box<dyn FnOnce() + Send>;

/// The queue, and the threads behind it, which end with it.
pub(super) struct Admission {
    budget: HashPoolLimits,
    memory: Arc<Semaphore>,
    threads: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
    load: Arc<Load>,
    pub(super) meter: HashQueueMetrics,
    spare: Arc<Mutex<Vec<Blocks>>>,
    /// The hash that is made today.
    today: Weight,
    /// What is kept in `spare`: the memory of the usual hash, in blocks.
    usual: usize,
}

impl Admission {
    /// Starts the threads; they keep the memory of hashes of the `usual` weight.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub(super) fn start(budget: HashPoolLimits, usual: Weight) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let spare = Arc::<Mutex<Vec<Blocks>>>::default();
        for number in 0..budget.threads {
            let (queue, spare) = (Arc::clone(&queue), Arc::clone(&spare));
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || work_off(&queue, &spare, REST))?;
        }
        Ok(Self {
            budget,
            memory: Arc::new(Semaphore::new(budget.memory_kib as usize)),
            threads: Arc::new(Semaphore::new(budget.threads)),
            jobs,
            load: Arc::default(),
            meter: HashQueueMetrics::default(),
            spare,
            today: usual,
            usual: usual.blocks(),
        })
    }

    /// How long a client that finished sending stays in the queue.
    pub(super) fn grace(&self) -> Duration {
        SOON.min(self.budget.wait / 4)
    }

    /// Does `work` when its turn comes. Returns `None` if the client has `left` before that: the work then leaves the queue and
    /// the estimate of the wait at once. Clients of one `bucket` take turns with those of others.
    ///
    /// # Errors
    /// When its turn would not come in time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        weight: Weight,
        bucket: &str,
        left: impl Future<Output = ()>,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<Option<T>, Busy> {
        let Expected { wait, own, alone } = self.load.expected_wait(bucket, self.today);
        let most = if alone {
            self.budget.wait
        } else {
            // While others wait, no bucket has more than half of the queue.
            self.budget.wait / 2
        };
        if own > most || wait > self.budget.wait {
            self.meter.reject();
            return Err(Busy { wait });
        }
        let turns = self.today.at_once(&self.budget);
        let counted = Counted::new(&self.load, bucket, weight, turns, &self.budget);
        let waiting = self.meter.wait();
        let admitted = tokio::select! {
            biased;
            admitted = timeout(self.budget.wait, self.admit(weight, &counted.turns)) => admitted,
            () = left => return Ok(None),
        };
        let Ok(admitted) = admitted else {
            self.meter.reject();
            let Expected { wait, .. } = self.load.expected_wait(bucket, self.today);
            return Err(Busy { wait });
        };
        waiting.admitted();

        let (reply, result) = oneshot::channel();
        let (load, spare, usual) = (Arc::clone(&self.load), Arc::clone(&self.spare), self.usual);
        let job = move || {
            let mut blocks = take(&spare, weight, usual);
            let started = Instant::now();
            let result = work(&mut blocks);
            load.observe(weight, started.elapsed());
            if blocks.len() == usual {
                lock(&spare).push(blocks);
            } else {
                drop(blocks);
            }
            // Not before its memory is free.
            drop((admitted, counted));
            // Nobody may wait for it any more.
            let _ = reply.send(result);
        };
        // The threads live as long as this.
        let _ = self.jobs.send(Box::new(job));
        // A hash that panicked was logged; for its login, there was none.
        result.await.map(Some).map_err(|_| Busy {
            wait: self.budget.wait,
        })
    }

    /// Memory first: who waits for it must not hold a thread.
    async fn admit(
        &self,
        weight: Weight,
        turns: &Semaphore,
    ) -> (OwnedSemaphorePermit, OwnedSemaphorePermit) {
        let _turn = turns.acquire().await;
        let blocks = u32::try_from(blocks(weight, self.usual)).unwrap_or(u32::MAX);
        let memory = weight.memory_kib.max(blocks).min(self.budget.memory_kib);
        let memory = Arc::clone(&self.memory).acquire_many_owned(memory).await;
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let open = "the semaphores are never closed";
        (memory.expect(open), thread.expect(open))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// Memory for a hash: that of an earlier one if it fits. If it does not, what is spare is freed first,
/// so that spare and used memory together stay within the budget.
fn take(spare: &Mutex<Vec<Blocks>>, weight: Weight, usual: usize) -> Blocks {
    let mut spare = lock(spare);
    let wanted = blocks(weight, usual);
    if wanted == usual
        && let Some(blocks) = spare.pop()
    {
        return blocks;
    }
    if wanted != usual && weight.memory_kib > 0 {
        spare.clear();
    }
    drop(spare);
    vec![Block::default(); wanted]
}

/// What a hash is given: a smaller one is made in the memory of a usual one.
fn blocks(weight: Weight, usual: usize) -> usize {
    match weight.blocks() {
        0 => 0,
        blocks => blocks.max(usual),
    }
}

/// Does one job after the other, until there are none to come. When none came for a while, the memory of those before is
/// given back.
fn work_off(queue: &Mutex<mpsc::Receiver<Job>>, spare: &Mutex<Vec<Blocks>>, rest: Duration) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        warn!(%error, "hashing goes on at normal priority");
    }
    loop {
        let jobs = lock(queue);
        let job = loop {
            match jobs.recv_timeout(rest) {
                Err(RecvTimeoutError::Timeout) => lock(spare).clear(),
                job => break job.ok(),
            }
        };
        drop(jobs);
        // A panic ends one hash, not the thread.
        match job {
            Some(job) => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))),
            None => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures_util::{FutureExt, future::BoxFuture};

    use super::*;

    /// A hash of so much memory.
    fn of(memory_kib: u32) -> Weight {
        Weight::new(Kind::Argon2, memory_kib.into(), 100)
    }

    fn admission(threads: usize, memory_kib: u32, wait: Duration) -> Arc<Admission> {
        let budget = HashPoolLimits {
            threads,
            memory_kib,
            wait,
        };
        Arc::new(Admission::start(budget, of(100)).unwrap())
    }

    const LONG: Duration = Duration::from_mins(10);

    /// Runs hashes of these weights at once; returns the most that ran together, and their memory.
    async fn most_at_once(admission: &Arc<Admission>, weights: &[u32]) -> (u32, u32) {
        let running = Arc::new(Mutex::new((0, 0)));
        let most = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let hashes = weights.iter().map(|memory_kib| {
            let (running, most, memory_kib) =
                (Arc::clone(&running), Arc::clone(&most), *memory_kib);
            admission.run(of(memory_kib), "", pending(), move |blocks| {
                assert!(blocks.len() >= memory_kib as usize);
                let change = |by: i64| {
                    let mut running = lock(&running);
                    running.0 += by;
                    running.1 += by * i64::from(memory_kib);
                    most.0
                        .fetch_max(running.0.try_into().unwrap(), Ordering::SeqCst);
                    most.1
                        .fetch_max(running.1.try_into().unwrap(), Ordering::SeqCst);
                };
                change(1);
                for _ in 0..50 {
                    thread::yield_now();
                }
                change(-1);
            })
        });
        for result in futures_util::future::join_all(hashes).await {
            result.unwrap();
        }
        (most.0.load(Ordering::SeqCst), most.1.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn threads_and_memory_are_bounds() {
        let (threads, memory) = most_at_once(&admission(3, 1000, LONG), &[100; 40]).await;
        assert!(threads <= 3 && memory <= 300, "{threads} {memory}");
        let (threads, memory) = most_at_once(&admission(8, 250, LONG), &[100; 40]).await;
        assert!(threads <= 2 && memory <= 200, "{threads} {memory}");
        let mixed = [100, 50, 200, 100, 10, 150].repeat(6);
        let (_, memory) = most_at_once(&admission(8, 250, LONG), &mixed).await;
        assert!(memory <= 250, "{memory}");
    }

    #[tokio::test]
    async fn a_hash_above_the_budget_runs_alone() {
        let weights = [100, 100, 5000, 100, 5000, 100].repeat(4);
        let (_, memory) = most_at_once(&admission(8, 250, LONG), &weights).await;
        assert_eq!(memory, 5000);
    }

    #[tokio::test]
    async fn memory_is_kept_from_hash_to_hash_and_freed_for_another() {
        let admission = admission(1, 250, LONG);
        let place = async |memory_kib| {
            admission
                .run(of(memory_kib), "", pending(), |blocks| {
                    blocks.as_ptr() as usize
                })
                .await
                .unwrap()
        };
        assert_eq!(place(100).await, place(100).await);
        assert_eq!(lock(&admission.spare).len(), 1);
        place(200).await;
        assert_eq!(lock(&admission.spare).len(), 0);
    }

    /// While the one thread is held, nobody waits past the deadline, and what is given up is not done.
    #[tokio::test]
    async fn nobody_waits_past_the_deadline_or_is_hashed_for_after_leaving() {
        let admission = admission(1, 1000, Duration::from_millis(50));
        let (release, held) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move {
                admission
                    .run(of(100), "", pending(), move |_| held.recv())
                    .await
            }
        });
        while admission.threads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = admission
            .run(of(100), "", pending(), |_| panic!("it was given up"))
            .await;
        assert!(matches!(refused, Err(Busy { .. })));
        let left = admission.run(of(100), "", ready(()), |_| panic!("it was given up"));
        assert_eq!(left.await, Ok(None));

        release.send(()).unwrap();
        first.await.unwrap().unwrap().unwrap().unwrap();
        assert_eq!(
            admission.load.expected_wait("", of(100)).wait,
            Duration::ZERO
        );

        // By now it is known that a hash takes longer than anybody waits: a second one is told at once.
        let (release, held) = mpsc::channel::<()>();
        let mut first = Box::pin(admission.run(of(100), "", pending(), move |_| held.recv()));
        assert!(timeout(Duration::from_millis(1), &mut first).await.is_err());
        let Err(Busy { wait }) = admission.run(of(100), "", pending(), |_| ()).await else {
            panic!("it was admitted");
        };
        assert!(wait > Duration::from_millis(50), "{wait:?}");
        release.send(()).unwrap();
        first.await.unwrap().unwrap().unwrap();
    }

    /// Polls a hash until it waits; returns whether it was admitted to the queue.
    fn enqueue<'a>(
        admission: &'a Admission,
        memory_kib: u32,
        bucket: &'a str,
    ) -> Option<BoxFuture<'a, Result<Option<()>, Busy>>> {
        let mut hash = admission
            .run(of(memory_kib), bucket, pending(), |_| ())
            .boxed();
        (&mut hash).now_or_never().is_none().then_some(hash)
    }

    #[tokio::test]
    async fn no_bucket_has_more_than_half_of_the_queue_while_others_wait() {
        let admission = admission(1, 10_000, LONG);
        admission.load.observe(of(100), Duration::from_mins(1));
        let (release, held) = mpsc::channel::<()>();
        let mut first = Box::pin(admission.run(of(100), "first", pending(), move |_| held.recv()));
        assert!((&mut first).now_or_never().is_none());
        // Ten minutes are ten hashes, and one more that comes while the queue is not yet over its limit.
        let fill = |bucket| -> Vec<_> {
            std::iter::from_fn(|| enqueue(&admission, 100, bucket)).collect()
        };
        let (a, b) = (fill("a"), fill("b"));
        assert_eq!((a.len(), b.len()), (6, 5));
        // Once full, it is full for every account, whatever the account's hash costs.
        for memory_kib in [10, 100, 5000] {
            assert!(
                enqueue(&admission, memory_kib, "a").is_none(),
                "{memory_kib}"
            );
        }
        // A new bucket has room, and its turn comes before the second turns of others.
        assert!(enqueue(&admission, 100, "c").is_some());
        drop((a, b));
        release.send(()).unwrap();
        first.await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_costs_one_hash_and_not_the_thread() {
        let admission = admission(1, 1000, LONG);
        let broken = admission
            .run(of(100), "", pending(), |_| panic!("a bug"))
            .await;
        assert!(broken.is_err());
        let next = admission.run(of(100), "", pending(), |_| 7);
        assert_eq!(next.await, Ok(Some(7)));
    }

    #[test]
    fn memory_is_kept_for_the_next_hash_and_not_for_ever() {
        let (jobs, queue) = mpsc::channel::<Job>();
        let spare = Arc::new(Mutex::new(vec![vec![Block::default(); 8]]));
        let kept = Arc::clone(&spare);
        let worker = thread::spawn(move || work_off(&Mutex::new(queue), &kept, Duration::ZERO));
        let (told, seen) = mpsc::channel();
        while !lock(&spare).is_empty() {
            thread::yield_now();
        }
        // It works on.
        jobs.send(Box::new(move || told.send(()).unwrap())).unwrap();
        seen.recv().unwrap();
        drop(jobs);
        worker.join().unwrap();
    }
}
