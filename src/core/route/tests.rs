//! Precedence, refusal and ties.

use super::*;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn pattern(text: &str) -> PathPattern {
    let (text, rest) = text.strip_suffix("/**").map_or((text, false), |head| (head, true));
    let segment = |part: &str| match part.strip_prefix('{') {
        Some(name) => Segment::Parameter(name.trim_end_matches('}').into()),
        None => Segment::Literal(part.into()),
    };
    PathPattern { segments: text.split('/').skip(1).map(segment).collect(), rest }
}

fn table(routes: &[(&str, &str, &str)]) -> RouteTable {
    let mut table = RouteTable::default();
    for (position, (host, path, method)) in routes.iter().enumerate() {
        let host = match host.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Exact((*host).into()),
        };
        let id = RouteId(u32::try_from(position).unwrap_or_default());
        assert_eq!(table.methods_mut(&host, &pattern(path)).insert(method, id), Ok(()));
    }
    table
}

fn found(table: &RouteTable, host: &str, path: &str, method: &str) -> Option<u32> {
    match table.find(host, path, method) {
        Found::Route(id) => Some(id.0),
        Found::OtherMethods => Some(99),
        Found::Nothing => None,
    }
}

#[test]
fn the_most_specific_pattern_owns_the_request() {
    let table = table(&[
        ("*", "/orders/**", "*"),
        ("*", "/orders/{id}", "GET"),
        ("*", "/orders/special", "GET"),
        ("*", "/orders/{id}/items", "GET"),
        ("*", "/", "GET"),
        ("*", "/orders/{id}", "HEAD"),
    ]);
    for (path, method, expected) in [
        ("/orders/1", "GET", Some(1)),
        ("/orders/1", "HEAD", Some(5)),
        ("/orders/special", "GET", Some(2)),
        ("/orders/special/items", "GET", Some(3)),
        ("/orders/special/other", "GET", Some(0)),
        ("/orders/1/items", "GET", Some(3)),
        ("/orders/1/items/2", "PUT", Some(0)),
        ("/orders/", "GET", Some(0)),
        ("/orders", "GET", None),
        ("/ordersX", "GET", None),
        ("/", "GET", Some(4)),
        // R27, R30: the best pattern decides, a laxer one does not step in.
        ("/orders/special", "DELETE", Some(99)),
        ("/orders/1/items/2", "CONNECT", Some(99)),
        ("/orders/1/items/2", "TRACE", Some(99)),
    ] {
        assert_eq!(found(&table, "a", path, method), expected, "{method} {path}");
    }
}

#[test]
fn hosts_come_before_paths() {
    // R36
    let table = table(&[
        ("*", "/x", "*"),
        ("*.example.com", "/x", "*"),
        ("*.b.example.com", "/x", "*"),
        ("api.example.com", "/**", "*"),
    ]);
    for (host, expected) in [
        ("api.example.com", 3),
        ("a.b.example.com", 2),
        ("b.example.com", 1),
        ("example.com", 0),
        ("evilexample.com", 0),
        ("x.example.com.evil", 0),
    ] {
        assert_eq!(found(&table, host, "/x", "GET"), Some(expected), "{host}");
    }
}

#[test]
fn a_refusal_may_come_from_any_pattern() {
    // R41
    let table = table(&[("*", "/a/**", "*"), ("*", "/a/b", "GET"), ("x.org", "/c", "PUT")]);
    assert_eq!(table.find_any("h", "/a/b", "POST"), Some(RouteId(0)));
    assert_eq!(table.find_any("h", "/a/b", "GET"), Some(RouteId(1)));
    assert_eq!(table.find_any("h", "/a/c", "CONNECT"), Some(RouteId(0)));
    assert_eq!(table.find_any("x.org", "/a/c", "GET"), Some(RouteId(0)));
    assert_eq!(table.find_any("x.org", "/c", "GET"), None);
}

#[test]
fn what_is_refused_is_refused_in_any_case() {
    // R08, R20
    let mut table = RouteTable::refusing();
    let inserted = table
        .methods_mut(&HostPattern::Any, &pattern("/orders/Secret%C3%A9/**"))
        .insert("*", RouteId(0));
    assert_eq!(inserted, Ok(()));
    for path in ["/orders/Secret%C3%A9/1", "/ORDERS/secret%C3%A9/X"] {
        assert_eq!(table.find_any("h", path, "GET"), Some(RouteId(0)), "{path}");
    }
    assert_eq!(table.find_any("h", "/orders/secret/1", "GET"), None);
}

#[test]
fn a_tie_names_the_other_route() {
    let mut table = table(&[("*", "/a/{x}", "GET")]);
    let methods = table.methods_mut(&HostPattern::Any, &pattern("/a/{y}"));
    assert_eq!(methods.insert("GET", RouteId(7)), Err(RouteId(0)));
    assert_eq!(methods.insert("*", RouteId(7)), Ok(()));
}

#[test]
fn another_case_of_a_literal_falls_to_no_laxer_route() {
    // R08
    let table = table(&[
        ("*", "/**", "*"),
        ("*", "/admin/**", "*"),
        ("*", "/Mixed", "*"),
        ("a", "/x/{y}", "*"),
    ]);
    for path in ["/Admin/users", "/ADMIN/users", "/admiN", "/mixed", "/MIXED/z"] {
        assert_eq!(found(&table, "a", path, "GET"), None, "{path}");
    }
    for (path, expected) in [("/admin/users", 1), ("/Mixed", 2), ("/other", 0), ("/x/Y", 3)] {
        assert_eq!(found(&table, "a", path, "GET"), Some(expected), "{path}");
    }
}

#[test]
fn a_refused_prefix_is_refused_bare_and_with_a_slash() {
    // R09, R20
    let mut table = RouteTable::refusing();
    for (position, path) in ["/a/secret/**", "/b"].into_iter().enumerate() {
        let id = RouteId(u32::try_from(position).unwrap_or_default());
        assert_eq!(table.methods_mut(&HostPattern::Any, &pattern(path)).insert("*", id), Ok(()));
    }
    for path in ["/a/secret", "/a/secret/", "/a/SECRET/x/y", "/b", "/B/"] {
        assert!(table.find_any("h", path, "GET").is_some(), "{path}");
    }
    for path in ["/a", "/a/", "/a/secrets", "/b/c", "/bb"] {
        assert!(table.find_any("h", path, "GET").is_none(), "{path}");
    }
}
