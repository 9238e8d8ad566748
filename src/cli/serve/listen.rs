//! Binds the addresses of the settings.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use tokio::net::{TcpSocket, UnixSocket};

use super::{activation::ActivationSockets, socket_file::SocketFile};
use crate::{
    cli::error::CliError,
    config::{Listen, SocketMode},
    server::Listener,
};

/// How many connections the kernel establishes before the service accepts them. The kernel may lower this limit.
const BACKLOG: u32 = 1024;

/// An address that is bound, but does not accept connections yet.
pub(super) struct BoundSocket {
    socket: Socket,
    /// The beginning of error messages.
    context: String,
    file: Option<SocketFile>,
}

enum Socket {
    Tcp(TcpSocket),
    Unix(UnixSocket),
    /// A socket of systemd, which accepts connections already.
    Listening(Listener),
}

impl BoundSocket {
    pub(super) fn bind(
        listen: &Listen,
        mode: SocketMode,
        activation: &mut ActivationSockets,
        setting: &str,
    ) -> Result<Self, CliError> {
        let context = format!("cannot listen on {listen} ({setting})");
        let failed = |error| {
            let hint = hint(&error, listen);
            CliError::from(format!("{context}: {error}")).hint(hint)
        };
        let (socket, file) = match listen {
            Listen::Tcp(address) => (Socket::Tcp(bind_tcp(*address).map_err(failed)?), None),
            Listen::Unix(path) => {
                let (socket, file) = bind_unix(path, mode).map_err(failed)?;
                (Socket::Unix(socket), Some(file))
            }
            Listen::Systemd(name) => {
                let listener = activation.take(name.as_deref());
                let listener = listener.map_err(|error| error.in_context(&context))?;
                (Socket::Listening(listener), None)
            }
        };
        Ok(Self {
            socket,
            context,
            file,
        })
    }

    /// Starts to accept connections. The file is removed when the returned [`SocketFile`] is dropped.
    pub(super) fn listen(self) -> Result<(Listener, Option<SocketFile>), CliError> {
        let listener = match self.socket {
            Socket::Tcp(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Unix(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Listening(listener) => Ok(listener),
        };
        let listener = listener.map_err(|error| format!("{}: {error}", self.context))?;
        Ok((listener, self.file))
    }
}

/// Returns how to avoid an error.
fn hint(error: &io::Error, listen: &Listen) -> &'static str {
    let is_privileged =
        matches!(listen, Listen::Tcp(address) if (1..1024).contains(&address.port()));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that listens on this address, or use another address"
        }
        io::ErrorKind::PermissionDenied if is_privileged => {
            "use a port from 1024 on, or systemd:NAME: only root and systemd can bind lower ports"
        }
        io::ErrorKind::NotFound => "create the folder of the socket, or use another address",
        _ => "use another address",
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Binds a path. Replaces the socket of a service that was killed, but not the socket of a running service.
fn bind_unix(path: &Path, mode: SocketMode) -> io::Result<(UnixSocket, SocketFile)> {
    let mut file = SocketFile::lock(path)?;
    match fs::symlink_metadata(path) {
        // Other programs do not use the lock, so the socket itself is checked as well.
        Ok(found) if found.file_type().is_socket() && !is_served(path)? => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(_) => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    file.set_bound();
    // Clients cannot connect before `listen`, so the mode protects the socket from the beginning.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    Ok((socket, file))
}

/// Returns whether a program listens on the socket. Its backlog may be full.
fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => Ok(false),
        _ => Ok(true),
    }
}
