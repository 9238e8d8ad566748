//! The pages about the contract: they are complete, load only files of this service, and are cacheable.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::json;

use crate::{
    binary::Home,
    world::{Answer, OBTAIN, REFRESH, World, post, request},
};

async fn get(world: &World, path: &str) -> Answer {
    world.send(request("GET", path, &[], "".into())).await
}

/// Returns the sorted links of a page.
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
async fn root_and_incomplete_paths_redirect_to_the_pages() {
    let world = World::new().await;
    for (path, status, location) in [
        ("/", 307, "docs/"),
        ("/docs", 307, "docs/"),
        ("/contract", 307, "contract/"),
        // The former paths of the contract.
        ("/redoc", 308, "contract/"),
        ("/redoc/", 308, "../contract/"),
    ] {
        let answer = get(&world, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (status, Some(location)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn page_loads_only_files_of_this_service() {
    let world = World::new().await;
    for path in ["/docs/", "/contract/"] {
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
        assert!(
            !page.text.contains("<script>"),
            "the page contains an inline script"
        );

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
    let page = get(&world, "/contract/").await.text;
    let urls: Vec<_> = page
        .split("<td data-header=\"URL\"><code>/")
        .skip(1)
        .map(|rest| format!("/{}", rest.split('<').next().unwrap()))
        .collect();
    // The table of the chapter precedes the tables of the operations.
    assert_eq!(urls, [OBTAIN, REFRESH, OBTAIN, REFRESH]);
    for url in urls {
        let answer = world.send(post(&url, "{}")).await;
        assert_eq!(answer.status, 400, "{url}");
    }
}

#[tokio::test]
async fn asset_is_immutable_and_compressed_if_the_client_accepts_gzip() {
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

    for accepted in [
        "gzip",
        "br, gzip;q=0.5",
        "*",
        "GZip",
        "x-gzip",
        "gzip ; Q=0.001",
        "identity;q=0.5, gzip;q=0.5",
        "identity;q=0.5, *",
        "gzip;q=0.5, identity",
    ] {
        let request = request("GET", &path, &[("accept-encoding", accepted)], "".into());
        let zipped = poem::Endpoint::get_response(&world.app, request).await;
        assert_eq!(zipped.headers()["content-encoding"], "gzip");
        let bytes = zipped.into_body().into_vec().await.unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < plain.text.len() / 2);
    }
    for refused in [
        "br",
        "gzip;q=0",
        "identity",
        "gzip;q=0, *",
        "",
        "GZIP;Q=0.000",
        "*;q=0",
        "gzip;q=x",
    ] {
        let request = request("GET", &path, &[("accept-encoding", refused)], "".into());
        assert_eq!(world.send(request).await.text, plain.text);
    }
}

/// Returns the path and the `Cache-Control` header of each document, and of each file of a page.
async fn documents_and_assets(world: &World) -> Vec<(String, &'static str)> {
    let documents = [
        "/docs/",
        "/contract/",
        "/openapi.json",
        "/openapi.yaml",
        "/openapi/claims.schema.json",
    ];
    let mut paths: Vec<_> = documents.map(|path| (path.to_owned(), "no-cache")).into();
    let page = get(world, "/docs/").await.text;
    let assets = links(&page).into_iter();
    let assets = assets.filter(|link| link.starts_with("assets/"));
    let forever = "public, max-age=31536000, immutable";
    paths.extend(assets.map(|link| (format!("/docs/{link}"), forever)));
    assert!(paths.len() >= 8);
    paths
}

#[tokio::test]
async fn client_with_current_copy_gets_304() {
    let world = World::new().await;
    for (path, cache_control) in documents_and_assets(&world).await {
        for coding in ["identity", "gzip"] {
            let ask = |method: &str, known: &[&str]| {
                let mut headers = vec![("accept-encoding", coding)];
                headers.extend(known.iter().map(|known| ("if-none-match", *known)));
                request(method, &path, &headers, "".into())
            };
            let first = world.send(ask("GET", &[])).await;
            let etag = first.header("etag").expect(&path).to_owned();
            assert_eq!(
                (first.status.as_u16(), first.header("cache-control")),
                (200, Some(cache_control)),
                "{path}"
            );
            let (weak, list) = (format!("W/{etag}"), format!("\"other\", {etag}"));
            for known in [
                &[&*etag] as &[_],
                &[&*weak],
                &[&*list],
                &["\"other\"", &etag],
                &["*"],
            ] {
                for method in ["GET", "HEAD"] {
                    let again = world.send(ask(method, known)).await;
                    assert_eq!((again.status.as_u16(), &*again.text), (304, ""), "{path}");
                    assert_eq!(again.header("content-encoding"), None);
                    for name in ["etag", "cache-control", "vary"] {
                        assert_eq!(again.header(name), first.header(name), "{path}");
                    }
                }
            }
            for known in ["\"other\"", "W/\"other\"", "no tag"] {
                let again = world.send(ask("GET", &[known])).await;
                assert_eq!(
                    (again.status.as_u16(), again.text == first.text),
                    (200, true),
                    "{path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn compressed_and_plain_variant_have_different_etags() {
    let world = World::new().await;
    for (path, _) in documents_and_assets(&world).await {
        let mut etags = Vec::new();
        for coding in ["identity", "gzip"] {
            let request = request("GET", &path, &[("accept-encoding", coding)], "".into());
            let answer = world.send(request).await;
            etags.push(answer.header("etag").map(str::to_owned));
            etags.dedup();
            let varies = answer.header("vary") == Some("Accept-Encoding");
            let zipped = answer.header("content-encoding") == Some("gzip");
            assert_eq!(zipped, varies && coding == "gzip", "{path}");
            if coding == "gzip" {
                assert_eq!(etags.len() == 2, varies, "{path}");
            }
        }
    }
}

/// Uses a running service, because the HTTP server omits the body of the response to HEAD.
#[test]
fn head_of_a_file_has_the_headers_of_get() {
    let home = Home::new();
    let service = home.serve(&["--demo"]);
    let ask = |method, path: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let body = answer.split_off(end);
        let head = String::from_utf8(answer).unwrap();
        let own = ["x-request-id:", "date:"];
        let head = head
            .lines()
            .filter(|line| !own.iter().any(|own| line.starts_with(own)));
        (head.map(str::to_owned).collect::<Vec<_>>(), body)
    };
    let (_, page) = ask("GET", "/docs/");
    let page = String::from_utf8(page).unwrap();
    let asset = links(&page)
        .into_iter()
        .find(|link| link.contains("bundle"));
    for path in [
        "/openapi.json",
        "/docs/",
        &format!("/docs/{}", asset.unwrap()),
    ] {
        let (head, body) = ask("HEAD", path);
        let (expected, whole) = ask("GET", path);
        assert_eq!((head, body.len()), (expected, 0), "{path}");
        assert!(!whole.is_empty());
    }
}

#[tokio::test]
async fn unknown_page_gets_404_and_wrong_method_gets_405() {
    let world = World::new().await;
    for path in [
        "/docs/nope.js",
        "/docs/assets/nope.js",
        "/docs/assets/",
        "/contract/nope",
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
