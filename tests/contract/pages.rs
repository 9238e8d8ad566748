//! The pages about the contract: there, whole, strict about what they load, and cacheable.

use serde_json::json;

use crate::world::{Answer, OBTAIN, REFRESH, World, post, request};

async fn get(world: &World, path: &str) -> Answer {
    world.send(request("GET", path, &[], "".into())).await
}

/// What a page links to, in its order.
fn links(page: &str) -> Vec<&str> {
    let attributes = ["src=\"", "href=\""];
    let mut links: Vec<_> = attributes
        .iter()
        .flat_map(|attribute| {
            page.match_indices(attribute)
                .map(|(at, found)| at + found.len())
        })
        .map(|start| page[start..].split('"').next().unwrap())
        .collect();
    links.sort_unstable();
    links
}

#[tokio::test]
async fn the_root_leads_to_the_pages() {
    let world = World::new().await;
    for (path, location) in [("/", "docs/"), ("/docs", "docs/"), ("/redoc", "redoc/")] {
        let answer = get(&world, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, Some(location))
        );
    }
}

#[tokio::test]
async fn a_page_loads_only_what_this_service_serves() {
    let world = World::new().await;
    for path in ["/docs/", "/redoc/"] {
        let page = get(&world, path).await;
        assert_eq!(page.status, 200);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(
            page.text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"),
            "{}",
            page.text
        );
        assert!(page.text.contains("<title>Signet"), "{}", page.text);
        assert!(!page.text.contains("<script>"), "a script stands inline");

        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(
            !policy.contains("http") && !policy.contains("unsafe-eval"),
            "{policy}"
        );

        let links = links(&page.text);
        assert!(links.len() >= 4);
        for link in links {
            assert!(
                !link.starts_with('/') && !link.contains(':'),
                "{link} is not relative"
            );
            let target = match link.strip_prefix("../") {
                Some(rest) => format!("/{rest}"),
                None => format!("{path}{link}"),
            };
            assert_eq!(get(&world, &target).await.status, 200, "{target}");
        }
    }
}

#[tokio::test]
async fn every_url_in_a_table_of_the_contract_is_served() {
    let world = World::new().await;
    let page = get(&world, "/redoc/").await.text;
    let urls: Vec<_> = page
        .split("<td><code>/")
        .skip(1)
        .map(|rest| format!("/{}", rest.split('<').next().unwrap()))
        .collect();
    // In the table of the chapter, and in those of the operations.
    assert_eq!(urls, [OBTAIN, REFRESH, OBTAIN, REFRESH]);
    for url in urls {
        let answer = world.send(post(&url, "{}")).await;
        assert_eq!(answer.status, 400, "{url}");
    }
}

#[tokio::test]
async fn a_file_is_kept_for_ever_and_compressed_for_whom_it_may() {
    let world = World::new().await;
    let page = get(&world, "/docs/").await.text;
    let script = links(&page)
        .into_iter()
        .find(|link| link.contains("bundle"))
        .unwrap()
        .to_owned();
    let path = format!("/docs/{script}");

    let plain = get(&world, &path).await;
    assert_eq!(
        plain.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(
        (plain.header("vary"), plain.header("content-encoding")),
        (Some("Accept-Encoding"), None)
    );
    assert!(plain.text.contains("SwaggerUIBundle"));

    for accepted in ["gzip", "br, gzip;q=0.5", "*"] {
        let request = request("GET", &path, &[("accept-encoding", accepted)], "".into());
        let zipped = poem::Endpoint::get_response(&world.app, request).await;
        assert_eq!(zipped.headers()["content-encoding"], "gzip");
        let bytes = zipped.into_body().into_vec().await.unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < plain.text.len() / 2);
    }
    for refused in ["br", "gzip;q=0", "identity", "gzip;q=0, *"] {
        let request = request("GET", &path, &[("accept-encoding", refused)], "".into());
        assert_eq!(world.send(request).await.text, plain.text);
    }
}

#[tokio::test]
async fn what_is_no_page_is_told_in_json() {
    let world = World::new().await;
    for path in [
        "/docs/nope.js",
        "/docs/assets/nope.js",
        "/docs/assets/",
        "/redoc/nope",
    ] {
        let missing = get(&world, path).await;
        assert_eq!(
            (missing.status.as_u16(), missing.json()),
            (404, json!({ "detail": "Not found." }))
        );
    }
    let posted = world.send(post("/docs/", "{}")).await;
    assert_eq!(
        (posted.status.as_u16(), posted.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}
