//! The address that a request comes from.
//!
//! 1. It is the one that the proxy itself takes for the client's (`source.address`): the connection
//!    manager's `use_remote_address` and `xff_num_trusted_hops` are heeded.
//! 2. `trusted_hops` goes so many addresses further along `x-forwarded-for`, from its right, beyond
//!    that one. Where the header has fewer, or one that is no address, the request did not come
//!    through them all: what the proxy says counts.
//! 3. An IPv4 address in an IPv6 one (`::ffff:192.0.2.1`) is an IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use shared::view::Request;

use crate::config::Address;

/// The part of the address that counts; `None` where the connection has none.
pub(crate) fn of(reading: Address, request: &Request<'_>) -> Option<Vec<u8>> {
    let text = request.property(&["source", "address"])?;
    let source = parse(&text)?;
    let address = match reading.trusted_hops.0 {
        0 => source,
        // What the proxy has found in the header itself has no port.
        hops => beyond(source, text.ends_with(b":0"), hops, request).unwrap_or(source),
    };
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(reading.ipv4_prefix.0.into()));
            let bits = address.to_bits() & mask.unwrap_or_default();
            Ipv4Addr::from_bits(bits).octets().to_vec()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(reading.ipv6_prefix.0.into()));
            let bits = address.to_bits() & mask.unwrap_or_default();
            Ipv6Addr::from_bits(bits).octets().to_vec()
        }
    })
}

/// The address so many hops beyond the one that the proxy takes for the client's: its peer, or, where
/// it `counts` hops itself, an address of the header.
fn beyond(source: IpAddr, counts: bool, hops: usize, request: &Request<'_>) -> Option<IpAddr> {
    let headers = request.headers();
    let lines: Vec<_> = headers.all("x-forwarded-for").collect();
    let joined = lines.join(&b","[..]);
    let mut passed = joined.rsplit(|byte| *byte == b',').map(parse);
    // An address of the header is where it stands. A peer may have been written down last, and
    // nowhere else: further left anybody may have written its address.
    let mut address = passed.next()?;
    while counts && address != Some(source) {
        address = passed.next()?;
    }
    let is_there = usize::from(address == Some(source));
    for _ in 1..hops.saturating_add(is_there) {
        address?;
        address = passed.next()?;
    }
    address
}

/// An address, with a port or without.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = with_port().or_else(|_| bare.parse()).ok()?;
    Some(address.to_canonical())
}
