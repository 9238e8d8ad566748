//! The client of a request.

use std::{fmt::Debug, future::pending, net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

/// Watches the connection of a client.
pub trait DisconnectWatcher: Debug + Send + Sync {
    /// Completes when the client resets the connection, or `grace` after the client finished sending. A client that finished
    /// sending may have left, or may still wait for the response.
    fn disconnected(&self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// The address and the connection of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    watcher: Option<Arc<dyn DisconnectWatcher>>,
    /// The address, unless it is unknown. An IPv4-mapped address is stored as IPv4.
    pub address: Option<IpAddr>,
}

impl ClientInfo {
    /// Returns a client at this address that never disconnects.
    #[must_use]
    pub const fn at(address: IpAddr) -> Self {
        Self {
            watcher: None,
            address: Some(address.to_canonical()),
        }
    }

    /// Returns a client with a watched connection. Clients of a Unix socket have no address.
    #[must_use]
    pub fn watched(address: Option<IpAddr>, watcher: Arc<dyn DisconnectWatcher>) -> Self {
        Self {
            watcher: Some(watcher),
            address: address.map(|address| address.to_canonical()),
        }
    }

    /// Completes when the client seems to have left: see [`DisconnectWatcher::disconnected`].
    pub(super) async fn disconnected(&self, grace: Duration) {
        match &self.watcher {
            Some(watcher) => watcher.disconnected(grace).await,
            None => pending().await,
        }
    }
}
