//! Mints the tokens that `scripts/bench` sends, and writes the keys that verify them.
//!
//! Arguments: an algorithm, how many, a folder. The folder then has `tokens` (one a line, each with
//! another `jti`), `jwks.json`, `secret` where the algorithm has one, and two tokens that are not
//! measured: `good`, and `unscoped`, which lacks the scope.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};

/// As many clients as the policies of `tests/bench/chains.py` name.
const CLIENTS: usize = 1_000;
const LIFETIME: u64 = 86_400;
const GRANTED: &str = "orders:read orders:write profile";

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [algorithm, count, folder] = arguments.as_slice() else {
        return Err("arguments: ALGORITHM COUNT FOLDER".to_owned());
    };
    let algorithm =
        Algorithm::parse(algorithm).ok_or_else(|| format!("`{algorithm}` is no algorithm"))?;
    let count: usize = count.parse().map_err(|_| format!("`{count}` is not a number"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;

    // Another key with every run: nothing of an earlier one can be taken for it.
    let seed = now.as_nanos().to_le_bytes();
    let key = TestKey::generate(algorithm, Some("current"), &seed);
    let other = TestKey::generate(algorithm, Some("former"), b"the key before it");
    let mint = Mint { key: &key, now: now.as_secs() };

    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).map_err(|error| format!("`{name}`: {error}"))
    };
    if let Some(secret) = key.secret() {
        write("secret", secret)?;
        // For Envoy's own filter, which has secrets in its configuration.
        write(
            "jwks.json",
            format!(r#"{{"keys":[{},{}]}}"#, other.private_jwk(), key.private_jwk()),
        )?;
    } else {
        write("jwks.json", key_set([&other, &key]))?;
    }
    write("good", mint.token(1, GRANTED))?;
    write("unscoped", mint.token(1, "orders:readonly profile"))?;
    write("tokens", mint.tokens(count)?)
}

struct Mint<'k> {
    key: &'k TestKey,
    now: u64,
}

impl Mint<'_> {
    fn token(&self, number: usize, scope: &str) -> String {
        let Self { key, now } = self;
        let name = key.algorithm().name();
        let header = format!(
            r#"{{"alg":"{name}","typ":"at+jwt","kid":"{}"}}"#,
            key.id().unwrap_or_default()
        );
        let claims = format!(
            r#"{{"iss":"https://id.example.com","aud":"orders-api","sub":"user-{number}","client_id":"client-{}","exp":{},"iat":{now},"nbf":{now},"jti":"{now:x}-{number:08x}","scope":"{scope}"}}"#,
            number.checked_rem(CLIENTS).unwrap_or(0),
            now.saturating_add(LIFETIME),
        );
        key.sign_raw(&header, claims)
    }

    /// On all cores: a signature of RSA takes its time.
    fn tokens(&self, count: usize) -> Result<String, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = count.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..count)
                .step_by(share)
                .map(|first| {
                    scope.spawn(move || {
                        let numbers = first..first.saturating_add(share).min(count);
                        numbers.fold(String::new(), |mut lines, number| {
                            // Writing to a String cannot fail.
                            let _ = writeln!(lines, "{}", self.token(number, GRANTED));
                            lines
                        })
                    })
                })
                .collect();
            let parts =
                parts.into_iter().map(|part| part.join().map_err(|_| "a thread died".to_owned()));
            parts.collect()
        })
    }
}
