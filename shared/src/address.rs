//! Addresses of clients, and the networks that a configuration names.
//!
//! 1. A client's address is the proxy's `source.address`: of whoever connected, or, where the proxy is
//!    set to believe `x-forwarded-for`, of whom that names.
//! 2. An IPv4 address that is written as an IPv6 one (`::ffff:10.0.0.1`) is the IPv4 address.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};

use crate::view::Request;

/// The address of the client; `None` where it is none of IP, such as that of a Unix socket.
pub fn of_client(request: &Request<'_>) -> Option<IpAddr> {
    let text = request.property(&["source", "address"])?;
    let text = std::str::from_utf8(&text).ok()?;
    let address = text.parse::<SocketAddr>().map(|address| address.ip());
    Some(address.or_else(|_| text.parse()).ok()?.to_canonical())
}

/// A network such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                D::Error::custom(format!("`{text}` is not a network such as `10.0.0.0/8`"))
            })?,
        };
        if network.trunc() != network {
            let meant = network.trunc();
            return Err(D::Error::custom(format!(
                "`{text}` has bits behind its prefix; `{meant}` has none"
            )));
        }
        Ok(Self(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Proxy;
    use serde_json::{from_value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn client(source: &str) -> Option<IpAddr> {
        let proxy = Proxy::default();
        proxy.set_property(&["source", "address"], source.as_bytes());
        of_client(&Request::new(&proxy))
    }

    #[test]
    fn an_address_comes_with_its_port_or_without() {
        for (source, address) in [
            ("10.1.2.3:4567", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[::ffff:10.1.2.3]:80", "10.1.2.3"),
        ] {
            assert_eq!(client(source).unwrap().to_string(), address);
        }
        for source in ["", "/tmp/socket", "10.1.2", "\u{fffd}"] {
            assert_eq!(client(source), None, "{source}");
        }
    }

    #[test]
    fn a_network_holds_what_lies_in_it() {
        let holds = |network: &str, address: &str| {
            let network: Network = from_value(json!(network)).unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.7", "::ffff:10.0.0.7") && !holds("10.0.0.7", "10.0.0.8"));
        assert!(holds("2001:db8::/32", "2001:db8::1") && !holds("2001:db8::/32", "10.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0/33", "10.0.0.1/8", "x", "", "10.0.0.0/", "2001:db8::1/32"] {
            assert!(from_value::<Network>(json!(text)).is_err(), "{text}");
        }
    }
}
