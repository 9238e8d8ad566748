//! TLS with a certificate and a key from files, which can be reloaded.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    },
    server::TlsStream,
};

use super::stream::Stream;
use crate::problem::Problem;

/// A certificate and its key. New connections use the files that were loaded last.
pub struct ReloadableTls {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<LoadedTls>,
}

struct LoadedTls {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
    /// The files of the last attempt to load, even if they were invalid. `None` is a missing file.
    files: [Option<FileId>; 2],
}

/// Device, inode, size, and time of the last change (seconds and nanoseconds). Another file at the same path has another ID.
type FileId = (u64, u64, u64, i64, i64);

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "the file does not contain one".to_owned(),
        pem::Error::Io(error) => error.to_string(),
        // Other errors may quote the file, and the key is secret.
        _ => "the file is not valid PEM".to_owned(),
    }
}

impl ReloadableTls {
    /// Loads the files.
    ///
    /// # Errors
    /// A file is unreadable or invalid, or the certificate and the key do not match.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Problem> {
        let loaded = load(certificate, key)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            loaded: Mutex::new(loaded),
        })
    }

    /// Returns whether a file has changed since the last attempt to load.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        file_ids(&self.certificate, &self.key) != self.loaded.lock().files
    }

    /// Loads the files again. If this fails, the previous certificate stays in use.
    ///
    /// # Errors
    /// The same as [`ReloadableTls::load`].
    pub fn reload(&self) -> Result<(), Problem> {
        let files = file_ids(&self.certificate, &self.key);
        match load(&self.certificate, &self.key) {
            Ok(loaded) => {
                *self.loaded.lock() = loaded;
                Ok(())
            }
            Err(error) => {
                self.loaded.lock().files = files;
                Err(error)
            }
        }
    }

    /// Returns the certificate of the service, without the rest of the chain, in DER.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        self.loaded.lock().leaf.to_vec()
    }

    pub(super) async fn accept(&self, stream: Stream) -> io::Result<TlsStream<Stream>> {
        let config = Arc::clone(&self.loaded.lock().config);
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn load(certificate: &Path, key: &Path) -> Result<LoadedTls, Problem> {
    // The IDs are read before the files, so that the next check finds changes that happen in between.
    let files = file_ids(certificate, key);
    let invalid = |error| {
        Problem::new(format!(
            "cannot read the certificate in {}: {}",
            certificate.display(),
            reason(&error)
        ))
        .hint("use a PEM file with the certificate of the service, then the certificates of its issuers")
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(invalid)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(invalid)?;
    let leaf = chain
        .first()
        .cloned()
        .ok_or_else(|| invalid(pem::Error::NoItemsFound))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        Problem::new(format!(
            "cannot read the key in {}: {}",
            key.display(),
            reason(&error)
        ))
        .hint("use a PEM file without a passphrase")
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|error| {
            Problem::new(format!(
                "the certificate in {} and the key in {} cannot be used: {error}",
                certificate.display(),
                key.display()
            ))
            .hint(
                "the first certificate in the file must have version 3 and match the key; use a key for ECDSA on P-256 or P-384, RSA \
                 with 2048 to 8192 bits, or Ed25519",
            )
        })?;
    Ok(LoadedTls {
        config: Arc::new(config),
        leaf,
        files,
    })
}

fn file_ids(certificate: &Path, key: &Path) -> [Option<FileId>; 2] {
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
