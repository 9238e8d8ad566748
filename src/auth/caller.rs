//! Who asks, as far as obtain and refresh care.

use std::net::IpAddr;

use tokio::sync::watch;

/// A client that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Closed when the client has gone; none is one that does not go.
    presence: Option<watch::Receiver<()>>,
    /// Where it is, if that is known.
    pub address: Option<IpAddr>,
}

/// A client waits as long as this is kept.
#[derive(Debug)]
pub struct Presence {
    _sender: watch::Sender<()>,
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

    /// A client at this address that waits, and what to drop when it does not any more.
    #[must_use]
    pub fn waiting(address: IpAddr) -> (Presence, Self) {
        let (sender, receiver) = watch::channel(());
        let caller = Self {
            presence: Some(receiver),
            address: Some(address),
        };
        (Presence { _sender: sender }, caller)
    }

    /// Done when the client has gone.
    pub async fn left(&self) {
        match self.presence.clone() {
            Some(mut presence) => while presence.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}
