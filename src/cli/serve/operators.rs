//! The listener of operators, who see the service start, and stop.

use tokio::{sync::oneshot, task::JoinHandle};

use super::listen::{Bound, SocketFile};
use crate::{
    cli::error::CliError,
    http::AdminApi,
    server::{self, ConnectionLimits},
};

pub(super) struct Operators {
    /// Where it listens.
    pub(super) place: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    file: Option<SocketFile>,
}

impl Operators {
    /// Lets them in at once.
    pub(super) fn serve(
        bound: Bound,
        admin: &AdminApi,
        limits: ConnectionLimits,
    ) -> Result<Self, CliError> {
        let (listener, file) = bound.listen()?;
        let place = listener.display_addr();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let served = tokio::spawn(server::serve(listener, admin.app(), limits, stopped));
        Ok(Self {
            place,
            stop,
            served,
            file,
        })
    }

    pub(super) async fn end(self) {
        drop(self.stop);
        let _ = self.served.await;
        drop(self.file);
    }
}
