//! Hashing with bounded memory, bounded concurrency, a deadline, and fairness between clients.
//!
//! Each login computes one hash. Without limits, many concurrent logins would exhaust memory and CPU cores, and delay refreshes.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use argon2::Block;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::warn;

mod cost;
mod metrics;
mod queue;

use cost::MeasuredSpeed;
pub(super) use cost::{HashAlgorithm, HashCost};
use metrics::HashQueueMetrics;
use queue::{ExpectedWait, FairQueue, Ticket};

/// How long a client that finished sending stays in the queue. Such a client may have left, or may wait for the response. The longest
/// wait in the queue is at least a second.
pub(super) const DISCONNECT_GRACE: Duration = Duration::from_millis(200);

/// Time after which unused buffers are freed. Hashing is a tenth faster with a reused buffer.
const BUFFER_IDLE_TTL: Duration = Duration::from_secs(10);

/// The priority of the hashing threads (`nice(2)`). Refreshes should not wait for hashes, so it is below the normal priority of 0. At a
/// priority of 10, requests that were rejected left almost no CPU time for hashes.
const NICENESS: i32 = 4;

/// Limits of all hashes together.
#[derive(Clone, Copy, Debug)]
pub struct HashPoolLimits {
    /// Concurrent hashes: one for each CPU core.
    pub threads: usize,
    /// Memory of all concurrent hashes, in KiB. A larger hash runs without concurrent hashes, and exceeds this limit.
    pub memory_kib: u32,
    /// The longest wait. The pool rejects a login immediately if its expected wait is longer.
    pub wait: Duration,
}

impl HashPoolLimits {
    /// Returns the number of concurrent hashes that need this much memory each.
    #[must_use]
    pub fn max_concurrency(&self, memory_kib: u32) -> usize {
        (self.memory_kib / self.reserved_kib(memory_kib)) as usize
    }

    /// Returns the memory to reserve for a hash: at least an equal part for each thread, so that the limit of memory implies the
    /// limit of threads.
    fn reserved_kib(&self, memory_kib: u32) -> u32 {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX).max(1);
        let reserved = memory_kib.max(self.memory_kib / threads);
        reserved.clamp(1, self.memory_kib.max(1))
    }
}

/// The expected wait of a new hash exceeds the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash queue is full: the estimated wait is {wait:?}")]
pub struct Overloaded {
    /// The expected wait of a new hash.
    pub wait: Duration,
}

/// The memory of one Argon2 hash.
type Buffer = Vec<Block>;

type Job = Box<dyn FnOnce() + Send>;

/// Runs hashes on dedicated threads.
///
/// tokio has too many blocking threads: the allocator keeps freed memory for each thread, so hashes would exceed the
/// limit of memory. A pool of rayon has no priority, and its queue is not fair between clients.
pub(super) struct HashPool {
    limits: HashPoolLimits,
    jobs: mpsc::Sender<Job>,
    queue: Arc<Mutex<FairQueue>>,
    speed: Arc<MeasuredSpeed>,
    metrics: HashQueueMetrics,
    buffers: Arc<Mutex<FreeBuffers>>,
    /// The cost of the hashes that the service creates.
    default_cost: HashCost,
}

/// Buffers of the default cost that no hash uses.
#[derive(Default)]
struct FreeBuffers {
    free: Vec<Buffer>,
    /// How many hashes have finished.
    uses: u64,
}

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub(super) fn start(limits: HashPoolLimits, default_cost: HashCost) -> io::Result<Self> {
        let (jobs, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..limits.threads {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || worker_loop(&receiver))?;
        }
        Ok(Self {
            limits,
            jobs,
            queue: FairQueue::new(limits.memory_kib.max(1)),
            speed: Arc::default(),
            metrics: HashQueueMetrics::default(),
            buffers: Arc::default(),
            default_cost,
        })
    }

    pub(super) fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Runs `hash` with a buffer, after the hashes that are in the queue before it. The buckets are served in turn. Returns `None` if
    /// the client has `disconnected` before `hash` starts. The queue then removes the hash immediately.
    ///
    /// # Errors
    /// When `hash` would not start, or does not start, within the longest wait.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        cost: HashCost,
        bucket: &str,
        disconnected: impl Future<Output = ()>,
        hash: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<Option<T>, Overloaded> {
        let mut ticket = self.enter_queue(cost, bucket)?;
        let timer = self.metrics.start_waiting();
        let granted = tokio::select! {
            biased;
            granted = timeout(self.limits.wait, ticket.granted()) => granted,
            () = disconnected => return Ok(None),
        };
        if granted.is_err() {
            drop(ticket);
            self.metrics.reject();
            return Err(Overloaded {
                wait: self.expected_wait(bucket).total,
            });
        }
        timer.record();
        let (speed, buffers, blocks) = (
            Arc::clone(&self.speed),
            Arc::clone(&self.buffers),
            self.blocks(cost),
        );
        let default_blocks = self.default_cost.blocks();
        let (sender, result) = oneshot::channel();
        let runtime = Handle::current();
        let job = move || {
            let mut buffer = take_buffer(&buffers, cost, blocks, default_blocks);
            let started = Instant::now();
            let result = hash(&mut buffer);
            speed.record(cost, started.elapsed());
            let is_reusable = buffer.len() == default_blocks;
            let uses = buffers.lock().give_back(is_reusable.then_some(buffer));
            // The ticket reserves the memory, so the buffer is returned first.
            drop(ticket);
            // The login may have been canceled.
            let _ = sender.send(result);
            runtime.spawn(async move {
                sleep(BUFFER_IDLE_TTL).await;
                buffers.lock().free_if_idle(uses);
            });
        };
        // The threads run until the pool is dropped.
        let _ = self.jobs.send(Box::new(job));
        let result = result.await;
        // After a panic, which was logged already, there is no result. The login can be repeated.
        result.map(Some).map_err(|_| Overloaded {
            wait: self.limits.wait,
        })
    }

    fn enter_queue(&self, cost: HashCost, bucket: &str) -> Result<Ticket, Overloaded> {
        // The cost of the account's own hash is not used here, because the answer must not depend on the account.
        let wait = self.expected_wait(bucket);
        let max_own = if wait.is_alone {
            self.limits.wait
        } else {
            // If several buckets wait, each bucket may fill half of the queue.
            self.limits.wait / 2
        };
        if wait.own > max_own || wait.total > self.limits.wait {
            self.metrics.reject();
            return Err(Overloaded { wait: wait.total });
        }
        let blocks = u32::try_from(self.blocks(cost)).unwrap_or(u32::MAX);
        let kib = self.limits.reserved_kib(cost.memory_kib.max(blocks));
        let part = f64::from(kib) / f64::from(self.limits.memory_kib.max(1));
        let expected = self.speed.expected_time(cost).mul_f64(part);
        Ok(Ticket::new(&self.queue, bucket, kib, expected))
    }

    fn expected_wait(&self, bucket: &str) -> ExpectedWait {
        let next = self.speed.expected_time(self.default_cost);
        self.queue.lock().expected_wait(bucket, next)
    }

    /// Returns the size of the buffer for a hash. A small hash gets a buffer of the default size, which can be reused.
    fn blocks(&self, cost: HashCost) -> usize {
        match cost.blocks() {
            0 => 0,
            blocks => blocks.max(self.default_cost.blocks()),
        }
    }
}

impl FreeBuffers {
    /// Stores a buffer for the next hash. Returns the number of hashes that have finished.
    fn give_back(&mut self, buffer: Option<Buffer>) -> u64 {
        self.free.extend(buffer);
        self.uses += 1;
        self.uses
    }

    /// Frees the buffers if no hash has finished since `uses` hashes.
    fn free_if_idle(&mut self, uses: u64) {
        if self.uses == uses {
            self.free.clear();
        }
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Returns a free buffer, or a new one. Before a hash of another size, the free buffers are freed, so that free and used memory
/// together stay within the limit.
fn take_buffer(
    buffers: &Mutex<FreeBuffers>,
    cost: HashCost,
    blocks: usize,
    default_blocks: usize,
) -> Buffer {
    let mut buffers = buffers.lock();
    if blocks == default_blocks
        && let Some(buffer) = buffers.free.pop()
    {
        return buffer;
    }
    if blocks != default_blocks && cost.memory_kib > 0 {
        buffers.free.clear();
    }
    drop(buffers);
    vec![Block::default(); blocks]
}

/// Runs jobs until the pool is dropped.
fn worker_loop(jobs: &Mutex<mpsc::Receiver<Job>>) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        warn!(%error, "cannot lower the priority of hashing");
    }
    loop {
        let job = jobs.lock().recv();
        let Ok(job) = job else { return };
        // A panic must not end the thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::{
            atomic::{AtomicU32, Ordering},
            mpsc,
        },
    };

    use futures_util::{
        FutureExt,
        future::{BoxFuture, join_all},
    };

    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    fn argon2(memory_kib: u32) -> HashCost {
        HashCost::new(HashAlgorithm::Argon2, memory_kib.into(), 100)
    }

    fn pool(threads: usize, memory_kib: u32, wait: Duration) -> HashPool {
        let limits = HashPoolLimits {
            threads,
            memory_kib,
            wait,
        };
        HashPool::start(limits, argon2(100)).unwrap()
    }

    /// Runs hashes of these sizes at the same time. Returns the largest number of concurrent hashes, and their largest total memory.
    async fn peak(pool: &HashPool, sizes: &[u32]) -> (u32, u32) {
        let current = Arc::new(Mutex::new((0, 0)));
        let peak = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let hashes = sizes.iter().map(|memory_kib| {
            let (current, peak, memory_kib) =
                (Arc::clone(&current), Arc::clone(&peak), *memory_kib);
            pool.run(argon2(memory_kib), "", pending(), move |buffer| {
                assert!(buffer.len() >= memory_kib as usize);
                {
                    let mut current = current.lock();
                    current.0 += 1;
                    current.1 += memory_kib;
                    peak.0.fetch_max(current.0, Ordering::SeqCst);
                    peak.1.fetch_max(current.1, Ordering::SeqCst);
                }
                for _ in 0..50 {
                    std::thread::yield_now();
                }
                let mut current = current.lock();
                current.0 -= 1;
                current.1 -= memory_kib;
            })
        });
        for result in join_all(hashes).await {
            result.unwrap();
        }
        (peak.0.load(Ordering::SeqCst), peak.1.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn concurrent_hashes_stay_within_threads_and_memory() {
        let (hashes, memory) = peak(&pool(3, 1000, LONG), &[100; 40]).await;
        assert!(hashes <= 3 && memory <= 300, "{hashes} {memory}");
        let (hashes, memory) = peak(&pool(8, 250, LONG), &[100; 40]).await;
        assert!(hashes <= 2 && memory <= 200, "{hashes} {memory}");
        let mixed = [100, 50, 200, 100, 10, 150].repeat(6);
        let (_, memory) = peak(&pool(8, 250, LONG), &mixed).await;
        assert!(memory <= 250, "{memory}");
    }

    #[tokio::test]
    async fn hash_above_the_memory_limit_has_no_concurrent_hash() {
        let sizes = [100, 100, 5000, 100, 5000, 100].repeat(4);
        let (_, memory) = peak(&pool(8, 250, LONG), &sizes).await;
        assert_eq!(memory, 5000);
    }

    #[tokio::test]
    async fn buffer_is_reused_and_freed_for_another_size() {
        let pool = pool(1, 250, LONG);
        let address = async |memory_kib| {
            let hash = pool.run(argon2(memory_kib), "", pending(), |buffer| {
                buffer.as_ptr() as usize
            });
            hash.await.unwrap()
        };
        assert_eq!(address(100).await, address(100).await);
        assert_eq!(pool.buffers.lock().free.len(), 1);
        address(200).await;
        assert_eq!(pool.buffers.lock().free.len(), 0);
    }

    #[test]
    fn idle_buffer_is_freed() {
        let mut buffers = FreeBuffers::default();
        let [first, second] = [(); 2].map(|()| buffers.give_back(Some(vec![Block::default(); 8])));
        buffers.free_if_idle(first);
        assert_eq!(buffers.free.len(), 2);
        buffers.free_if_idle(second);
        assert_eq!(buffers.free.len(), 0);
    }

    /// Starts a hash that runs until the returned sender is dropped.
    fn endless<'a>(
        pool: &'a HashPool,
        bucket: &'a str,
    ) -> (
        BoxFuture<'a, Result<Option<()>, Overloaded>>,
        mpsc::Sender<()>,
    ) {
        let (finish, finished) = mpsc::channel();
        let (start, started) = mpsc::channel();
        let hash = move |_: &mut [Block]| {
            start.send(()).unwrap();
            let _ = finished.recv();
        };
        let mut hash = pool.run(argon2(100), bucket, pending(), hash).boxed();
        assert!((&mut hash).now_or_never().is_none());
        // A thread of the pool may start late on a busy machine.
        started.recv().unwrap();
        (hash, finish)
    }

    #[tokio::test]
    async fn hash_does_not_start_after_the_deadline_or_a_disconnect() {
        let pool = pool(1, 1000, Duration::from_millis(50));
        let (running, finish) = endless(&pool, "");
        let hash = pool.run(argon2(100), "", pending(), |_| panic!("it timed out"));
        assert!(matches!(hash.await, Err(Overloaded { .. })));
        let hash = pool.run(argon2(100), "", ready(()), |_| panic!("it has no client"));
        assert_eq!(hash.await, Ok(None));
        drop(finish);
        running.await.unwrap().unwrap();
        assert_eq!(pool.expected_wait("").total, Duration::ZERO);

        // The first hash took longer than the longest wait, so the next one is rejected without a wait.
        let (running, finish) = endless(&pool, "");
        let hash = pool.run(argon2(100), "", pending(), |_| ());
        let Some(Err(Overloaded { wait })) = hash.now_or_never() else {
            panic!("the hash waits");
        };
        assert!(wait > Duration::from_millis(50), "{wait:?}");
        drop(finish);
        running.await.unwrap().unwrap();
    }

    /// Starts a hash. Returns `None` if the queue rejects it.
    fn enqueue<'a>(
        pool: &'a HashPool,
        memory_kib: u32,
        bucket: &'a str,
    ) -> Option<BoxFuture<'a, Result<Option<()>, Overloaded>>> {
        let mut hash = pool
            .run(argon2(memory_kib), bucket, pending(), |_| ())
            .boxed();
        (&mut hash).now_or_never().is_none().then_some(hash)
    }

    #[tokio::test]
    async fn bucket_gets_half_of_the_queue_if_several_wait() {
        let pool = pool(1, 10_000, LONG);
        pool.speed.record(argon2(100), Duration::from_mins(1));
        let (running, finish) = endless(&pool, "first");
        // The limit of ten minutes is exceeded after ten hashes and one more.
        let fill =
            |bucket| -> Vec<_> { std::iter::from_fn(|| enqueue(&pool, 100, bucket)).collect() };
        let (a, b) = (fill("a"), fill("b"));
        assert_eq!((a.len(), b.len()), (6, 5));
        // The decision does not depend on the cost of the account's own hash.
        for memory_kib in [10, 100, 5000] {
            assert!(enqueue(&pool, memory_kib, "a").is_none(), "{memory_kib}");
        }
        // A new bucket has room.
        assert!(enqueue(&pool, 100, "c").is_some());
        drop((a, b, finish));
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn panic_fails_one_hash_only() {
        let pool = pool(1, 1000, LONG);
        let hash = pool.run(argon2(100), "", pending(), |_| panic!("a bug"));
        assert!(hash.await.is_err());
        let hash = pool.run(argon2(100), "", pending(), |_| 7);
        assert_eq!(hash.await, Ok(Some(7)));
    }
}
