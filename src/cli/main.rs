//! `portcullis`, the native companion of the filter: the same core, one file a sub-command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod choose;
mod clock;
mod exit;
mod explain;
mod find;
mod jwks;
mod key;
mod keys;
mod output;
mod read;
mod schema;
mod token;

/// Checks policies and key sets, explains decisions, makes API keys, looks at tokens.
#[derive(Parser)]
#[command(
    name = "portcullis",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 success, 1 a policy, its deployment or a key set has errors, 2 the command \
                  line or the standard input cannot be used, 3 a file cannot be read or parsed, 4 the \
                  explained request or the inspected token is refused."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check policies, and the Envoy, Istio or Envoy Gateway files that hold them.
    Check(check::Check),
    /// Explain what becomes of a request, and why: exit code 0 if it is allowed, 4 if it is refused.
    Explain(explain::Explain),
    /// Check the key sets of token issuers.
    Jwks(jwks::Jwks),
    /// Make API keys and their digests.
    Key(key::Key),
    /// Print the JSON Schema of the policy language.
    Schema(schema::Schema),
    /// Look at tokens; make tokens and keys for tests.
    Token(token::Token),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Jwks(arguments) => jwks::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
    }
    .into()
}
