//! Who asks, as far as obtain and refresh care.

use std::{fmt::Debug, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;

/// A client that may not wait for its answer.
pub trait Presence: Debug + Send + Sync {
    /// Done when the client seems to have gone. One that has only finished sending may look the same.
    fn left(&self) -> BoxFuture<'_, ()>;
}

/// A client that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// None is one that does not go.
    presence: Option<Arc<dyn Presence>>,
    /// Where it is, if that is known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A client at this address that waits however long it takes.
    #[must_use]
    pub const fn at(address: IpAddr) -> Self {
        Self {
            presence: None,
            address: Some(address),
        }
    }

    /// A client that waits as long as it is present; at this address, unless it came by a Unix socket.
    #[must_use]
    pub fn waiting(address: Option<IpAddr>, presence: Arc<dyn Presence>) -> Self {
        Self {
            presence: Some(presence),
            address,
        }
    }

    /// Done when the client seems to have gone.
    pub(super) async fn left(&self) {
        match &self.presence {
            Some(presence) => presence.left().await,
            None => std::future::pending().await,
        }
    }
}
