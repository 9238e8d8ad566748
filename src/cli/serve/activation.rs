//! Listening sockets that systemd opened for this process (`sd_listen_fds(3)`).

use std::{io, os::fd::AsFd};

use listenfd::ListenFd;
use rustix::net::{getpeername, sockopt};
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use crate::{cli::error::CliError, config::Environment, server::Listener};

pub(in crate::cli) struct ActivationSockets {
    sockets: ListenFd,
    /// The name of each socket.
    names: Vec<String>,
    /// Indexes of the sockets that a setting names.
    used: Vec<usize>,
}

impl ActivationSockets {
    /// Reads the sockets from the environment. Call this before the process starts threads: it changes the environment.
    pub(in crate::cli) fn new(environment: &Environment) -> Self {
        let sockets = ListenFd::from_env();
        let names = environment.get("LISTEN_FDNAMES").cloned().flatten();
        let names = names.iter().flat_map(|names| names.split(':'));
        // Without FileDescriptorName=, systemd may omit the names.
        let names = names
            .map(str::to_owned)
            .chain(std::iter::repeat_with(|| "unknown".to_owned()));
        Self {
            names: names.take(sockets.len()).collect(),
            sockets,
            used: Vec::new(),
        }
    }

    /// Warns of sockets that no setting names: clients can connect to them, but get no response.
    pub(super) fn warn_of_unused(&self) {
        let unused = (0..self.names.len()).filter(|index| !self.used.contains(index));
        for name in unused.map(|index| &self.names[index]) {
            warn!(
                name,
                hint = "set SIGNET_LISTEN or SIGNET_ADMIN_LISTEN to systemd:NAME",
                "a socket of systemd is unused"
            );
        }
    }

    /// Returns the socket with this name, or the first socket without a name.
    pub(super) fn take(&mut self, name: Option<&str>) -> Result<Listener, CliError> {
        let matches = |index: &usize| name.is_none_or(|name| self.names[*index] == name);
        let mut matching = (0..self.names.len()).filter(matches);
        let index = matching.next().ok_or_else(|| {
            CliError::from(format!(
                "systemd passed no socket with this name; the names are [{}]",
                self.names.join(", ")
            ))
            .hint("add a .socket unit, and set the name with FileDescriptorName=")
        })?;
        if name.is_some() && matching.next().is_some() {
            return Err(
                CliError::from("systemd passed several sockets with this name")
                    .hint("use one socket, such as ListenStream=[::]:443 for IPv4 and IPv6"),
            );
        }
        self.used.push(index);
        self.open(index)?.ok_or_else(|| {
            CliError::from("the socket is not a stream socket, or another setting uses the socket")
        })
    }

    /// Returns `None` if the socket is not a stream socket, or was already taken.
    fn open(&mut self, index: usize) -> Result<Option<Listener>, CliError> {
        let failed = |error: io::Error| CliError::from(error.to_string());
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
            check_listening(&listener)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            return Ok(Some(listener.into()));
        }
        let Some(listener) = self.sockets.take_unix_listener(index).map_err(failed)? else {
            return Ok(None);
        };
        check_listening(&listener)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Some(listener.into()))
    }
}

/// Rejects a socket that is not listening: every accept would fail.
fn check_listening(socket: &impl AsFd) -> Result<(), CliError> {
    match sockopt::socket_acceptconn(socket) {
        Ok(true) => Ok(()),
        Ok(false) if getpeername(socket).is_ok() => {
            let error = CliError::from("the socket is a connection");
            Err(error.hint("set Accept=no in the .socket unit"))
        }
        Ok(false) => {
            let error = CliError::from("the socket is not listening");
            Err(error.hint("use ListenStream= in the .socket unit"))
        }
        Err(error) => Err(error.to_string().into()),
    }
}
