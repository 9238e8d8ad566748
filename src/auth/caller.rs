//! Who asks, as far as obtain and refresh care.

use tokio::sync::watch;

/// A client that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Closed when the client has gone; none is one that does not go.
    presence: Option<watch::Receiver<()>>,
}

/// A client waits as long as this is kept.
#[derive(Debug)]
pub struct Presence {
    _sender: watch::Sender<()>,
}

impl Caller {
    /// A client that waits, and what to drop when it does not any more.
    #[must_use]
    pub fn waiting() -> (Presence, Self) {
        let (sender, receiver) = watch::channel(());
        let caller = Self {
            presence: Some(receiver),
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
