//! Sockets to listen on: opened here, or by systemd.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::{
    cli::Failure,
    config::{Environment, Listen, Mode},
    server::Listener,
};

/// Who has connected and is not served yet, as far as the system allows it.
const BACKLOG: u32 = 1024;

/// The sockets that systemd opened for this process (`sd_listen_fds(3)`).
pub(in crate::cli) struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

impl Inherited {
    /// To be called before there are threads: it takes them out of the environment.
    pub(in crate::cli) fn new(environment: &Environment) -> Self {
        let names = environment.get("LISTEN_FDNAMES").cloned().flatten();
        Self {
            sockets: ListenFd::from_env(),
            names: names
                .iter()
                .flat_map(|names| names.split(':'))
                .map(str::to_owned)
                .collect(),
        }
    }

    fn take(&mut self, name: Option<&str>) -> Result<Listener, String> {
        let at = match name {
            Some(name) => self.names.iter().position(|given| given == name),
            None => Some(0),
        };
        let at = at.filter(|at| *at < self.sockets.len()).ok_or_else(|| {
            format!(
                "systemd gave no such socket, but {} ({}). A .socket unit gives them, and FileDescriptorName= their names",
                self.sockets.len(),
                self.names.join(", ")
            )
        })?;
        self.open(at).map_err(|error| {
            format!("it is no stream socket that listens, or taken already: {error}")
        })
    }

    fn open(&mut self, at: usize) -> io::Result<Listener> {
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(at) {
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener).map(Listener::from);
        }
        match self.sockets.take_unix_listener(at)? {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Listener::from)
            }
            None => Err(io::ErrorKind::AddrInUse.into()),
        }
    }
}

/// A place that is taken, where nobody is let in yet.
pub(super) struct Bound {
    socket: Socket,
    setting: &'static str,
    /// To be removed in the end.
    file: Option<SocketFile>,
}

enum Socket {
    Tcp(TcpSocket),
    Unix(UnixSocket),
    /// Who connects waits in it already.
    Open(Listener),
}

impl Bound {
    pub(super) fn new(
        listen: &Listen,
        mode: Mode,
        inherited: &mut Inherited,
        setting: &'static str,
    ) -> Result<Self, Failure> {
        let failed = |why: String| {
            Failure::from(format!(
                "cannot listen on {listen}: {why}. Stop what listens there, or set {setting}"
            ))
        };
        let (socket, file) = match listen {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() {
                    TcpSocket::new_v4()
                } else {
                    TcpSocket::new_v6()
                };
                let bound = socket.and_then(|socket| {
                    socket.set_reuseaddr(true)?;
                    socket.bind(*address)?;
                    Ok(socket)
                });
                (
                    Socket::Tcp(bound.map_err(|error| failed(error.to_string()))?),
                    None,
                )
            }
            Listen::Unix(path) => {
                let (socket, file) = bind(path, mode).map_err(|error| failed(error.to_string()))?;
                (Socket::Unix(socket), Some(file))
            }
            Listen::Systemd(name) => {
                let taken = inherited.take(name.as_deref());
                let open = taken
                    .map_err(|why| format!("cannot listen on {listen}: {why}, or set {setting}"))?;
                (Socket::Open(open), None)
            }
        };
        Ok(Self {
            socket,
            setting,
            file,
        })
    }

    /// Lets clients in, until both are dropped.
    pub(super) fn listen(self) -> Result<(Listener, Option<SocketFile>), Failure> {
        let listener = match self.socket {
            Socket::Tcp(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Unix(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Open(listener) => Ok(listener),
        };
        let failed = |error| {
            format!(
                "cannot listen: {error}. Stop what listens there, or set {}",
                self.setting
            )
        };
        Ok((listener.map_err(failed)?, self.file))
    }
}

/// Takes a path. What a service that was killed has left there is nobody's.
fn bind(path: &Path, mode: Mode) -> io::Result<(UnixSocket, SocketFile)> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Nobody can have connected yet.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    let inode = fs::symlink_metadata(path)?.ino();
    Ok((
        socket,
        SocketFile {
            path: path.to_owned(),
            inode,
        },
    ))
}

/// The file of a Unix socket, which goes with it: unless another has come in its place.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
