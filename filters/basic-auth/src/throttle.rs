//! Wrong attempts, counted over all workers in fixed memory.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use shared::store::Store;
use shared::tally::Tally;
use shared::time::Timestamp;
use shared::view::Request;

use crate::No;
use crate::config::{ThrottleBy, ThrottleConfig};

/// Counts attempts, and says when there were too many.
pub(crate) struct Throttle {
    tally: Tally,
    failures: u32,
    by: ThrottleBy,
}

/// An attempt that has been counted before it is known how it ends, so that parallel ones cannot
/// slip through together.
pub(crate) struct Attempt<'a> {
    tally: &'a Tally,
    store: Store<'a>,
    key: Vec<u8>,
    now: Timestamp,
}

impl Throttle {
    pub(crate) fn new(slots: &str, secret: [u8; 16], config: &ThrottleConfig) -> Self {
        let tally = Tally::new(&format!("{slots}/failures"), config.window.duration(), secret);
        Self { tally, failures: config.failures.get(), by: config.by }
    }

    /// Counts an attempt for the user of this name.
    pub(crate) fn attempt<'a>(
        &'a self,
        name: &[u8],
        request: &Request<'a>,
    ) -> Result<Attempt<'a>, No> {
        let key = self.key(name, request);
        let (store, now) = (request.store(), request.now());
        let count = self.tally.add(store, &key, now).map_err(|_| No::Uncounted)?;
        if count.events > self.failures {
            return Err(No::Throttled { wait: count.ends_in });
        }
        Ok(Attempt { tally: &self.tally, store, key, now })
    }

    fn key(&self, name: &[u8], request: &Request<'_>) -> Vec<u8> {
        let address = || client(request);
        match self.by {
            ThrottleBy::Address => [b"a:", address().as_slice()].concat(),
            ThrottleBy::User => [b"u:", name].concat(),
            ThrottleBy::AddressAndUser => [b"b:", address().as_slice(), b":", name].concat(),
        }
    }
}

impl Attempt<'_> {
    /// It was not a wrong one.
    pub(crate) fn succeeded(&self) {
        // Should the count not change, one right attempt counts as a wrong one until the window ends.
        let _ = self.tally.take_back(self.store, &self.key, self.now);
    }
}

/// The client's address without its port; the first 64 bits of one of IPv6, which is what a
/// subscriber gets. All clients share one where the proxy does not say.
pub(crate) fn client(request: &Request<'_>) -> Vec<u8> {
    network(request.property(&["source", "address"]).as_deref())
}

fn network(address: Option<&[u8]>) -> Vec<u8> {
    let text = address.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let ip = text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse());
    match ip.map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.octets().to_vec(),
        Ok(IpAddr::V6(ip)) => {
            let network = ip.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).octets().to_vec()
        }
        Err(_) => text.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn a_client_is_its_address_without_the_port() {
        assert_eq!(network(Some(b"10.0.0.1:1234")), network(Some(b"10.0.0.1:5678")));
        assert_ne!(network(Some(b"10.0.0.1:1234")), network(Some(b"10.0.0.2:1234")));
        assert_eq!(network(Some(b"[::ffff:10.0.0.1]:1")), network(Some(b"10.0.0.1:1")));
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        assert_eq!(network(Some(b"[2001:db8::1]:1")), network(Some(b"[2001:db8::2:3]:1")));
        assert_ne!(network(Some(b"[2001:db8::1]:1")), network(Some(b"[2001:db8:0:1::1]:1")));
    }
}
