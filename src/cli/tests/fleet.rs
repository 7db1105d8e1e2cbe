//! Limits of a fleet: what must stand around a policy, and what `explain` says of them.

use crate::around::as_struct;
use crate::support::{File, KEY, check, policy, run};

fn with_fleet() -> String {
    policy().replace(
        "limits:\n  per-address: {",
        "fleet: {cluster: ratelimit, processes: 2}\nlimits:\n  per-address: {scope: fleet, ",
    )
}

fn cluster(name: &str, more: &str) -> String {
    format!("    - {{name: {name}{more}}}\n")
}

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

#[test]
fn the_service_has_a_cluster_that_speaks_http2() {
    let at = "/configuration/value/fleet/cluster: ";
    let explicit = |protocol: &str| {
        format!(
            ", typed_extension_protocol_options: {{{OPTIONS}: {{explicit_http_config: {{{protocol}: {{}}}}}}}}"
        )
    };
    let agreed =
        format!(", typed_extension_protocol_options: {{{OPTIONS}: {{auto_config: {{}}}}}}");
    for (name, more, finding) in [
        ("ratelimit", explicit("http2_protocol_options"), None),
        ("ratelimit", ", http2_protocol_options: {}".to_owned(), None),
        ("ratelimit", agreed, None),
        (
            "ratelimit",
            String::new(),
            Some(format!("error[fleet_cluster_http1] at {at}cluster `ratelimit` speaks HTTP/1.1")),
        ),
        (
            "ratelimit",
            explicit("http_protocol_options"),
            Some(format!("error[fleet_cluster_http1] at {at}cluster `ratelimit` speaks HTTP/1.1")),
        ),
        (
            "other",
            String::new(),
            Some(format!(
                "warning[fleet_cluster_unknown] at {at}no cluster of this file is named `ratelimit`"
            )),
        ),
    ] {
        let text = format!("{}  clusters:\n{}", as_struct(&with_fleet()), cluster(name, &more));
        let ran = check(&text);
        match finding {
            None => {
                assert_eq!((ran.code, ran.out.contains("0 warnings")), (0, true), "{}", ran.out);
            }
            Some(finding) => {
                let (code, rest) = finding.split_once(" at ").expect("a place");
                assert!(ran.out.contains(code) && ran.out.contains(rest), "{finding}: {}", ran.out);
            }
        }
    }
    // Where clusters may come from elsewhere, nothing is known.
    assert_eq!(check(&as_struct(&with_fleet())).code, 0);
}

#[test]
fn the_filter_that_counts_stands_behind() {
    let counts = "                  - name: envoy.filters.http.ratelimit
                    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit}
";
    let handed = policy().replace("limits:\n", "hand_over: [consumer]\nlimits:\n");
    let (ours, router) = (
        "                  - name: portcullis\n",
        "                  - name: envoy.filters.http.router\n",
    );
    let before = |text: &str| text.replace(ours, &format!("{counts}{ours}"));
    let behind = |text: &str| text.replace(router, &format!("{counts}{router}"));
    let (with, without) = (as_struct(&handed), as_struct(&policy()));
    let read = "[{actions: [{extension: {typed_config: {text: \"filter_state['wasm.portcullis.consumer']\"}}}]}]";
    let by_address = "[{actions: [{remote_address: {}}]}]";
    let route = "route: {cluster: orders}";
    let own = |text: &str, limits: &str| {
        text.replace(route, &format!("route: {{cluster: orders, rate_limits: {limits}}}"))
    };
    // Routes of their own may be anyone's.
    let apart = |text: &str| format!("{text}---\nvirtual_hosts: [{{rateLimits: {read}}}]\n");
    let (with_own, without_own) = (own(&with, read), own(&without, read));
    assert_ne!(with_own, with);
    for bad in [before(&with_own), before(&apart(&with))] {
        let ran = check(&bad);
        assert_eq!(ran.code, 1, "{}", ran.out);
        assert!(ran.out.contains("error[ratelimit_before_filter]"), "{}", ran.out);
    }
    let goods = [behind(&with_own), before(&behind(&with_own)), before(&without_own), with_own];
    // It may count by what is there already, and what is handed over be for logs.
    for good in goods.into_iter().chain([before(&with), before(&own(&with, by_address))]) {
        let ran = check(&good);
        assert_eq!(ran.code, 0, "{}", ran.out);
    }
    // Routes in another connection manager are its own.
    let listeners = "  listeners:\n";
    let (head, listener) = with.split_once(listeners).expect("a listener");
    let two = |first: &str, second: &str| format!("{head}{listeners}{first}{second}");
    let other = own(listener, read).replace("external", "internal");
    assert_eq!(check(&two(&before(listener), &behind(&other))).code, 0);
    assert_eq!(check(&two(&before(listener), &before(&other))).code, 1);
}

#[test]
fn explain_says_that_the_service_was_not_asked() {
    let file = File::new("fleet.yaml", &with_fleet());
    let header = format!("x-api-key: {KEY}");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header];
    let arguments = [&["explain", "--policy", &file.0][..], &request].concat();
    let ran = run(&arguments, "");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let note = "`per-address`: nobody was asked; Envoy asks domain `portcullis` for 1 hit of limit `per-address`, \
        address `192.0.2.1`, and without an answer a share of 1 at once decides";
    assert!(ran.out.contains(note), "{}", ran.out);
    assert!(ran.out.contains("2 left; the fleet's service counts too;"), "{}", ran.out);
    let ran = run(&[&arguments[..], &["--repeat", "4"]].concat(), "");
    assert!(ran.out.contains("refused: rate_limited"), "{}", ran.out);
}
