//! Discovery by the issuer's own document: where the key set is, and whose.

use serde_json::{Value, json};

use super::{GOOD, SECOND, Served, UNAVAILABLE, World, policy, set, verdict, with_token};

const ISSUER: &str = "https://id.example.com/corp";
const DOCUMENT: &str = "/corp/.well-known/openid-configuration";

fn remote() -> Value {
    json!({
        "cluster": "idp", "discovery": true, "authority": "id.example.com",
        "refresh": "10s", "timeout": "3s", "max_stale": "10m", "cooldown": "5s",
    })
}

fn document(issuer: &str, uri: &str) -> String {
    json!({"issuer": issuer, "jwks_uri": uri, "response_types_supported": ["code"]}).to_string()
}

/// A world with an issuer whose document is this and whose set is at `path`.
fn world(document: String, path: &'static str) -> World {
    World::new(2, &policy(&remote()), move |call| match call.header(":path") {
        asked if asked == DOCUMENT => Served::json(document.clone()),
        asked if asked == path => Served::json(set(&["k1"])).with("etag", "\"one\""),
        _ => Served::status(404, ""),
    })
}

fn paths(world: &World) -> Vec<String> {
    world.calls_to("idp").iter().map(|call| call.header(":path")).collect()
}

#[test]
fn the_document_leads_to_the_set_once() {
    let mut world = world(document(ISSUER, "https://id.example.com/keys?v=1#x"), "/keys?v=1");
    world.run(SECOND);
    assert_eq!(paths(&world), [DOCUMENT, "/keys?v=1"]);
    for worker in 0..2 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
    // Both calls are one fetch, and the second one has what is left of the time.
    assert_eq!(world.fetches("corp", "updated"), 1);
    let [first, second] = [0, 1].map(|nth| world.calls_to("idp")[nth].timeout);
    assert_eq!(first, 3_000);
    assert!((2_900..3_000).contains(&second), "{second}");
    // What it led to is remembered, also by a worker that was not there.
    world.kill(0);
    world.kill(0);
    world.add_worker();
    world.run(10 * SECOND);
    assert_eq!(paths(&world), [DOCUMENT, "/keys?v=1", "/keys?v=1"]);
    assert_eq!(world.calls_to("idp")[2].header("if-none-match"), "\"one\"");
}

#[test]
fn a_set_that_has_moved_is_looked_for_anew() {
    let mut world = world(document(ISSUER, "https://id.example.com/keys"), "/keys");
    world.run(SECOND);
    world.serve(|call| match call.header(":path").as_str() {
        DOCUMENT => Served::json(document(ISSUER, "https://id.example.com/moved")),
        "/moved" => {
            assert_eq!(call.header("if-none-match"), "", "the tag is another set's");
            Served::json(set(&["k2"]))
        }
        _ => Served::status(404, ""),
    });
    world.run(17 * SECOND);
    assert_eq!(paths(&world), [DOCUMENT, "/keys", "/keys", DOCUMENT, "/moved"]);
    assert_eq!(verdict(&world.request(0, &with_token("k2")).0), GOOD);
}

#[test]
fn any_spelling_of_the_authority_is_the_authority() {
    for uri in [
        "https://ID.example.com/keys",
        "https://id.example.com:443/keys",
        "http://id.example.com:80/keys",
        "HTTPS://id.example.com/keys",
    ] {
        let mut world = world(document(ISSUER, uri), "/keys");
        world.run(SECOND);
        assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD, "{uri}");
    }
}

#[test]
fn another_issuers_document_is_none() {
    let uri = "https://id.example.com/keys";
    let good = document(ISSUER, uri);
    for bad in [
        document("https://id.example.com/corp/", uri),
        document("https://id.example.com/Corp", uri),
        document("https://evil.example", uri),
        json!({"issuer": [ISSUER], "jwks_uri": uri}).to_string(),
        json!({"jwks_uri": uri}).to_string(),
        json!({"issuer": ISSUER}).to_string(),
        json!({"issuer": ISSUER, "jwks_uri": 7}).to_string(),
        document(ISSUER, "/keys"),
        document(ISSUER, "https://id.example.com/ke ys"),
        document(ISSUER, "https://id.example.com/keys\r\nx-evil: 1"),
        document(ISSUER, &format!("https://id.example.com/{}", "k".repeat(2_000))),
        format!("{}{}", &good[..good.len() - 1], ",\"issuer\":\"https://evil.example\"}"),
        format!("{good}x"),
        String::new(),
        "<html>".to_owned(),
    ] {
        let mut world = world(bad.clone(), "/keys");
        world.run(SECOND);
        assert_eq!(paths(&world), [DOCUMENT], "{bad}");
        assert_eq!(world.fetches("corp", "discovery"), 1, "{bad}");
        assert_eq!(verdict(&world.request(0, &with_token("k1")).0), UNAVAILABLE, "{bad}");
    }
    let mut world = world(format!("{good}{}", " ".repeat(70_000)), "/keys");
    world.run(SECOND);
    assert_eq!(world.fetches("corp", "too_long"), 1);
}

#[test]
fn a_set_on_another_authority_is_not_asked_for() {
    for uri in [
        "https://keys.example.com/keys",
        "https://id.example.com:8443/keys",
        "https://id.example.com.evil.example/keys",
        "https://id.example.com@evil.example/keys",
        "https://evil.example/?id.example.com/keys",
        "ftp://id.example.com/keys",
        "file:///etc/passwd",
    ] {
        let mut world = world(document(ISSUER, uri), "/keys");
        world.run(SECOND);
        assert_eq!(paths(&world), [DOCUMENT], "{uri}");
        assert_eq!(world.fetches("corp", "elsewhere"), 1, "{uri}");
        let lines: Vec<_> = world.workers.iter_mut().flat_map(|worker| worker.vm.log()).collect();
        let told =
            lines.iter().any(|line| line.contains("name the cluster, `authority` and `path`"));
        assert!(told, "{uri} {lines:?}");
    }
}
