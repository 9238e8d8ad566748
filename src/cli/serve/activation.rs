//! Listening sockets that systemd opened for this process (`sd_listen_fds(3)`).

use std::{io, os::fd::AsFd};

use listenfd::ListenFd;
use rustix::net::{getpeername, sockopt};
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use crate::{config::Environment, server::Listener};

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
                "a socket of systemd is not served: name it in SIGNET_LISTEN or SIGNET_ADMIN_LISTEN, as systemd:NAME"
            );
        }
    }

    /// Returns the socket with this name, or the first socket without a name.
    pub(super) fn take(&mut self, name: Option<&str>) -> Result<Listener, String> {
        let matches = |index: &usize| name.is_none_or(|name| self.names[*index] == name);
        let mut matching = (0..self.names.len()).filter(matches);
        let index = matching.next().ok_or_else(|| {
            format!(
                "systemd passed no such socket, but [{}]: add a .socket unit, and set the name with FileDescriptorName=",
                self.names.join(", ")
            )
        })?;
        if name.is_some() && matching.next().is_some() {
            return Err("systemd passed more than one of this name: use one socket, such as ListenStream=[::]:443 for IPv4 and IPv6".to_owned());
        }
        self.used.push(index);
        self.open(index).map_err(|error| {
            format!("the socket is not a listening stream socket, or another setting uses the socket: {error}")
        })
    }

    fn open(&mut self, index: usize) -> io::Result<Listener> {
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
            check_listening(&listener)?;
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener).map(Listener::from);
        }
        match self.sockets.take_unix_listener(index)? {
            Some(listener) => {
                check_listening(&listener)?;
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Listener::from)
            }
            None => Err(io::ErrorKind::AddrInUse.into()),
        }
    }
}

/// Rejects a socket that is not listening: every accept would fail.
fn check_listening(socket: &impl AsFd) -> io::Result<()> {
    if sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::other(if getpeername(socket).is_ok() {
        "the socket is connected; set Accept=no in the .socket unit"
    } else {
        "the socket is not listening; use ListenStream= in a .socket unit"
    }))
}
