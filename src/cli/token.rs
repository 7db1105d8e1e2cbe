//! `portcullis token`: tokens looked at, and tokens and keys made for tests.

use clap::{Args, Subcommand};

use crate::exit::Exit;

mod inspect;
mod keys;
mod mint;

#[derive(Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a token says, and tell what of it was checked: exit code 4 when a check fails.
    Inspect(inspect::Inspect),
    /// Make a token for tests, signed with a private JWK.
    Mint(Box<mint::Mint>),
    /// Make keys for tests, and their public halves.
    Key(keys::Keys),
}

pub(crate) fn run(arguments: &Token) -> Exit {
    match &arguments.command {
        Command::Inspect(inspect) => inspect::run(inspect),
        Command::Mint(mint) => mint::run(mint),
        Command::Key(keys) => keys::run(keys),
    }
}
