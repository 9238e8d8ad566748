//! TLS: a certificate and its key, read from files, and read anew when these change.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring::{self, sign::any_supported_type},
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    },
    server::TlsStream,
};

use x509_parser::{parse_x509_certificate, public_key::PublicKey};

use super::stream::Stream;

/// What clients are shown, and how it is proved. New connections get what was read last.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
    /// Of the files that were read last, whether they could be used or not.
    stamps: [Option<Stamp>; 2],
}

/// What tells a file from another in its place: device, inode, size, and the time of its last change.
type Stamp = (u64, u64, u64, i64, i64);

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of the certificate is no good.
    #[error("cannot read the certificate in {}: {}. It must be PEM, the certificate before those that vouch for it", .0.display(), reason(.1))]
    Certificate(PathBuf, pem::Error),
    /// The file of the key is no good.
    #[error("cannot read the key in {}: {}. It must be PEM, without a passphrase", .0.display(), reason(.1))]
    Key(PathBuf, pem::Error),
    /// The service cannot sign with this key.
    #[error("cannot use the key in {}: {cause}. Supported are ECDSA on P-256 and P-384, RSA of 2048 to 8192 bits, and Ed25519", .key.display())]
    UnsupportedKey {
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with the key, as far as the certificate shows it.
        cause: String,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("the certificate in {} and the key in {} cannot be used: {source}. The certificate comes before those that vouch for it, is of version 3, and of this key", .certificate.display(), .key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        // Not what is in it: of a key, that is secret.
        _ => "it is not PEM".to_owned(),
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If either cannot be read, or they do not go together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = read(certificate, key)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: Mutex::new(current),
        })
    }

    /// Whether a file is another than the one that was read last.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        stamps(&self.certificate, &self.key) != self.with(|current| current.stamps)
    }

    /// Reads the files anew. Where they are no good, all stays as it was.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let seen = stamps(&self.certificate, &self.key);
        let read = read(&self.certificate, &self.key);
        self.with(|current| match read {
            Ok(read) => {
                *current = read;
                Ok(())
            }
            Err(error) => {
                current.stamps = seen;
                Err(error)
            }
        })
    }

    /// The certificate of the service itself, in DER.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        self.with(|current| current.leaf.to_vec())
    }

    pub(super) async fn accept(&self, stream: Stream) -> io::Result<TlsStream<Stream>> {
        let config = self.with(|current| Arc::clone(&current.config));
        TlsAcceptor::from(config).accept(stream).await
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Current) -> T) -> T {
        use_it(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Current, TlsError> {
    // Before the files themselves: who changes them meanwhile is seen later.
    let stamps = stamps(certificate, key);
    let unread = |error| TlsError::Certificate(certificate.to_owned(), error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(unread)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unread)?;
    let leaf = chain
        .first()
        .cloned()
        .ok_or_else(|| unread(pem::Error::NoItemsFound))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key(key.to_owned(), error))?;
    if any_supported_type(&private).is_err() {
        return Err(TlsError::UnsupportedKey {
            key: key.to_owned(),
            cause: unsupported_kind(&leaf).map_or_else(
                || "it is damaged, or of a kind that is not supported".to_owned(),
                |kind| format!("{kind} is not supported"),
            ),
        });
    }
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|source| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    Ok(Current {
        config: Arc::new(config),
        leaf,
        stamps,
    })
}

/// The kind of the key that a certificate has, if the service does not support it.
fn unsupported_kind(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let subject = certificate.public_key();
    match subject.parsed().ok()? {
        PublicKey::RSA(key) if !(2048..=8192).contains(&key.key_size()) => {
            Some(format!("RSA of {} bits", key.key_size()))
        }
        PublicKey::EC(_) => {
            let curve = subject.algorithm.parameters.as_ref()?.as_oid().ok()?;
            match curve.to_id_string().as_str() {
                // P-256 and P-384.
                "1.2.840.10045.3.1.7" | "1.3.132.0.34" => None,
                "1.3.132.0.35" => Some("ECDSA on P-521".to_owned()),
                "1.3.132.0.10" => Some("ECDSA on secp256k1".to_owned()),
                other => Some(format!("ECDSA on the curve {other}")),
            }
        }
        _ => None,
    }
}

/// None is a file that is not there.
fn stamps(certificate: &Path, key: &Path) -> [Option<Stamp>; 2] {
    [certificate, key].map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((
            file.dev(),
            file.ino(),
            file.size(),
            file.ctime(),
            file.ctime_nsec(),
        ))
    })
}
