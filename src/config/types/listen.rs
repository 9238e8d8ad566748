//! The addresses that the service listens on.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address and port, a Unix socket, or a socket that systemd has opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Listen {
    /// An address and port. With port 0, the system chooses a free port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A socket of socket activation (`sd_listen_fds(3)`): the first socket, or the socket with this `FileDescriptorName=`.
    Systemd(Option<String>),
}

impl Listen {
    /// Whether only this machine can connect. The address of a systemd socket is unknown here.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            Self::Systemd(_) => false,
        }
    }

    /// Whether the system chooses a new port at each start.
    #[must_use]
    pub fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, 8000).into())
    }
}

impl TryFrom<String> for Listen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("systemd", name)) if !name.is_empty() => Ok(Self::Systemd(Some(name.to_owned()))),
            None if text == "systemd" => Ok(Self::Systemd(None)),
            _ => text.parse().map(Self::Tcp).map_err(|_| {
                "not an address with a port, such as 127.0.0.1:8000 or [::]:8000, and not unix:PATH, systemd or systemd:NAME"
            }),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// The file mode of a Unix socket, in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^0?[0-7]{3}$"))]
pub struct SocketMode(pub u32);

impl TryFrom<String> for SocketMode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const NOT_OCTAL: &str = "not three octal digits, such as 660";
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3);
        let digits = digits.unwrap_or(&text);
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NOT_OCTAL);
        }
        let mode = u32::from_str_radix(digits, 8);
        mode.map(Self).map_err(|_| NOT_OCTAL)
    }
}

impl From<SocketMode> for String {
    fn from(mode: SocketMode) -> Self {
        format!("{:03o}", mode.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Listen, SocketMode};

    #[test]
    fn listen_addresses_are_parsed_and_formatted() {
        for text in [
            "127.0.0.1:8000",
            "[::1]:0",
            "unix:/run/signet/http.sock",
            "systemd",
            "systemd:http",
        ] {
            let listen = Listen::try_from(text.to_owned()).unwrap();
            assert_eq!(listen.to_string(), text);
        }
        for text in [
            "",
            "8000",
            "localhost:8000",
            "unix:",
            "systemd:",
            "unix",
            "/run/x.sock",
        ] {
            assert!(Listen::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn socket_mode_is_octal() {
        for (text, mode) in [("660", 0o660), ("0600", 0o600), ("777", 0o777)] {
            assert_eq!(
                SocketMode::try_from(text.to_owned()),
                Ok(SocketMode(mode)),
                "{text}"
            );
        }
        assert_eq!(String::from(SocketMode(0o60)), "060");
        for text in ["", "66", "680", "0o660", "+66", "1660", "00660"] {
            assert!(SocketMode::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
