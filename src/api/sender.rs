//! Who sent a request, for the operations that care: whether it still waits, and where it is.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ipnet::IpNet;
use poem::{FromRequest, Request, RequestBody};
use tracing::warn;

use super::Reader;
use crate::auth::Caller;

/// The client behind a request. A request that came over no connection is waited for, from nowhere.
#[derive(Debug)]
pub struct Sender(pub Caller);

/// The proxies that are believed when they say who their client is.
#[derive(Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
    warned: AtomicBool,
}

impl TrustedProxies {
    /// These networks of proxies, and perhaps whoever connects by a Unix socket.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, unix: bool) -> Self {
        Self {
            networks,
            unix,
            warned: AtomicBool::new(false),
        }
    }

    /// Whether what this peer says of others is believed. One without an address came by a Unix socket.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        let Some(address) = peer else {
            return self.unix;
        };
        let address = address.to_canonical();
        let mut networks = self.networks.iter();
        networks.any(|network| network.contains(&address))
    }

    /// The nearest address that is no trusted proxy: from the peer on, each proxy that is trusted is
    /// believed about the one before it, and nobody else is.
    fn client(&self, peer: Option<IpAddr>, request: &Request) -> Option<IpAddr> {
        let told = match (forwarded(request), forwarded_for(request)) {
            (None, None) => return peer,
            (Some(told), None) | (None, Some(told)) if self.trusts(peer) => told,
            // An unknown sender; or two headers, of which one is the client's own, and nobody knows which.
            _ => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let peer = peer.map(tracing::field::display);
                    warn!(
                        peer,
                        "a header that tells of another client is ignored: SIGNET_TRUSTED_PROXIES does not have its sender, or it came beside another such header"
                    );
                }
                return peer;
            }
        };
        let mut client = peer;
        for address in told.into_iter().rev() {
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
}

/// What `X-Forwarded-For` tells, in the order of its lines; none is one that is not an address.
fn forwarded_for(request: &Request) -> Option<Vec<Option<IpAddr>>> {
    let lines = lines(request, "x-forwarded-for")?;
    let nodes = lines.iter().flat_map(|line| line.split(','));
    Some(nodes.map(|node| address(node.trim())).collect())
}

/// What `Forwarded` tells (RFC 7239 section 4). An element that names two, or none, tells nothing.
fn forwarded(request: &Request) -> Option<Vec<Option<IpAddr>>> {
    let lines = lines(request, "forwarded")?;
    let nodes = lines
        .iter()
        .flat_map(|line| match outside_quotes(line, ',') {
            Some(elements) => elements.into_iter().map(node).collect(),
            // Whose quote it is that never ends, nobody knows.
            None => vec![None],
        });
    Some(nodes.collect())
}

/// Whom an element names.
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

/// Splits where `at` stands outside quotes: within them, it is the client's own text. None is a text that
/// ends within them.
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

fn lines(request: &Request, name: &str) -> Option<Vec<String>> {
    let values = request.headers().get_all(name).iter();
    let lines: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    (!lines.is_empty()).then_some(lines)
}

/// An address, perhaps in brackets or with a port.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    let socket = || {
        node.parse::<std::net::SocketAddr>()
            .map(|socket| socket.ip())
    };
    bare.unwrap_or(node).parse().or_else(|_| socket()).ok()
}

impl<'a> FromRequest<'a> for Sender {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let mut caller = request.data::<Caller>().cloned().unwrap_or_default();
        if let Some(reader) = request.data::<Arc<Reader>>() {
            caller.address = reader.proxies.client(caller.address, request);
        }
        Ok(Self(caller))
    }
}
