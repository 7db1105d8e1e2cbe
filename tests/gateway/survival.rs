//! No bytes of a caller take a worker down.

use portcullis_tests::template::api_key;

use super::support::{at_once, connect, envoy, get, reference};

/// W01, W04: 10,000 requests with bytes that are not UTF-8 in every header, on every worker.
#[test]
fn ten_thousand_hostile_requests_cause_no_trap() {
    let envoy = envoy(&reference(), 2);
    let address = envoy.listeners["only"];
    let good = format!("x-api-key: {}", api_key("alpha"));
    let for_office: &[u8] = b"x-forwarded-for: 198.51.100.7";
    at_once(8, |number| {
        let mut client = connect(address);
        for round in 0..1250_usize {
            let byte = 0x80 | u8::try_from((round * 8 + number) % 128).unwrap();
            let line = |name: &str| [name.as_bytes(), b": ", &[byte, 0xff, 0xc0, byte]].concat();
            let names = [
                "x-any",
                "cookie",
                "user-agent",
                "authorization",
                "x-api-key",
                "referer",
                "accept",
                "x-forwarded-for",
                "x-portcullis-consumer",
                "content-type",
                "x-geo-country",
            ];
            let lines: Vec<Vec<u8>> = names.iter().map(|name| line(name)).collect();
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let response = get(&mut client, "/orders/1", &lines);
            assert!(matches!(response.status, 401 | 403), "{}", response.status);
        }
    });
    for _ in 0..50 {
        let response = get(&mut connect(address), "/orders/1", &[good.as_bytes(), for_office]);
        assert_eq!(response.status, 200);
    }
    assert!(!envoy.own_log().contains("unreachable"), "{}", envoy.own_log());
}

/// W16: what Envoy lets through and the filter cannot edit is not forwarded unedited.
#[test]
fn a_request_too_large_to_edit_is_not_forwarded_unedited() {
    let envoy = envoy(&reference(), 2);
    let address = envoy.listeners["only"];
    let key = format!("x-api-key: {}", api_key("alpha"));
    for count in [1000_usize, 1020, 1023, 1024, 1025, 2000] {
        let id = format!("case-large-{count}");
        let mut lines = vec![b"x-forwarded-for: 198.51.100.7".to_vec(), key.clone().into_bytes()];
        lines.push(format!("x-request-id: {id}").into_bytes());
        lines.extend((0..count).map(|number| format!("x-{number}: v").into_bytes()));
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let response = get(&mut connect(address), "/orders/1", &lines);
        let arrived = envoy.upstream.take(&id);
        assert_eq!(response.status == 200, arrived.is_some(), "{count}: {}", response.status);
        if let Some(arrived) = arrived {
            assert!(arrived.headers.iter().all(|(name, _)| name != b"x-api-key"), "{count}");
        }
    }
    let response = get(
        &mut connect(address),
        "/orders/1",
        &[key.as_bytes(), b"x-forwarded-for: 198.51.100.7"],
    );
    assert_eq!(response.status, 200);
}
