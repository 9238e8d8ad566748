//! Who asks, as far as obtain and refresh care.

use std::{fmt::Debug, net::IpAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

/// A client that may not wait for its answer.
pub trait DisconnectWatcher: Debug + Send + Sync {
    /// Completes when the client resets the connection, or `grace` after the client finished sending. A client that finished
    /// sending may have gone, or may still wait for the answer.
    fn left(&self, grace: Duration) -> BoxFuture<'_, ()>;
}

/// A client that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// None is one that does not go.
    presence: Option<Arc<dyn DisconnectWatcher>>,
    /// Its address, if that is known. An IPv4-mapped address is stored as IPv4.
    pub address: Option<IpAddr>,
}

impl ClientInfo {
    /// A client at this address that waits however long it takes.
    #[must_use]
    pub const fn at(address: IpAddr) -> Self {
        Self {
            presence: None,
            address: Some(address.to_canonical()),
        }
    }

    /// A client that waits as long as it is present; at this address, unless it came by a Unix socket.
    #[must_use]
    pub fn waiting(address: Option<IpAddr>, presence: Arc<dyn DisconnectWatcher>) -> Self {
        Self {
            presence: Some(presence),
            address: address.map(|address| address.to_canonical()),
        }
    }

    /// Completes when the client seems to have gone: see [`DisconnectWatcher::left`].
    pub(super) async fn left(&self, grace: Duration) {
        match &self.presence {
            Some(presence) => presence.left(grace).await,
            None => std::future::pending().await,
        }
    }
}
