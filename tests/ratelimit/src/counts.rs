//! The counts, in Redis: all of a request's in one script, so that they are exact whoever else asks.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use limitador::counter::Counter;
use redis::{Client, Connection, Script};

/// Charges all or none. For each: what was used before, and how many milliseconds its window has left.
const SCRIPT: &str = "
    local over = false
    local found = {}
    for i = 1, #KEYS do
        local used = tonumber(redis.call('get', KEYS[i]) or '0')
        table.insert(found, used)
        if used + tonumber(ARGV[3 * i]) > tonumber(ARGV[3 * i - 2]) then over = true end
    end
    for i = 1, #KEYS do
        if not over then
            redis.call('incrby', KEYS[i], ARGV[3 * i])
            redis.call('expire', KEYS[i], ARGV[3 * i - 1], 'NX')
        end
        table.insert(found, redis.call('pttl', KEYS[i]))
    end
    return found";

/// One counter, and what to add to it.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) name: String,
    pub(crate) most: u64,
    /// In seconds.
    pub(crate) window: u64,
    key: String,
    hits: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) over: bool,
    pub(crate) remaining: u64,
    /// Milliseconds.
    pub(crate) reset: i64,
}

/// The connection to Redis, made anew where it broke.
pub(crate) struct Counts {
    client: Client,
    connection: Mutex<Option<Connection>>,
    script: Script,
}

impl Charge {
    pub(crate) fn new(counter: &Counter, hits: u64) -> Self {
        let limit = counter.limit();
        let name = limit.name().unwrap_or_default().to_owned();
        let domain = counter.namespace().as_ref();
        let key = format!("{domain}/{name}/{}/{:?}", limit.seconds(), counter.set_variables());
        Self { name, most: counter.max_value(), window: limit.seconds(), key, hits }
    }
}

impl Counts {
    pub(crate) fn new(redis: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let client = Client::open(format!("redis://{redis}"))?;
        Ok(Self { client, connection: Mutex::default(), script: Script::new(SCRIPT) })
    }

    /// Charges all of these, or none where one would be over.
    pub(crate) fn charge(&self, charges: &[Charge]) -> Result<Vec<Left>, Box<dyn Error>> {
        if charges.is_empty() {
            return Ok(Vec::new());
        }
        let mut held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => self.client.get_connection_with_timeout(Duration::from_secs(1))?,
        };
        let mut call = self.script.prepare_invoke();
        for charge in charges {
            call.key(&charge.key).arg(charge.most).arg(charge.window).arg(charge.hits);
        }
        let found: Vec<i64> = call.invoke(&mut connection)?;
        *held = Some(connection);
        let (used, resets) = found.split_at_checked(charges.len()).ok_or("a short answer")?;
        let used: Vec<_> = used.iter().map(|used| u64::try_from(*used).unwrap_or(0)).collect();
        let is_over = |(charge, used): (&Charge, &u64)| used + charge.hits > charge.most;
        let any = charges.iter().zip(&used).any(is_over);
        let left = charges.iter().zip(&used).zip(resets).map(|((charge, used), reset)| {
            let after = used + if any { 0 } else { charge.hits };
            let remaining = charge.most.saturating_sub(after);
            Left { over: is_over((charge, used)), remaining, reset: (*reset).max(0) }
        });
        Ok(left.collect())
    }
}
