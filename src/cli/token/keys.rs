//! `portcullis token key`: private keys for tests, and the key sets that go with them.

use clap::{Args, Subcommand};
use portcullis_core::{Algorithm, KeyKind};
use portcullis_mint::{TestKey, key_set};

use crate::exit::Exit;
use crate::output::{complain, file_name, print_json, print_lines};
use crate::read;

#[derive(Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a private key for tests and print it as a JWK.
    New(New),
    /// Print the key set of private JWKs: their public halves.
    Public(Public),
}

#[derive(Args)]
struct New {
    /// What it signs with: RS256, ES256, `EdDSA`, HS256 and so on.
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Algorithm,
    /// Its id; left out, its thumbprint (RFC 7638), and none for HMAC.
    #[arg(long, value_name = "ID", value_parser = key_id)]
    kid: Option<String>,
    /// The size of an RSA key.
    #[arg(long, value_name = "N", default_value = "2048", value_parser = bits)]
    bits: usize,
}

#[derive(Args)]
struct Public {
    /// Private JWKs, one a file; `-` is the standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<String>,
}

pub(crate) fn run(arguments: &Keys) -> Exit {
    match &arguments.command {
        Command::New(new) => make(new),
        Command::Public(public) => publish(public),
    }
}

fn make(new: &New) -> Exit {
    let mut seed = [0; 32];
    if let Err(error) = getrandom::fill(&mut seed) {
        complain(&format!("error: the system has no randomness: {error}"));
        return Exit::Unreadable;
    }
    let key = TestKey::generate_sized(new.algorithm, new.bits, None, &seed);
    let id = new.kid.clone().or_else(|| key.thumbprint());
    print_json(&key.with_id(id.as_deref()).private_jwk());
    complain("note: a private key for tests, not for an issuer that anybody trusts");
    if new.algorithm.key_kind() == KeyKind::Secret {
        complain("note: `k` is the text for the variable that the policy names in `secrets`");
    }
    Exit::Success
}

fn publish(public: &Public) -> Exit {
    let mut keys = Vec::new();
    for file in &public.files {
        match open(file) {
            Ok(key) if key.public_jwk().is_none() => {
                complain(&format!(
                    "error: {} is a secret, which has no public half",
                    file_name(file)
                ));
                return Exit::Usage;
            }
            Ok(key) => keys.push(key),
            Err(exit) => return exit,
        }
    }
    print_lines(&[key_set(&keys)]);
    Exit::Success
}

/// Reads a private JWK; what is wrong with it is told, and nothing of it.
pub(super) fn open(file: &str) -> Result<TestKey, Exit> {
    let text = read::read(file).map_err(|why| {
        complain(&format!("error: {} {why}", file_name(file)));
        Exit::Unreadable
    })?;
    TestKey::from_jwk(&text).map_err(|fault| {
        complain(&format!("error: {} holds no private JWK: {fault}", file_name(file)));
        Exit::Usage
    })
}

pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
    let names: Vec<_> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    Algorithm::parse(name).ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// An id that the gateway takes.
fn key_id(id: &str) -> Result<String, String> {
    let good = (1..=256).contains(&id.len());
    good.then(|| id.to_owned()).ok_or_else(|| "an id has 1 to 256 bytes".to_owned())
}

fn bits(text: &str) -> Result<usize, String> {
    let bits = text.parse().ok().filter(|bits| matches!(bits, 2048 | 3072 | 4096));
    bits.ok_or_else(|| "2048, 3072 or 4096".to_owned())
}
