//! The files of the pages. Their names contain a hash of the content, so browsers may cache them forever.

use std::io::Read;

use data_encoding::HEXLOWER;
use flate2::{Compression, read::GzEncoder};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use super::static_file::{Content, StaticFile};

/// The SHA-256 of each file of Swagger UI, in the format of `sha256sum`.
const SWAGGER_UI_DIGESTS: &str = include_str!("swagger-ui/SHA256SUMS");

/// The first bytes of a gzip file (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// All files.
pub(super) const ASSETS: [Asset; 7] = [
    Asset(
        "favicon-32x32.png",
        "image/png",
        include_bytes!("swagger-ui/favicon-32x32.png"),
    ),
    Asset(
        "swagger-ui.css",
        "text/css",
        include_bytes!("swagger-ui/swagger-ui.css.gz"),
    ),
    Asset(
        "swagger-ui-bundle.js",
        "text/javascript",
        include_bytes!("swagger-ui/swagger-ui-bundle.js.gz"),
    ),
    Asset(
        "swagger.js",
        "text/javascript",
        include_bytes!("swagger.js"),
    ),
    Asset(
        "contract.js",
        "text/javascript",
        include_bytes!("contract.js"),
    ),
    Asset("theme.js", "text/javascript", include_bytes!("theme.js")),
    Asset("page.css", "text/css", include_bytes!("page.css")),
];

/// A file of the pages: its name, its media type, and its content. The large files of Swagger UI are compressed in this repository.
pub(super) struct Asset(&'static str, &'static str, &'static [u8]);

impl Asset {
    /// Returns the name with the start of the digest of the content.
    pub(super) fn hashed_name(&self) -> String {
        let &Self(name, _, content) = self;
        let digest = swagger_ui_digest(name)
            .map_or_else(|| HEXLOWER.encode(&Sha256::digest(content)), str::to_owned);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        format!("{stem}.{}.{extension}", &digest[..16])
    }

    pub(super) fn file(&self) -> StaticFile {
        let &Self(_, media_type, content) = self;
        let gzip = if content.starts_with(&GZIP_MAGIC) {
            content.into()
        } else {
            gzipped(content)
        };
        StaticFile::new(
            media_type,
            "public, max-age=31536000, immutable",
            Content::gzip(gzip),
        )
    }
}

/// Returns the digest of a file of Swagger UI, so that the start of the service does not read the file.
fn swagger_ui_digest(name: &str) -> Option<&'static str> {
    let lines = SWAGGER_UI_DIGESTS.lines();
    let mut files = lines.filter_map(|line| line.split_once("  "));
    files.find_map(|(digest, file)| (file == name).then_some(digest))
}

/// Replaces each file name in braces by the path of the file, relative to `/docs/`.
pub(super) fn rewrite_urls(page: &str) -> String {
    ASSETS.iter().fold(page.to_owned(), |page, asset| {
        let path = format!("assets/{}", asset.hashed_name());
        page.replace(&format!("{{{}}}", asset.0), &path)
    })
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
        let files = ASSETS.iter().filter_map(|&Asset(name, _, content)| {
            let expected = swagger_ui_digest(name)?;
            let is_gzip = content.starts_with(&GZIP_MAGIC);
            let content = if is_gzip {
                unzipped(content)
            } else {
                content.into()
            };
            Some((name, expected, HEXLOWER.encode(&Sha256::digest(content))))
        });
        let files: Vec<_> = files.collect();
        for (name, expected, actual) in &files {
            assert_eq!(actual, expected, "{name}");
        }
        assert_eq!(files.len(), SWAGGER_UI_DIGESTS.lines().count());
    }
}
