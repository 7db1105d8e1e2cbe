//! Tokens of others, judged inside Envoy: what `jose.rs` says of the pure verifier holds for both.

use portcullis_tests::probe;
use portcullis_tests::tokens::{self, Token};
use serde_json::{Value, json};

#[test]
fn tokens_are_judged_alike() {
    let all = [
        tokens::wycheproof(),
        tokens::rfcs(),
        tokens::cookbook(),
        tokens::envoys_library(),
        tokens::other_gateways(),
    ];
    let all: Vec<Token> = all.into_iter().flatten().flatten().collect();
    if all.is_empty() {
        return;
    }
    let groups: Vec<Vec<Value>> = all.iter().map(groups).collect();
    let letters = probe::letters(&groups.concat());
    let (mut good, mut native) = (0, 0);
    for (token, groups) in all.iter().zip(&groups) {
        let letters: String =
            groups.iter().map(|group| letters[group["name"].as_str().unwrap()].as_str()).collect();
        let by_both = letters.matches(['A', '+']).count();
        let disagreed = letters.matches(['P', 'E', '!']).count();
        assert_eq!((by_both > 0, disagreed), (token.good, 0), "{}: {letters}", token.source);
        good += by_both;
        native += letters.matches(['A', 'R']).count();
    }
    println!("{} tokens, {good} good, {native} judged by Envoy as well", all.len());
    assert!(good > 30 && native > 100, "{good} {native}");
}

/// A group for the key set, or one for each secret.
fn groups(token: &Token) -> Vec<Value> {
    let (source, tokens) = (&token.source, [&token.text]);
    let Some(secrets) = token.secrets() else {
        return vec![json!({"name": source, "keys": token.set(), "tokens": tokens})];
    };
    let group = |(number, (algorithm, secret)): (usize, (Option<_>, _))| {
        let algorithm = algorithm.map_or("none", portcullis_core::Algorithm::name);
        let name = format!("{source}, secret {number}");
        json!({"name": name, "algorithm": algorithm, "secret": secret, "tokens": tokens})
    };
    secrets.into_iter().enumerate().map(group).collect()
}
