//! Portcullis's decision: a policy and a request in, a [`Decision`] out.
//!
//! The crate knows no host, no clock, no file and no randomness: the caller hands in the request, the
//! time and the buckets, and carries out the [`Effects`].

pub mod config;
mod time;

pub use time::Timestamp;
