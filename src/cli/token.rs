//! `portcullis token`: tokens looked at, and tokens and keys made for tests.

use clap::{Args, Subcommand};

use crate::exit::Exit;

mod keys;
mod mint;

#[derive(Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a token for tests, signed with a private JWK.
    Mint(Box<mint::Mint>),
    /// Make keys for tests, and their public halves.
    Key(keys::Keys),
}

pub(crate) fn run(arguments: &Token) -> Exit {
    match &arguments.command {
        Command::Mint(mint) => mint::run(mint),
        Command::Key(keys) => keys::run(keys),
    }
}
