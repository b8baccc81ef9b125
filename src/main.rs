//! The program `metaqnn`.
fn main() {}
