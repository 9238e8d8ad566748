//! The server of the admin API. It starts before the service, and stops after the service, so that health checks see both phases.

use tokio::{sync::oneshot, task::JoinHandle};

use super::{listen::BoundSocket, socket_file::SocketFile};
use crate::{
    cli::error::CliError,
    http::AdminApi,
    server::{self, ConnectionLimits},
};

pub(super) struct AdminServer {
    /// The address, for the log.
    pub(super) addr: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    file: Option<SocketFile>,
}

impl AdminServer {
    /// Starts to accept connections.
    pub(super) fn start(
        socket: BoundSocket,
        admin: &AdminApi,
        limits: ConnectionLimits,
    ) -> Result<Self, CliError> {
        let (listener, file) = socket.listen()?;
        let addr = listener.display_addr();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(server::serve(listener, admin.app(), limits, stopped));
        Ok(Self {
            addr,
            stop,
            task,
            file,
        })
    }

    /// Finishes the requests in flight, and removes the file of a Unix socket.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await;
        drop(self.file);
    }
}
