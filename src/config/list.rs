//! Lists: with commas between, or in a file as an array.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Those who are believed about others: addresses and networks, and whoever comes by a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct Networks {
    /// The addresses and networks.
    pub addresses: Vec<IpNet>,
    /// Whether who connects by a Unix socket is one: it has no address.
    pub unix: bool,
}

impl TryFrom<String> for Networks {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut networks = Self::default();
        for text in items(&text) {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            match text.parse::<IpNet>().or_else(|_| address()) {
                Ok(network) => networks.addresses.push(canonical(network)),
                Err(_) if text == "unix" => networks.unix = true,
                Err(_) => {
                    return Err(
                        "it is not a list of addresses or networks, such as 10.0.0.0/8,::1",
                    );
                }
            }
        }
        Ok(networks)
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        let unix = networks.unix.then(|| "unix".to_owned());
        let addresses = networks.addresses.iter().map(ToString::to_string);
        addresses.chain(unix).collect::<Vec<_>>().join(",")
    }
}

/// The network of the IPv4-mapped addresses (RFC 4291 section 2.5.5.2).
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

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

/// Web pages, by where they come from, such as `https://app.example.com` (RFC 6454 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "List")]
pub struct Origins(pub Vec<String>);

impl TryFrom<String> for Origins {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let origin = |text: &str| {
            let url = Url::parse(text).ok()?;
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let nobodys = url.username().is_empty() && url.password().is_none();
            let is_web = matches!(url.scheme(), "http" | "https");
            // As browsers write it: without the port that goes without saying.
            (is_web && is_bare && nobodys && !text.ends_with('/'))
                .then(|| url.origin().ascii_serialization())
        };
        let origins: Option<_> = items(&text).map(origin).collect();
        origins.map(Self).ok_or(
            "it is not a list of origins, such as https://app.example.com,http://localhost:3000",
        )
    }
}

impl From<Origins> for String {
    fn from(origins: Origins) -> Self {
        origins.0.join(",")
    }
}

/// How a list stands in a file: as an array, or as everywhere else, with commas between.
#[derive(JsonSchema)]
#[schemars(inline, extend("type" = ["array", "string"]))]
#[expect(dead_code, reason = "it is there for its schema")]
struct List(Vec<String>);

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Networks, Origins};

    #[test]
    fn networks_are_read_and_written() {
        let networks = Networks::try_from("10.0.0.0/8, ::1,unix,192.0.2.7".to_owned()).unwrap();
        assert!(networks.unix);
        let text = "10.0.0.0/8,::1/128,192.0.2.7/32,unix";
        assert_eq!(String::from(networks), text);
        assert!(Networks::try_from("10.0.0.0/8,proxy".to_owned()).is_err());
    }

    #[test]
    fn ipv4_mapped_networks_become_ipv4_networks() {
        for (given, canonical) in [
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:a00:1", "10.0.0.1/32"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", "::ffff:0:0/95"),
            ("::/0", "::/0"),
            ("::10.0.0.1", "::a00:1/128"),
        ] {
            let networks = Networks::try_from(given.to_owned()).unwrap();
            assert_eq!(String::from(networks), canonical, "{given}");
        }
    }

    #[test]
    fn origins_are_read_and_written_as_browsers_do() {
        let origins = "https://App.Example.com:443, http://localhost:3000".to_owned();
        let origins = Origins::try_from(origins).unwrap();
        let text = "https://app.example.com,http://localhost:3000";
        assert_eq!(String::from(origins), text);
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://a/",
            "https://a/x",
            "https://u@a",
            "ftp://a",
            "https://a?b",
        ] {
            assert!(Origins::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
