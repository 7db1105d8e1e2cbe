//! Signed tokens of others with their keys, and whether they are to be accepted here. Every answer
//! that is not that of the source is explained.

use crate::vectors::{document, folder};
use portcullis_core::{Algorithm, Jws, KeySet};
use serde_json::{Value, json};

/// Longest token that a policy can allow, in bytes.
pub const MAX_TOKEN: usize = 65_536;

/// A token and what it is held against.
pub struct Token {
    /// Where it is from.
    pub source: String,
    /// One key, or a set.
    pub keys: Value,
    pub text: String,
    /// Whether it is signed by the key, or by one of the set.
    pub good: bool,
}

impl Token {
    /// The keys, each as the source has it.
    pub fn keys(&self) -> Vec<Value> {
        self.keys["keys"].as_array().cloned().unwrap_or_else(|| vec![self.keys.clone()])
    }

    /// The symmetric keys that the token may be held against, each with its algorithm: they are refused
    /// in a set, so they are taken as secrets of the environment. `None`: there are others as well.
    pub fn secrets(&self) -> Option<Vec<(Option<Algorithm>, String)>> {
        let keys = self.keys();
        if !keys.iter().all(|key| key["kty"] == "oct") {
            return None;
        }
        let jws = Jws::parse(self.text.as_bytes(), MAX_TOKEN).ok();
        let id = jws.as_ref().and_then(|jws| jws.key_id.as_deref());
        let named = keys.iter().filter(|key| id.is_none() || key["kid"].as_str() == id);
        let secret = |key: &Value| {
            let algorithm = match key["alg"].as_str() {
                Some(name) => Algorithm::parse(name),
                None => jws.as_ref().map(|jws| jws.algorithm),
            };
            (algorithm, key["k"].as_str().expect("a secret").to_owned())
        };
        Some(named.map(secret).collect())
    }

    /// The keys as a set.
    pub fn set(&self) -> String {
        json!({ "keys": self.keys() }).to_string()
    }
}

/// Our answers where they are not Wycheproof's: file, cases, answer, reason.
const OTHERWISE: [(&str, &[u64], bool, &str); 6] = [
    ("signature", &[346, 350], false, "the token's alg is PS384, the key's PS256"),
    ("signature", &[347, 351], false, "the key's alg is `ES521`, and P-521 is not offered"),
    ("signature", &[372, 373], false, "a `?` stands in a part: one spelling for every token"),
    ("signature", &[367, 370], true, "the padding was lost in the file: these tokens are good"),
    ("key", &[7], true, "a ROCA key has no mark but its history; it is 2048 bits of RSA"),
    ("crypto", &[46], true, "the same ROCA key"),
];

/// Project Wycheproof's.
pub fn wycheproof() -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    for kind in ["signature", "key", "crypto"] {
        let set = document("wycheproof", &format!("json_web_{kind}_test.json"))?;
        for group in set["testGroups"].as_array().expect("groups") {
            let keys = group.get("public").unwrap_or(&group["private"]);
            for test in group["tests"].as_array().expect("tests") {
                let Some(text) = test["jws"].as_str() else { continue };
                let id = test["tcId"].as_u64().expect("an id");
                let otherwise =
                    OTHERWISE.iter().find(|(file, ids, ..)| *file == kind && ids.contains(&id));
                // A token without claims is none.
                let valid = test["result"] == "valid" && !text.contains("..");
                tokens.push(Token {
                    source: format!("wycheproof {kind} {id}"),
                    keys: keys.clone(),
                    text: text.to_owned(),
                    good: otherwise.map_or(valid, |(_, _, answer, _)| *answer),
                });
            }
        }
    }
    Some(tokens)
}

/// Those printed in RFCs.
pub fn rfcs() -> Option<Vec<Token>> {
    let cases = document("rfc-jose", "rfc_tokens.json")?;
    let token = |case: &Value| {
        let id = case["id"].as_str().expect("an id");
        let good = match id {
            // P-521 is not offered; JSON serialization and detached payloads are not compact tokens.
            "RFC7515-A.4" | "RFC7515-A.6-flattened-as-bearer" | "RFC7797-4.2-detached" => false,
            _ => case["signature_valid"] == true,
        };
        let text = case["token"].as_str().map_or_else(|| case["token"].to_string(), str::to_owned);
        Token { source: id.to_owned(), keys: case["jwk"].clone(), text, good }
    };
    Some(cases["cases"].as_array().expect("cases").iter().map(token).collect())
}

/// The cookbook of RFC 7520, with its later additions. It prints private keys: those are refused as
/// they are, and make the second token of each.
pub fn cookbook() -> Option<Vec<Token>> {
    let folder = folder("rfc7520-cookbook")?;
    let files = ["jws", "curve25519", "rfc7797", "jwe"].map(|name| folder.join(name));
    let mut tokens = Vec::new();
    for file in files.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder")) {
        let path = file.expect("a file").path();
        let text = std::fs::read(&path).expect("a file");
        let case: Value = serde_json::from_slice(&text).expect("JSON");
        let Some(text) = case["output"]["compact"].as_str() else { continue };
        let source = format!("cookbook {}", path.file_name().expect("a name").display());
        let private = case["input"]["key"].clone();
        let mut public = private.clone();
        if let Some(members) = public.as_object_mut() {
            members.retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
            if let Some(algorithm) = case["input"]["alg"].as_str() {
                members.insert("alg".to_owned(), algorithm.into());
            }
        }
        let offered = case["input"]["alg"].as_str().and_then(Algorithm::parse).is_some();
        let good = case["signing"].is_object() && offered;
        if private.get("d").is_some() {
            let source = format!("{source}, private");
            tokens.push(Token { source, keys: private, text: text.to_owned(), good: false });
        }
        tokens.push(Token { source, keys: public, text: text.to_owned(), good });
    }
    Some(tokens)
}

/// Those of the library in Envoy. Keys in PEM are not offered, JSON with a comma too many is not JSON.
pub fn envoys_library() -> Option<Vec<Token>> {
    let cases = document("jwt_verify_lib", "verify_cases.json")?;
    let mut tokens = Vec::new();
    for case in cases["cases"].as_array().expect("cases") {
        let text = case["key"].as_str().filter(|_| case["key_format"] == "JWKS");
        let Some(Ok(keys)) = text.map(serde_json::from_str::<Value>) else { continue };
        let name = case["test"].as_str().expect("a name");
        let text = case["token"].as_str().expect("a token");
        let algorithm = Jws::parse(text.as_bytes(), MAX_TOKEN).ok().map(|jws| jws.algorithm);
        let good = match name {
            // P-521 is not offered; a key without `alg` is bound to the first that the policy lists,
            // here RS256.
            "KidES512OK" | "JwtTextWithNoKidOk" => false,
            // That library tries every key in turn; a token without `kid` names none of several.
            "NoKidOK" | "NoKidLongExpOK" if of_algorithm(&keys, algorithm) != 1 => false,
            _ => case["expected"] == "Ok",
        };
        let source = format!("jwt_verify_lib {} {name} {}", tokens.len(), case["expected"]);
        tokens.push(Token { source, keys, text: text.to_owned(), good });
    }
    Some(tokens)
}

/// How many keys of a set an algorithm could have signed with.
fn of_algorithm(keys: &Value, algorithm: Option<Algorithm>) -> usize {
    let set = KeySet::read(keys.to_string().as_bytes(), &Algorithm::ALL);
    set.map_or(0, |set| set.keys().iter().filter(|key| Some(key.algorithm()) == algorithm).count())
}

/// Those of Envoy Gateway and of Higress.
pub fn other_gateways() -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let cases = document("gateway-jwts", "envoy_gateway_jwts.json")?;
    let keys = document("gateway-jwts", "envoy_gateway_jwks.json")?;
    for (number, case) in cases["cases"].as_array().expect("cases").iter().enumerate() {
        let text = case["token"].as_str().expect("a token").to_owned();
        let one = json!({ "keys": [keys["keys"][0]] });
        let source = format!("envoy gateway {number}");
        tokens.push(Token { source: source.clone(), keys: one, text: text.clone(), good: true });
        // Two keys have the token's algorithm and it names neither.
        let source = format!("{source}, two keys");
        tokens.push(Token { source, keys: keys.clone(), text, good: false });
    }
    let cases = document("gateway-jwts", "higress_jwts.json")?;
    let keys = document("gateway-jwts", "higress_keys.json")?;
    for (number, case) in cases["jwts"].as_array().expect("tokens").iter().enumerate() {
        tokens.push(Token {
            source: format!("higress {number}"),
            keys: keys.clone(),
            text: case["token"].as_str().expect("a token").to_owned(),
            good: case["alg"].as_str().and_then(Algorithm::parse).is_some(),
        });
    }
    Some(tokens)
}
