//! Cargo's build script: gives `metaqnn-torch`, and nothing else, the run path of libtorch, and its
//! version to name.
#![allow(clippy::print_stdout)] // Cargo reads directives from stdout.
fn main() {
    println!("cargo:rerun-if-changed=scripts/link-libtorch.rs");
    if std::env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let libraries = std::env::var("DEP_TCH_LIBTORCH_LIB")
        .expect("torch-sys tells where libtorch lies, since it is a direct dependency");
    println!("cargo:rustc-link-arg-bin=metaqnn-torch=-Wl,-rpath,{libraries}");
    // The CUDA part registers itself when loaded, so the linker must not drop it as unused.
    println!("cargo:rustc-link-arg-bin=metaqnn-torch=-Wl,--no-as-needed");
    println!("cargo:rustc-link-arg-bin=metaqnn-torch=-ltorch");
    // Some packages of libtorch lack it.
    let file = std::path::Path::new(&libraries).with_file_name("build-version");
    let version = std::fs::read_to_string(file).unwrap_or_else(|_| "of unknown version".into());
    println!("cargo:rustc-env=LIBTORCH_VERSION={}", version.trim());
}
