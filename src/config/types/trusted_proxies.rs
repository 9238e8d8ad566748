//! The proxies that may set the address of a client.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::separated::{List, items};

/// The network of the IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// Addresses and networks of proxies, and `unix` for proxies on a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct TrustedProxies {
    /// The addresses and networks.
    pub networks: Vec<IpNet>,
    /// Whether every client of a Unix socket is a proxy. Such a client has no address.
    pub unix: bool,
}

impl TryFrom<String> for TrustedProxies {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut proxies = Self::default();
        for item in items(&text) {
            let address = || item.parse::<IpAddr>().map(IpNet::from);
            match item.parse::<IpNet>().or_else(|_| address()) {
                Ok(network) => proxies.networks.push(canonical(network)),
                Err(_) if item == "unix" => proxies.unix = true,
                Err(_) => {
                    return Err("not a list of addresses or networks, such as 10.0.0.0/8,::1");
                }
            }
        }
        Ok(proxies)
    }
}

impl From<TrustedProxies> for String {
    fn from(proxies: TrustedProxies) -> Self {
        let unix = proxies.unix.then(|| "unix".to_owned());
        let networks = proxies.networks.iter().map(ToString::to_string);
        networks.chain(unix).collect::<Vec<_>>().join(",")
    }
}

/// Returns a network of IPv4-mapped addresses as the IPv4 network, and any other network unchanged.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(network) if MAPPED.contains(&network) => network,
        other => return other,
    };
    let length = mapped.prefix_len() - MAPPED.prefix_len();
    let address = mapped.addr().to_ipv4_mapped();
    let network = address.and_then(|address| Ipv4Net::new(address, length).ok());
    network.map_or(IpNet::V6(mapped), IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::TrustedProxies;

    #[test]
    fn valid_lists_are_parsed_and_formatted() {
        let proxies =
            TrustedProxies::try_from("10.0.0.0/8, ::1,unix,192.0.2.7".to_owned()).unwrap();
        assert!(proxies.unix);
        let text = "10.0.0.0/8,::1/128,192.0.2.7/32,unix";
        assert_eq!(String::from(proxies), text);
        assert!(TrustedProxies::try_from("10.0.0.0/8,proxy".to_owned()).is_err());
    }

    #[test]
    fn ipv4_mapped_networks_become_ipv4_networks() {
        for (given, canonical) in [
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:a00:1", "10.0.0.1/32"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", "::ffff:0.0.0.0/95"),
            ("::/0", "::/0"),
            ("::10.0.0.1", "::a00:1/128"),
        ] {
            let proxies = TrustedProxies::try_from(given.to_owned()).unwrap();
            assert_eq!(String::from(proxies), canonical, "{given}");
        }
    }
}
