//! Keys for the issuers of a policy where no Envoy fetches them: from files, and from the environment.

use std::rc::Rc;

use portcullis_core::{KeyOrigin, KeySet, Policy, PureVerifier, Timestamp, Tokens};

use crate::exit::Exit;
use crate::output::{file_name, plain};
use crate::read;

/// An issuer's name, and the file of its key set.
#[derive(Clone)]
pub(crate) struct KeysOf {
    pub(crate) issuer: String,
    pub(crate) file: String,
}

/// `ISSUER=FILE`.
pub(crate) fn of(text: &str) -> Result<KeysOf, String> {
    let (issuer, file) = text
        .split_once('=')
        .ok_or_else(|| "written as ISSUER=FILE, the issuer by its name in the policy".to_owned())?;
    Ok(KeysOf { issuer: issuer.to_owned(), file: file.to_owned() })
}

/// All keys that can be had: those of the policy, of the files, and of the environment.
pub(crate) fn gather(
    policy: &Policy,
    files: &[KeysOf],
) -> Result<Tokens<PureVerifier>, (Exit, String)> {
    // Whoever runs the companion asks for a few tokens: nobody aims at places of its cache.
    let mut tokens = Tokens::new(policy, PureVerifier, [0; 16]);
    // What is missing is told where it makes a difference.
    let _ = tokens.read_secrets(policy, |name| {
        std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
    });
    for KeysOf { issuer: name, file } in files {
        let issuer = policy.issuers().iter().find(|issuer| issuer.name() == name.as_str());
        let issuer = issuer
            .ok_or_else(|| (Exit::Usage, format!("the policy has no issuer `{}`", plain(name))))?;
        if matches!(issuer.keys(), KeyOrigin::Secrets(_)) {
            let why = "has secrets, which are read from the environment";
            return Err((Exit::Usage, format!("the issuer `{}` {why}", plain(name))));
        }
        let set = open(file, issuer.algorithms())?;
        tokens.put_keys(issuer, Rc::new(set), Timestamp::LAST);
    }
    Ok(tokens)
}

/// Reads a key set of which at least one key can be used.
pub(crate) fn open(
    file: &str,
    algorithms: &[portcullis_core::Algorithm],
) -> Result<KeySet, (Exit, String)> {
    let name = file_name(file);
    let text = read::read(file).map_err(|why| (Exit::Unreadable, format!("{name} {why}")))?;
    KeySet::read(text.as_bytes(), algorithms).map_err(|fault| {
        let why = format!("{name}: {}: see `portcullis jwks check`", fault.meaning());
        (Exit::PolicyErrors, why)
    })
}

/// Which issuers have no keys, and how to give them some.
pub(crate) fn missing<V: portcullis_core::SignatureVerifier>(
    policy: &Policy,
    tokens: &Tokens<V>,
    now: Timestamp,
) -> Vec<String> {
    let without = policy.issuers().iter().filter(|issuer| !tokens.has_keys(issuer, now));
    without
        .map(|issuer| {
            format!("the issuer `{}` has no keys here: {}", issuer.name(), wanted(issuer.keys()))
        })
        .collect()
}

/// How to give an issuer keys.
pub(crate) fn wanted(origin: &KeyOrigin) -> String {
    match origin {
        KeyOrigin::Inline(_) => "they stand in the policy".to_owned(),
        KeyOrigin::Secrets(names) => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("set {} (base64url)", names.join(" or "))
        }
        KeyOrigin::Remote(remote) => {
            format!(
                "Envoy would fetch them from the cluster `{}`; give them with `--jwks`",
                remote.cluster
            )
        }
    }
}
