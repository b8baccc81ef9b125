#!/usr/bin/env bash
# The normal distribution function of Rust's statrs has ten digits, not sixteen.
#
# One would guess: an error function in `f64` by rational approximations, as in Boost, is right to a few units in
# the last place; what differs in the eleventh digit comes from the data.
# What happens: `Normal::cdf`, `erf` and `erfc` are wrong by up to 1e-10 of their value, worst at z = -0.7072 and
# for erf just above 0.5. Boost's constants such as 0.3440242112f are numbers of 32 bits, 0.34402421116828918; statrs
# adds the decimals as they are printed. 0.19.1, the newest, has it too.
# Why it matters here: the probability that stops a training, and its comparison with scipy or another program
# at 1e-12. (Here: 0.5 * erfc(-z / sqrt 2) of crate `libm`.)
#
# Versions: statrs 0.18.0 and 0.19.1, libm 0.2.16, Rust 1.95.0. 2026-11-28.
# Exit 0: as described. Exit 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"
[dependencies]
libm = "=0.2.16"
old = { package = "statrs", version = "=0.18.0", default-features = false }
new = { package = "statrs", version = "=0.19.1", default-features = false }
END
cat >src/main.rs <<'END'
use new::distribution::ContinuousCDF as _;
use old::distribution::ContinuousCDF as _;

fn main() {
    let z = -0.7072;
    // mpmath.ncdf(-0.7072) with 40 digits.
    let right = 0.239_721_099_283_345_39;
    let error = |value: f64| (value / right - 1.0).abs();
    let found = [
        ("statrs 0.18.0", old::distribution::Normal::standard().cdf(z)),
        ("statrs 0.19.1", new::distribution::Normal::standard().cdf(z)),
        ("libm 0.2.16  ", 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)),
    ];
    println!("Phi(-0.7072) is   {right:.17}");
    for (name, value) in found {
        println!("{name}     {value:.17}, wrong by {:.1e} of it", error(value));
    }
    let [old, new, libm] = found.map(|(_, value)| error(value));
    if old < 1e-11 || new < 1e-11 || libm > 1e-15 {
        println!("CHANGED");
        std::process::exit(1);
    }
}
END
cargo run --release --quiet
