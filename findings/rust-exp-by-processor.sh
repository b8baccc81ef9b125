#!/usr/bin/env bash
# What one Rust program computes from one data set has other bits on another processor: a support vector machine.
#
# One would guess: Rust promises IEEE 754 and never fuses a multiplication and an addition, the program is
# one file, the seed and the data are the same; so the result is too.
# What happens: `f64::exp`, `ln`, `powf` are calls of the C library, and glibc takes a variant with FMA where the
# processor has it, which differs in the last bit for about one argument in a thousand. The RBF kernel of libsvm-rs
# is such a call, so predictions differ. (Coefficients seldom do: the solver keeps kernel values in 32 bits.)
# Why it matters here: a model with its held-out errors is stored, computed again elsewhere and compared by
# checksum; a sound experiment was called damaged on a node of an older kind. (Here: crate `libm`, kernel values
# and solver of our own.)
#
# Versions: libsvm-rs 0.9.2, Rust 1.95.0, glibc 2.36 (Debian 12), an x86-64 with FMA. 2026-11-28.
# Exit 0: as described. Exit 1: the behaviour has changed. Exit 2: it cannot be tried here.
set -euo pipefail
grep -qw fma /proc/cpuinfo && libc=$(getconf GNU_LIBC_VERSION) || { echo "needs glibc and a processor with FMA"; exit 2; }
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
libsvm-rs = "=0.9.2"
END
cat >src/main.rs <<'END'
use libsvm_rs::{KernelType, SvmNode, SvmParameter, SvmProblem, SvmType, predict::predict, set_quiet, train::svm_train};

fn main() {
    set_quiet(true);
    let exponentials = (0..1_000_000).map(|i| (-f64::from(i) * 1e-5).exp().to_bits());
    println!("sum of the bits of a million exponentials: {:x}", exponentials.fold(0, u64::wrapping_add));
    // Two features and a target spread over [0, 1).
    let part = |i: u32, step: f64| (f64::from(i) * step).fract();
    let problem = SvmProblem {
        labels: (0..300).map(|i| part(i, 0.236068)).collect(),
        instances: (0..300)
            .map(|i| vec![SvmNode { index: 1, value: part(i, 0.618034) }, SvmNode { index: 2, value: part(i, 0.414214) }])
            .collect(),
    };
    let parameters = SvmParameter {
        svm_type: SvmType::NuSvr,
        kernel_type: KernelType::Rbf,
        gamma: 3.0,
        c: 10.0,
        nu: 0.5,
        ..SvmParameter::default()
    };
    let model = svm_train(&problem, &parameters);
    let predictions = problem.instances.iter().map(|point| predict(&model, point).to_bits());
    println!("sum of the bits of 300 predictions of a nu-SVR: {:x}", predictions.fold(0, u64::wrapping_add));
}
END
cargo build --release --quiet
echo "$(rustc --version), $libc, libsvm-rs $(grep -A1 'name = "libsvm-rs"' Cargo.lock | sed -n 's/version = "\(.*\)"/\1/p')"
here=$(target/release/finding)
there=$(GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX,-AVX512F target/release/finding)
printf 'with FMA\n%s\nwithout FMA\n%s\n' "$here" "$there"
[ "$(sed -n 1p <<<"$here")" != "$(sed -n 1p <<<"$there")" ] && [ "$(sed -n 2p <<<"$here")" != "$(sed -n 2p <<<"$there")" ] ||
  { echo "CHANGED: the two are equal"; exit 1; }
