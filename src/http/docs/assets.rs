//! The files of the pages. Their names contain a hash of the content, so browsers may cache them forever.

use std::{collections::HashMap, io::Read};

use data_encoding::HEXLOWER;
use flate2::{Compression, read::GzEncoder};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use super::static_file::{Content, StaticFile};

/// The folder of the files in `/docs/`.
pub(super) const FOLDER: &str = "assets";

/// Files with their media type, as they are sent.
const PLAIN: [(&str, &str, &[u8]); 5] = [
    (
        "favicon-32x32.png",
        "image/png",
        include_bytes!("swagger-ui/favicon-32x32.png"),
    ),
    (
        "swagger.js",
        "text/javascript",
        include_bytes!("swagger.js"),
    ),
    (
        "contract.js",
        "text/javascript",
        include_bytes!("contract.js"),
    ),
    ("theme.js", "text/javascript", include_bytes!("theme.js")),
    ("page.css", "text/css", include_bytes!("page.css")),
];
/// Files of Swagger UI, which are compressed in this repository.
const COMPRESSED: [(&str, &str, &[u8]); 2] = [
    (
        "swagger-ui.css",
        "text/css",
        include_bytes!("swagger-ui/swagger-ui.css.gz"),
    ),
    (
        "swagger-ui-bundle.js",
        "text/javascript",
        include_bytes!("swagger-ui/swagger-ui-bundle.js.gz"),
    ),
];

/// All files, by their names with the hash.
pub(super) struct Assets {
    pub(super) by_hashed_name: HashMap<String, StaticFile>,
    hashed_names: HashMap<&'static str, String>,
}

impl Assets {
    pub(super) fn load() -> Self {
        let mut assets = Self {
            by_hashed_name: HashMap::new(),
            hashed_names: HashMap::new(),
        };
        for (name, media_type, plain) in PLAIN {
            assets.add(name, media_type, gzipped(plain));
        }
        for (name, media_type, gzip) in COMPRESSED {
            assets.add(name, media_type, gzip.into());
        }
        assets
    }

    fn add(&mut self, name: &'static str, media_type: &str, gzip: Bytes) {
        let hash = HEXLOWER.encode(&Sha256::digest(&gzip)[..8]);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}.{hash}.{extension}");
        let file = StaticFile::new(
            media_type,
            "public, max-age=31536000, immutable",
            Content::gzip(gzip),
        );
        self.by_hashed_name.insert(hashed.clone(), file);
        self.hashed_names.insert(name, format!("{FOLDER}/{hashed}"));
    }

    /// Replaces each file name in braces by the path of the file, relative to `/docs/`.
    pub(super) fn rewrite_urls(&self, page: &str) -> String {
        self.hashed_names
            .iter()
            .fold(page.to_owned(), |page, (name, path)| {
                page.replace(&format!("{{{name}}}"), path)
            })
    }
}

fn gzipped(plain: &[u8]) -> Bytes {
    let mut gzip = Vec::new();
    let read = GzEncoder::new(plain, Compression::best()).read_to_end(&mut gzip);
    read.expect("bytes in memory can always be read");
    gzip.into()
}

#[cfg(test)]
mod tests {
    use super::{super::static_file::unzipped, *};

    #[test]
    fn files_of_swagger_ui_have_the_digests_of_the_release() {
        let sums = include_str!("swagger-ui/SHA256SUMS");
        let compressed = COMPRESSED.map(|(name, _, gzip)| (name, unzipped(gzip)));
        let plain = PLAIN.map(|(name, _, plain)| (name, Bytes::from_static(plain)));
        for (name, bytes) in compressed.iter().chain(plain.first()) {
            let line = format!("{}  {name}\n", HEXLOWER.encode(&Sha256::digest(bytes)));
            assert!(sums.contains(&line), "{line}");
        }
        assert_eq!(sums.lines().count(), 3);
    }
}
