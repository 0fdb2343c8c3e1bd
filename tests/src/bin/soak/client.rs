//! A client: a request of some class in every so many milliseconds, on a connection that it keeps.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::client::{Connection, Request, Response};

use crate::browser::{Browser, callback};
use crate::classes::{CLASSES, Class, What, turns};
use crate::world::{Target, World};

/// How long a client that goes away waits first.
const WAITS: Duration = Duration::from_millis(2);

struct Client<'a> {
    world: &'a World,
    target: &'a Target,
    to: SocketAddr,
    connection: Option<Connection>,
    browser: Browser,
}

/// Sends a request in every `pause` until it is over.
pub(crate) fn run(world: &World, target: usize, pause: Duration) {
    let target = &world.targets[target];
    let to = target.envoy.address();
    let mut client = Client { world, target, to, connection: None, browser: Browser::default() };
    let (turns, mut next) = (turns(), Instant::now());
    let mut turn = world.numbers.fetch_add(1, Ordering::SeqCst) as usize * 13;
    while !world.over.load(Ordering::SeqCst) {
        client.act(&CLASSES[turns[turn % turns.len()]]);
        turn += 1;
        next += pause;
        match next.checked_duration_since(Instant::now()) {
            Some(left) => sleep(left),
            // Behind: what was missed is not made up for.
            None => next = Instant::now(),
        }
    }
}

impl Client<'_> {
    fn act(&mut self, class: &Class) {
        let number = self.world.numbers.fetch_add(1, Ordering::SeqCst);
        let keys = &self.world.keys;
        match class.what {
            What::One(make) => self.expect(class, make(keys, number), true),
            What::Answered(make) => self.expect(class, make(keys, number), false),
            What::Apart(make) => {
                self.connection = None;
                self.expect(class, make(keys, number), true);
                self.connection = None;
            }
            What::Abandoned(make) => {
                make(keys, number).header("x-class", class.name).abandon(self.to, WAITS);
                // No answer is 0.
                self.target.tally(class, &Response::default(), true, false);
            }
            What::SignIn => {
                self.browser = Browser::default();
                self.browse(class);
            }
            What::Session => self.browse(class),
        }
    }

    fn expect(&mut self, class: &Class, request: Request, goes_on: bool) {
        let Some(answer) = self.send(class, request) else { return };
        let passed = goes_on && answer.status == 200;
        self.target.tally(class, &answer, class.may_get.contains(&answer.status), passed);
    }

    /// Signs in, where there is no session yet, and asks for the application.
    fn browse(&mut self, class: &Class) {
        if self.browser.is_new() {
            let Some(sent) = self.send(class, self.browser.get("/app/")) else { return };
            self.browser.keep(&sent);
            let Some(back) = callback(&sent) else {
                return self.target.tally(class, &sent, false, false);
            };
            let Some(arrived) = self.send(class, self.browser.get(&back)) else { return };
            self.browser.keep(&arrived);
            if arrived.status != 303 {
                return self.target.tally(class, &arrived, false, false);
            }
        }
        let Some(answer) = self.send(class, self.browser.get("/app/")) else { return };
        self.browser.keep(&answer);
        let is_right = class.may_get.contains(&answer.status);
        self.target.tally(class, &answer, is_right, answer.status == 200);
        if !is_right {
            self.browser = Browser::default();
        }
    }

    /// The answer; where the connection breaks, that is a wrong answer.
    fn send(&mut self, class: &Class, request: Request) -> Option<Response> {
        let request = request.header("x-class", class.name);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.to).ok()?,
        };
        match connection.send(&request) {
            Ok(answer) => {
                if answer.header("connection").as_deref() != Some("close") {
                    self.connection = Some(connection);
                }
                Some(answer)
            }
            Err(error) => {
                self.target.broken(class, &error.to_string());
                None
            }
        }
    }
}
