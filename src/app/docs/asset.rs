//! The files that the pages are made of: named by their content, so that they may be kept for ever,
//! and compressed once.

use std::{collections::HashMap, io::Read, sync::Arc};

use data_encoding::HEXLOWER;
use flate2::{
    Compression,
    read::{GzDecoder, GzEncoder},
};
use poem::{
    Request, Response,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, VARY},
    },
};
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

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
    by_hashed_name: HashMap<String, Asset>,
    hashed_names: HashMap<&'static str, String>,
}

struct Asset {
    media_type: String,
    bytes: Arc<[u8]>,
    gzipped: bool,
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
            assets.add(name, &file.content_type, &file.bytes, file.gzpipped);
        }
        for (name, media_type, text) in OWN {
            assets.add(name, media_type, &gzipped(text), true);
        }
        assets
    }

    fn add(&mut self, name: &'static str, media_type: &str, bytes: &[u8], gzipped: bool) {
        let hash = HEXLOWER.encode(&Sha256::digest(bytes)[..8]);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}.{hash}.{extension}");
        let asset = Asset {
            media_type: media_type.to_owned(),
            bytes: bytes.into(),
            gzipped,
        };
        self.by_hashed_name.insert(hashed.clone(), asset);
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

    /// Answers with the file of this name, if there is one.
    pub(super) fn answer(&self, request: &Request, name: &str) -> Option<Response> {
        let asset = self.by_hashed_name.get(name)?;
        let mut response = Response::builder()
            .status(StatusCode::OK)
            .content_type(&asset.media_type)
            .header(CACHE_CONTROL, "public, max-age=31536000, immutable");
        if asset.gzipped {
            response = response.header(VARY, "Accept-Encoding");
            if !accepts_gzip(request.headers()) {
                let mut plain = Vec::new();
                GzDecoder::new(&*asset.bytes).read_to_end(&mut plain).ok()?;
                return Some(response.body(plain));
            }
            response = response.header(CONTENT_ENCODING, "gzip");
        }
        Some(response.body(asset.bytes.to_vec()))
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

/// What is said of gzip itself wins over what is said of all (RFC 9110 section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .map(HeaderValue::to_str);
    let codings = values
        .flatten()
        .flat_map(|value| value.split(','))
        .map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.parse() == Ok(0.0));
            (name.trim(), !refused)
        });
    let codings: HashMap<_, _> = codings.collect();
    *codings
        .get("gzip")
        .or_else(|| codings.get("*"))
        .unwrap_or(&false)
}
