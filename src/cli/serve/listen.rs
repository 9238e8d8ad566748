//! Sockets to listen on: opened here, or by systemd.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::SocketAddr,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use rustix::{
    fs::OFlags,
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, socket_with,
        sockopt,
    },
};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tracing::warn;

use crate::{
    cli::error::CliError,
    config::{Environment, Listen, SocketMode},
    server::Listener,
};

/// Who has connected and is not served yet, as far as the system allows it.
const BACKLOG: u32 = 1024;

/// The sockets that systemd opened for this process (`sd_listen_fds(3)`).
pub(in crate::cli) struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
    used: Vec<usize>,
}

impl Inherited {
    /// To be called before there are threads: it takes them out of the environment.
    pub(in crate::cli) fn new(environment: &Environment) -> Self {
        let sockets = ListenFd::from_env();
        let given = environment.get("LISTEN_FDNAMES").cloned().flatten();
        let given = given.iter().flat_map(|names| names.split(':'));
        // Who named none has left them all without.
        let names = given
            .map(str::to_owned)
            .chain(std::iter::repeat_with(|| "unknown".to_owned()));
        Self {
            names: names.take(sockets.len()).collect(),
            sockets,
            used: Vec::new(),
        }
    }

    /// Whoever connects to one that nobody serves waits without end.
    pub(super) fn warn_of_unused(&self) {
        let unused = (0..self.names.len()).filter(|at| !self.used.contains(at));
        for name in unused.map(|at| &self.names[at]) {
            warn!(
                name,
                "a socket of systemd is not served: name it in SIGNET_LISTEN or SIGNET_ADMIN_LISTEN, as systemd:NAME"
            );
        }
    }

    fn take(&mut self, name: Option<&str>) -> Result<Listener, String> {
        let has_name = |at: &usize| name.is_none_or(|name| self.names[*at] == name);
        let mut named = (0..self.names.len()).filter(has_name);
        let at = named.next().ok_or_else(|| {
            format!(
                "systemd gave no such socket, but [{}]: a .socket unit gives them, and its FileDescriptorName= their names",
                self.names.join(", ")
            )
        })?;
        if name.is_some() && named.next().is_some() {
            return Err("systemd gave more than one of this name: one socket can be served, such as ListenStream=[::]:443 for both kinds of addresses".to_owned());
        }
        self.used.push(at);
        self.open(at).map_err(|error| {
            format!("it is no stream socket that listens, or taken already: {error}")
        })
    }

    fn open(&mut self, at: usize) -> io::Result<Listener> {
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(at) {
            check_listening(&listener)?;
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener).map(Listener::from);
        }
        match self.sockets.take_unix_listener(at)? {
            Some(listener) => {
                check_listening(&listener)?;
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Listener::from)
            }
            None => Err(io::ErrorKind::AddrInUse.into()),
        }
    }
}

/// Rejects a socket that cannot accept connections: every accept would fail.
fn check_listening(socket: &impl AsFd) -> io::Result<()> {
    if sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::other(if getpeername(socket).is_ok() {
        "it is connected; set Accept=no in the .socket unit"
    } else {
        "it is not listening; use ListenStream= in a .socket unit"
    }))
}

/// A place that is taken, where nobody is let in yet.
pub(super) struct Bound {
    socket: Socket,
    what: String,
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
        mode: SocketMode,
        inherited: &mut Inherited,
        setting: &str,
    ) -> Result<Self, CliError> {
        let what = format!("cannot listen on {listen} ({setting})");
        let failed = |error| CliError::from(format!("{what}: {}", advised(&error, listen)));
        let (socket, file) = match listen {
            Listen::Tcp(address) => (Socket::Tcp(bind(*address).map_err(failed)?), None),
            Listen::Unix(path) => {
                let (socket, file) = bind_file(path, mode).map_err(failed)?;
                (Socket::Unix(socket), Some(file))
            }
            Listen::Systemd(name) => {
                let taken = inherited.take(name.as_deref());
                let open = taken.map_err(|why| format!("{what}: {why}"))?;
                (Socket::Open(open), None)
            }
        };
        Ok(Self { socket, what, file })
    }

    /// Lets clients in, until both are dropped.
    pub(super) fn listen(self) -> Result<(Listener, Option<SocketFile>), CliError> {
        let listener = match self.socket {
            Socket::Tcp(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Unix(socket) => socket.listen(BACKLOG).map(Listener::from),
            Socket::Open(listener) => Ok(listener),
        };
        let listener = listener.map_err(|error| format!("{}: {error}", self.what))?;
        Ok((listener, self.file))
    }
}

/// What happened, and what to do.
fn advised(error: &io::Error, listen: &Listen) -> String {
    let privileged = matches!(listen, Listen::Tcp(address) if (1..1024).contains(&address.port()));
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or take another place",
        io::ErrorKind::PermissionDenied if privileged => {
            "a port below 1024 is opened by root or by systemd: take a higher one, or systemd:NAME"
        }
        _ => "take another place",
    };
    format!("{error}; {advice}")
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Takes a path. What a service that was killed has left there is nobody's; who is alive has the lock beside it,
/// though it may not listen yet.
fn bind_file(path: &Path, mode: SocketMode) -> io::Result<(UnixSocket, SocketFile)> {
    let mut file = SocketFile::lock(path)?;
    match fs::symlink_metadata(path) {
        // It may be another program's, which knows of no lock.
        Ok(found) if found.file_type().is_socket() && !is_served(path)? => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(_) => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    file.is_bound = true;
    // Nobody can have connected yet.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    Ok((socket, file))
}

/// Whether somebody answers at a socket, or would if there were not so many who ask.
fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => Ok(false),
        _ => Ok(true),
    }
}

/// The file of a Unix socket, and the lock beside it, which go with the service.
pub(super) struct SocketFile {
    path: PathBuf,
    beside: PathBuf,
    is_bound: bool,
    _lock: File,
}

impl SocketFile {
    fn lock(path: &Path) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        loop {
            // Not through a link, and nothing of what may be in it is changed.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let lock = options
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&beside)
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", beside.display()))
                })?;
            lock.try_lock().map_err(|_| io::ErrorKind::AddrInUse)?;
            // Whoever had it may have removed it since it was opened here: then it locks nobody out.
            let is_current = fs::symlink_metadata(&beside)
                .is_ok_and(|found| lock.metadata().is_ok_and(|own| own.ino() == found.ino()));
            if is_current {
                return Ok(Self {
                    path: path.to_owned(),
                    beside,
                    is_bound: false,
                    _lock: lock,
                });
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Ours as long as the lock is: nobody else has put another one there.
        if self.is_bound {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_file(&self.beside);
    }
}
