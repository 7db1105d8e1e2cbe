//! The shipped limits in Limitador's own engine: they mean what those of envoyproxy/ratelimit mean.
//!
//! Descriptors are bound as Limitador's server binds them (`limitador-server`, `envoy_rls/server.rs`): the
//! variable `descriptors`, a list with a map of each descriptor's entries.

#![cfg(test)]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use limitador::RateLimiter;
use limitador::limit::{Context, Limit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The form of envoyproxy/ratelimit, as far as ours goes.
#[derive(Deserialize)]
struct Config {
    domain: String,
    descriptors: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Descriptor {
    key: String,
    value: Option<String>,
    #[serde(default)]
    descriptors: Vec<Descriptor>,
    rate_limit: Option<Rate>,
}

#[derive(Deserialize)]
struct Rate {
    unit: String,
    requests_per_unit: u64,
}

type Checked = Result<(), Box<dyn Error>>;

fn shipped<T: DeserializeOwned>(name: &str) -> Result<T, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../envoy/fleet");
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(folder.join(name))?)?)
}

/// Limitador with the shipped limits, read as its server reads them.
fn limiter() -> Result<RateLimiter, Box<dyn Error>> {
    let limiter = RateLimiter::new(1_000);
    for limit in shipped::<Vec<Limit>>("limitador.yaml")? {
        assert!(limiter.add_limit(limit), "a limit stands there twice");
    }
    Ok(limiter)
}

/// Whether that many hits of a descriptor are within its limits.
fn admits(
    limiter: &RateLimiter,
    domain: &str,
    entries: &[(&str, &str)],
    hits: u64,
) -> Result<bool, Box<dyn Error>> {
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut context = Context::default();
    context.list_binding("descriptors".to_owned(), vec![entries.collect::<HashMap<_, _>>()]);
    let domain = domain.into();
    Ok(!limiter.check_rate_limited_and_update(&domain, &context, hits)?.limited)
}

#[test]
fn the_same_descriptors_have_the_same_limits() -> Checked {
    let config: Config = shipped("ratelimit.yaml")?;
    let limiter = limiter()?;
    let limits = shipped::<Vec<Limit>>("limitador.yaml")?;
    assert_eq!(
        limits.len(),
        config.descriptors.len(),
        "one file has a limit that the other has not"
    );
    for level in &config.descriptors {
        let name = level.value.as_deref().ok_or("a limit without a name")?;
        let [below] = level.descriptors.as_slice() else {
            return Err("not one key a limit".into());
        };
        let rate = below.rate_limit.as_ref().ok_or("a key without a rate")?;
        assert_eq!(rate.unit, "minute");
        let of = |consumer| [(level.key.as_str(), name), (below.key.as_str(), consumer)];
        let domain = config.domain.as_str();
        // One by one to the end, then no more; another consumer has a count of its own.
        for _ in 0..rate.requests_per_unit {
            assert!(admits(&limiter, domain, &of("one"), 1)?, "{name}");
        }
        assert!(!admits(&limiter, domain, &of("one"), 1)?, "{name}");
        // What a route costs, or a lease takes, counts as so many.
        assert!(admits(&limiter, domain, &of("other"), rate.requests_per_unit)?, "{name}");
        assert!(!admits(&limiter, domain, &of("other"), 1)?, "{name}");
    }
    assert!(limits.iter().all(|limit| limit.seconds() == 60));
    Ok(())
}

#[test]
fn what_no_limit_is_meant_for_passes() -> Checked {
    let limiter = limiter()?;
    for entries in [
        &[("limit", "nobody-has-this"), ("consumer", "one")][..],
        &[("limit", "trial")],
        &[("consumer", "one")],
    ] {
        assert!(admits(&limiter, "portcullis", entries, 1_000_000)?, "{entries:?}");
    }
    assert!(admits(&limiter, "other", &[("limit", "trial"), ("consumer", "one")], 1_000_000)?);
    Ok(())
}

#[test]
fn hits_that_do_not_fit_are_not_counted() -> Checked {
    // envoyproxy/ratelimit counts them: a lease that does not fit loses the rest of its window there.
    let limiter = limiter()?;
    let entries = [("limit", "trial"), ("consumer", "one")];
    assert!(!admits(&limiter, "portcullis", &entries, 31)?);
    assert!(admits(&limiter, "portcullis", &entries, 30)?);
    Ok(())
}
