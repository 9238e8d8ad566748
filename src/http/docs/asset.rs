//! The files that the pages are made of: named by their content, so that they may be kept for ever,
//! and compressed once.

use std::{collections::HashMap, io::Read, sync::Arc};

use data_encoding::HEXLOWER;
use flate2::{
    Compression,
    read::{GzDecoder, GzEncoder},
};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use super::file::File;

/// The folder of the files, below `/docs/`.
pub(super) const FOLDER: &str = "assets";

/// Of Swagger UI, what the page needs.
const VENDORED: [&str; 3] = [
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "favicon-32x32.png",
];
/// Our own.
const OWN: [(&str, &str, &str); 2] = [
    ("swagger.js", "text/javascript", include_str!("swagger.js")),
    ("page.css", "text/css", include_str!("page.css")),
];

/// Every file, by the name that its content gives it.
pub(super) struct Assets {
    pub(super) by_hashed_name: HashMap<String, File>,
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
        let file = File::new(
            media_type,
            "public, max-age=31536000, immutable",
            plain,
            gzip,
        );
        self.by_hashed_name.insert(hashed.clone(), file);
        self.hashed_names.insert(name, format!("{FOLDER}/{hashed}"));
    }

    /// Puts the files' paths, relative to `/docs/`, in the place of their names in braces.
    pub(super) fn link(&self, page: &str) -> String {
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
        .expect("memory is written to");
    bytes
}

fn unzipped(bytes: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut plain)
        .expect("the crate compresses its files");
    plain.into()
}
