//! What a real Envoy must hold besides the cases: hostile bytes in number, limits shared by workers,
//! flat memory, a broken policy refused in the same words everywhere, no secret in any output.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

mod gateway {
    mod bound;
    mod charges;
    mod flights;
    mod flood;
    mod limits;
    mod reload;
    mod secrets;
    mod soak;
    mod support;
    mod survival;
    mod traps;
}
