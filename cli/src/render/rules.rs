//! What a file has to be beyond its types: nothing that Envoy would refuse, and nothing that nobody can mean.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use shared::config::Invalid;

use super::{File, Limits, Timeouts};

impl File {
    /// What is wrong with it, apart from its filters.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || !self.name.bytes().all(label) {
            return Err(Invalid::at("name", "is lower-case letters, digits and `-`"));
        }
        // A tag as registries have it (OCI Distribution 1.1, "Pulling manifests").
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let version = self.version.as_str();
        if version.starts_with(['.', '-'])
            || !(1..=128).contains(&version.len())
            || !version.bytes().all(letter)
        {
            return Err(Invalid::at("version", "is a tag of an image, such as `0.1.0`"));
        }
        if self.listeners.is_empty() || self.upstreams.is_empty() {
            return Err(Invalid::at("", "`listeners` and `upstreams` are not empty"));
        }
        self.check_times()?;
        self.limits.check()?;
        names("listeners", self.listeners.iter().map(|listener| listener.name.as_str()))?;
        names("upstreams", self.upstreams.iter().map(|upstream| upstream.name.as_str()))?;
        self.check_routes()?;
        self.check_upstreams()?;
        self.check_listeners()
    }

    /// Envoy takes seconds alone.
    fn check_times(&self) -> Result<(), Invalid> {
        let Timeouts { request_headers, request, response, idle, drain } = &self.timeouts;
        let named = [
            ("request_headers", request_headers),
            ("request", request),
            ("response", response),
            ("idle", idle),
            ("drain", drain),
        ];
        let named = named.map(|(name, time)| (format!("timeouts.{name}"), time));
        let routes = self.routes.iter().enumerate();
        let of_routes = routes.filter_map(|(index, route)| {
            Some((format!("routes[{index}].timeout"), route.timeout.as_ref()?))
        });
        for (place, time) in named.into_iter().chain(of_routes) {
            let number = time.strip_suffix('s').unwrap_or_default();
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || number.parse::<u32>().is_err() {
                let why = format!("`{time}` is not a number of seconds such as `30s`");
                return Err(Invalid::at(place, why));
            }
        }
        Ok(())
    }

    fn check_routes(&self) -> Result<(), Invalid> {
        for (index, route) in self.routes.iter().enumerate() {
            if self.upstreams.iter().all(|upstream| upstream.name != route.upstream) {
                return Err(Invalid::at(
                    format!("routes[{index}].upstream"),
                    format!("there is no upstream `{}`", route.upstream),
                ));
            }
            if !route.prefix.starts_with('/') {
                return Err(Invalid::at(format!("routes[{index}].prefix"), "begins with `/`"));
            }
        }
        Ok(())
    }

    fn check_upstreams(&self) -> Result<(), Invalid> {
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let within = |why: Invalid| why.within(&format!("upstreams[{index}]"));
            check_host(&upstream.address).map_err(|why| within(why.within("address")))?;
            let is_path = |path: &String| {
                path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if !upstream.health.as_ref().is_none_or(is_path) {
                let why = "is a path of printable ASCII, such as `/livez`";
                return Err(within(Invalid::at("health", why)));
            }
        }
        Ok(())
    }

    fn check_listeners(&self) -> Result<(), Invalid> {
        let mut taken: Vec<SocketAddr> = Vec::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            let within = |why: Invalid| why.within(&format!("listeners[{index}]"));
            let address = free(&listener.address, &taken);
            taken.push(address.map_err(|why| within(why.within("address")))?);
            let wrong = |why| Err(within(Invalid::at("redirect", why)));
            match (listener.redirect, &listener.tls) {
                (Some(_), Some(_)) => return wrong("is for a listener without `tls`"),
                (Some(0), None) => return wrong("is a port, such as 443"),
                _ => {}
            }
        }
        free(&self.admin, &taken).map_err(|why| why.within("admin")).map(drop)
    }
}

impl Limits {
    /// As Envoy bounds them.
    fn check(&self) -> Result<(), Invalid> {
        let Self { headers_kb, headers, connections } = *self;
        let bounds: [(_, _, RangeInclusive<u32>); 3] = [
            ("headers_kb", headers_kb, 1..=8192),
            ("headers", headers, 1..=u32::MAX),
            ("connections", connections, 1..=u32::MAX),
        ];
        match bounds.into_iter().find(|(_, value, bounds)| !bounds.contains(value)) {
            None => Ok(()),
            Some((name, _, bounds)) => {
                let (least, most) = bounds.into_inner();
                let why = match most {
                    u32::MAX => format!("is at least {least}"),
                    most => format!("is {least} to {most}"),
                };
                Err(Invalid::at(format!("limits.{name}"), why))
            }
        }
    }
}

/// Each has a name, and one of its own.
fn names<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let mut seen = Vec::new();
    for (index, name) in names.enumerate() {
        let wrong = |why: String| Err(Invalid::at(format!("{list}[{index}].name"), why));
        if name.is_empty() {
            return wrong("is empty".to_owned());
        }
        if let Some(other) = seen.iter().position(|other| *other == name) {
            return wrong(format!("is that of {list}[{other}]"));
        }
        seen.push(name);
    }
    Ok(())
}

/// Where something listens and nothing else does.
fn free(text: &str, taken: &[SocketAddr]) -> Result<SocketAddr, Invalid> {
    let (host, port) = address(text)?;
    let ip = host.parse::<IpAddr>().map_err(|_| {
        Invalid::at("", format!("`{host}` is no address to listen at, such as `127.0.0.1`"))
    })?;
    // One that Envoy chooses is nobody's.
    let overlaps = |other: &SocketAddr| {
        let is_any = ip.is_unspecified() || other.ip().is_unspecified();
        let is_same = ip.is_ipv4() == other.is_ipv4() && (is_any || ip == other.ip());
        port != 0 && port == other.port() && is_same
    };
    match taken.iter().position(overlaps) {
        None => Ok(SocketAddr::new(ip, port)),
        Some(index) => Err(Invalid::at("", format!("is taken by listeners[{index}]"))),
    }
}

/// Where something can be asked.
fn check_host(text: &str) -> Result<(), Invalid> {
    let (host, port) = address(text)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if host.parse::<IpAddr>().is_err() && !host.bytes().all(letter) {
        return Err(Invalid::at("", format!("`{host}` is no name of a host and no address")));
    }
    match port {
        0 => Err(Invalid::at("", "0 is no port that can be asked")),
        _ => Ok(()),
    }
}

/// Host and port.
pub(super) fn address(text: &str) -> Result<(&str, u16), Invalid> {
    if text.contains('@') {
        // A password may be behind it.
        return Err(Invalid::at("", "is not `host:port`: a user is none of either"));
    }
    let wrong = || Invalid::at("", format!("`{text}` is not `host:port`"));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if inner.is_none() && host.contains(':') {
        return Err(wrong());
    }
    let port = port.parse().map_err(|_| wrong())?;
    match inner.unwrap_or(host) {
        "" => Err(wrong()),
        host => Ok((host, port)),
    }
}
