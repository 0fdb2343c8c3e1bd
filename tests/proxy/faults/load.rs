//! A load of classes of requests, every answer kept; and what it has to have been.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::client::{Connection, Request};
use tests::upstream::Upstream;

/// How many requests a client sends on a connection, which is one worker's.
const ON_A_CONNECTION: u64 = 10;
/// What a client does between two requests: nothing.
const PAUSE: Duration = Duration::from_millis(15);

/// Requests that get the same answer in good times, from a client of their own.
pub(super) struct Class<N> {
    pub(super) name: &'static str,
    /// What may be broken for its answer to be another.
    pub(super) needs: Option<N>,
    /// The status in good times.
    pub(super) good: u16,
    /// What it may be besides while that is broken.
    pub(super) broken: &'static [u16],
    pub(super) request: Box<dyn Fn(u64) -> Request + Send + Sync>,
}

/// One that needs nothing that breaks.
pub(super) fn class<N>(
    name: &'static str,
    good: u16,
    request: impl Fn(u64) -> Request + Send + Sync + 'static,
) -> Class<N> {
    Class { name, needs: None, good, broken: &[], request: Box::new(request) }
}

/// A time in which something was broken.
#[derive(Clone, Debug)]
pub(super) struct Window<N> {
    pub(super) what: N,
    /// What was done to it.
    pub(super) how: String,
    pub(super) from: Instant,
    pub(super) to: Instant,
    /// How long after that it may be felt.
    pub(super) bound: Duration,
    /// Whether a class that needs it has to have felt it.
    pub(super) is_felt: bool,
    /// Whether the answer to a request that was let through may be lost by it.
    pub(super) loses_answers: bool,
}

/// An answer; its status is 0 where the connection broke.
#[derive(Clone, Copy, Debug)]
struct Seen {
    began: Instant,
    ended: Instant,
    status: u16,
}

/// All classes at work.
pub(super) struct Load<N> {
    classes: Vec<Class<N>>,
    seen: Vec<Mutex<Vec<Seen>>>,
    number: AtomicU64,
    over: AtomicBool,
}

impl<N: Copy + PartialEq + Debug + Send + Sync> Load<N> {
    pub(super) fn new(classes: Vec<Class<N>>) -> Self {
        let seen = classes.iter().map(|_| Mutex::default()).collect();
        Self { classes, seen, number: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// Sends requests of all classes while `during` runs.
    pub(super) fn run<T>(&self, to: SocketAddr, during: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            for (class, seen) in self.classes.iter().zip(&self.seen) {
                scope.spawn(|| self.send(to, class, seen));
            }
            let _ending = Ending(&self.over);
            during()
        })
    }

    fn send(&self, to: SocketAddr, class: &Class<N>, seen: &Mutex<Vec<Seen>>) {
        let mut connection = None;
        for sent in 0_u64.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            if sent.is_multiple_of(ON_A_CONNECTION) {
                connection = None;
            }
            let request = (class.request)(self.number.fetch_add(1, Ordering::SeqCst));
            let request = request.header("x-class", class.name);
            let began = Instant::now();
            let answer = match connection.take() {
                Some(known) => Ok(known),
                None => Connection::open(to),
            }
            .and_then(|mut known: Connection| Ok((known.send(&request)?, known)));
            let status = match answer {
                Ok((answer, known)) => {
                    connection = Some(known);
                    answer.status
                }
                Err(_) => 0,
            };
            seen.lock().unwrap().push(Seen { began, ended: Instant::now(), status });
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the last answers of all classes that need it were those of good times, as many of each as
    /// a few workers give; as long as the bound says, at most.
    pub(super) fn recover(&self, what: N, since: Instant, bound: Duration) {
        let is_well = |(class, seen): (&Class<N>, &Mutex<Vec<Seen>>)| {
            let seen = seen.lock().unwrap();
            let mut last = seen.iter().rev().take_while(|seen| seen.began > since).take(20);
            class.needs != Some(what)
                || last.clone().count() == 20 && last.all(|seen| seen.status == class.good)
        };
        while since.elapsed() < bound && !self.classes.iter().zip(&self.seen).all(is_well) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// That every answer was right, and came from where it should. `windows` are all that was broken.
    #[track_caller]
    pub(super) fn check(&self, windows: &[Window<N>], upstream: &Upstream) {
        let arrived = arrived(upstream);
        for (class, seen) in self.classes.iter().zip(&self.seen) {
            let seen = seen.lock().unwrap();
            let of: Vec<_> =
                windows.iter().filter(|window| class.needs == Some(window.what)).collect();
            for one in seen.iter() {
                let felt = |window: &&&Window<N>| {
                    one.ended >= window.from && one.began <= window.to + window.bound
                };
                let is_right = one.status == class.good
                    || of.iter().any(|window| felt(&window)) && class.broken.contains(&one.status);
                assert!(is_right, "{}: {}", class.name, story(one, windows));
            }
            for window in of.iter().filter(|window| window.is_felt && !class.broken.is_empty()) {
                let felt = seen.iter().any(|one| {
                    one.status != class.good && one.ended >= window.from && one.began <= window.to
                });
                assert!(felt, "{} did not feel {}", class.name, window.how);
            }
            let good = seen.iter().filter(|one| one.status == 200).count();
            let lost = seen.iter().filter(|one| class.broken.contains(&one.status)).count();
            let lost = if of.iter().any(|window| window.loses_answers) { lost } else { 0 };
            let here = arrived.get(class.name).copied().unwrap_or_default();
            let told = format!("{}: {here} came, {good} were let through", class.name);
            assert!((good..=good + lost).contains(&here), "{told}, {lost} may be lost");
            assert!(class.good != 200 || good >= 3, "{}: {good}", class.name);
            assert!(class.good == 200 || here == 0, "{}: {here} were let through", class.name);
        }
    }

    /// How often each class got each status, for whoever wants to see it.
    #[allow(clippy::print_stdout, reason = "a test's own output, shown where it fails")]
    pub(super) fn show(&self, workers: u32) {
        println!("{workers} workers");
        for (class, seen) in self.classes.iter().zip(&self.seen) {
            let mut statuses = BTreeMap::<u16, usize>::new();
            for one in seen.lock().unwrap().iter() {
                *statuses.entry(one.status).or_default() += 1;
            }
            println!("{:32} {statuses:?}", class.name);
        }
    }
}

/// How many requests of each class an upstream got.
fn arrived(upstream: &Upstream) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for request in upstream.received() {
        *arrived.entry(request.header("x-class").unwrap_or_default()).or_default() += 1;
    }
    arrived
}

/// What an answer was, and when.
fn story<N: Debug>(one: &Seen, windows: &[Window<N>]) -> String {
    let mut story = format!("{} after {:?}", one.status, one.ended - one.began);
    let last = windows.iter().rev().find(|window| window.from <= one.ended);
    if let Some(window) = last {
        story.push_str(&format!(
            ", begun {:?} after {:?} was broken ({}), {:?} after it was mended; it may be felt for {:?}",
            one.began.saturating_duration_since(window.from),
            window.what,
            window.how,
            one.began.saturating_duration_since(window.to),
            window.bound,
        ));
    }
    story
}

/// Ends a load where its test ends, in whatever way.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
