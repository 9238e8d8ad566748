//! The files of the pages. Their names contain a hash of the content, so browsers may cache them forever.

use std::{collections::HashMap, io::Read, sync::Arc};

use data_encoding::HEXLOWER;
use flate2::{
    Compression,
    read::{GzDecoder, GzEncoder},
};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use super::static_file::StaticFile;

/// The folder of the files in `/docs/`.
pub(super) const FOLDER: &str = "assets";

/// Files of Swagger UI.
const VENDORED: [&str; 3] = [
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "favicon-32x32.png",
];
/// Files of this project.
const OWN: [(&str, &str, &str); 2] = [
    ("swagger.js", "text/javascript", include_str!("swagger.js")),
    ("page.css", "text/css", include_str!("page.css")),
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
        let config = Arc::new(Config::default());
        for name in VENDORED {
            let file = utoipa_swagger_ui::serve(name, Arc::clone(&config))
                .ok()
                .flatten()
                .expect("the crate vendors Swagger UI");
            if file.gzpipped {
                let plain = unzipped(&file.bytes);
                assets.add(
                    name,
                    &file.content_type,
                    plain,
                    Some(file.bytes.into_owned().into()),
                );
            } else {
                assets.add(
                    name,
                    &file.content_type,
                    file.bytes.into_owned().into(),
                    None,
                );
            }
        }
        for (name, media_type, text) in OWN {
            let zipped = gzipped(text).into();
            assets.add(name, media_type, text.into(), Some(zipped));
        }
        assets
    }

    fn add(&mut self, name: &'static str, media_type: &str, plain: Bytes, gzip: Option<Bytes>) {
        let hash = HEXLOWER.encode(&Sha256::digest(&plain)[..8]);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}.{hash}.{extension}");
        let file = StaticFile::new(
            media_type,
            "public, max-age=31536000, immutable",
            plain,
            gzip,
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

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(text.as_bytes(), Compression::best());
    let mut bytes = Vec::new();
    encoder
        .read_to_end(&mut bytes)
        .expect("writing to memory succeeds");
    bytes
}

fn unzipped(bytes: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .expect("the crate compresses its files");
    plain.into()
}
