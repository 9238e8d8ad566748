//! Finds the client's address behind trusted proxies.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};
use tracing::warn;

/// The proxies that the operator trusts, and the header that they set.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// The addresses of the proxies. An IPv6 network that contains `::ffff:0:0/96`, such as `::/0`, contains all IPv4 addresses.
    pub networks: Vec<IpNet>,
    /// Whether every client of a Unix socket is a trusted proxy.
    pub unix: bool,
    /// The header with the client's address. Every other header is ignored.
    pub header: HeaderName,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            unix: false,
            header: HeaderName::from_static("x-forwarded-for"),
        }
    }
}

/// Decides which headers of a request are trusted.
pub(in crate::http) struct TrustedProxies {
    proxies: Proxies,
    warned_of_sender: Once,
    warned_of_missing_header: Once,
}

impl TrustedProxies {
    pub(in crate::http) const fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            warned_of_sender: Once::new(),
            warned_of_missing_header: Once::new(),
        }
    }

    /// Returns whether this peer is a trusted proxy. A peer without an address is connected to a Unix socket.
    pub(in crate::http) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        let Some(address) = peer else {
            return self.proxies.unix;
        };
        let mut networks = self.proxies.networks.iter();
        networks.any(|network| contains(network, address.to_canonical()))
    }

    /// Returns the address nearest to the service that is not a trusted proxy. Each trusted proxy, starting with the peer, is trusted
    /// about the previous hop only.
    pub(in crate::http) fn client_address(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Option<IpAddr> {
        let is_trusted = self.trusts(peer);
        let header = &self.proxies.header;
        if !headers.contains_key(header) {
            if is_trusted && has_standard_header(headers) {
                let hint = "set this header in the proxy, or set SIGNET_CLIENT_IP_HEADER to the header that the proxy sets";
                let message = "a trusted proxy did not send the client address header";
                self.warn(&self.warned_of_missing_header, peer, Some(hint), message);
            }
            return peer;
        }
        if !is_trusted {
            let message =
                "client address header ignored: its sender is not in SIGNET_TRUSTED_PROXIES";
            self.warn(&self.warned_of_sender, peer, None, message);
            return peer;
        }
        let mut client = peer;
        for address in hops(header, headers).into_iter().rev() {
            if address.is_none() {
                break;
            }
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn warn(&self, once: &Once, peer: Option<IpAddr>, hint: Option<&str>, message: &str) {
        once.call_once(|| {
            let peer = peer.map(tracing::field::display);
            let header = self.proxies.header.as_str();
            warn!(peer, header, hint, "{message}");
        });
    }
}

/// Returns whether a network contains a canonical address. An IPv6 network contains the IPv4 addresses whose mapped form it contains.
fn contains(network: &IpNet, address: IpAddr) -> bool {
    match (network, address) {
        (IpNet::V4(network), IpAddr::V4(address)) => network.contains(&address),
        (IpNet::V6(network), IpAddr::V4(address)) => network.contains(&address.to_ipv6_mapped()),
        (IpNet::V6(network), IpAddr::V6(address)) => network.contains(&address),
        (IpNet::V4(_), IpAddr::V6(_)) => false,
    }
}

/// Health checks of a proxy have neither header, and are no reason for a warning.
fn has_standard_header(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for")
}

/// Returns the addresses in a header, the nearest hop last. A hop without a valid address is `None`.
fn hops(header: &HeaderName, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(header).iter().map(HeaderValue::as_bytes);
    let lines = lines.map(String::from_utf8_lossy);
    if *header == FORWARDED {
        return lines.flat_map(|line| forwarded(&line)).collect();
    }
    lines
        .flat_map(|line| {
            let nodes = line.split(',').map(|node| address(node.trim()));
            nodes.collect::<Vec<_>>()
        })
        .collect()
}

/// Parses a line of `Forwarded` (RFC 7239 section 4).
fn forwarded(line: &str) -> Vec<Option<IpAddr>> {
    match outside_quotes(line, ',') {
        Some(elements) => elements.into_iter().map(node).collect(),
        // A quote that a client did not close may enclose the elements that proxies appended.
        None => vec![None],
    }
}

/// Returns the address in the `for` parameter, if the element has exactly one.
fn node(element: &str) -> Option<IpAddr> {
    let pairs = outside_quotes(element, ';')?.into_iter();
    let mut nodes = pairs.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for")
            .then(|| value.trim_matches('"'))
    });
    let node = nodes.next()?;
    nodes.next().is_none().then(|| address(node)).flatten()
}

/// Splits at a character outside quotes: quoted text may be the client's. Returns `None` if a quote is not closed.
fn outside_quotes(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|c| {
            let was_escaped = std::mem::take(&mut escaped);
            match c {
                '"' if !was_escaped => quoted = !quoted,
                '\\' if quoted && !was_escaped => escaped = true,
                _ => {}
            }
            c == at && !quoted
        })
        .collect();
    (!quoted).then_some(parts)
}

/// Parses an address, which may be in brackets or have a port. Returns an IPv4-mapped address as IPv4.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    let socket = || node.parse::<SocketAddr>().map(|socket| socket.ip());
    let address = bare.unwrap_or(node).parse().or_else(|_| socket()).ok();
    address.map(|address: IpAddr| address.to_canonical())
}
