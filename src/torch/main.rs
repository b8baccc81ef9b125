//! The program `metaqnn-torch`.
fn main() {}
