//! Cargo's build script: gives `metaqnn-torch`, and nothing else, the run path of libtorch, and the
//! versions to name: that of libtorch, and the commit.
#![allow(clippy::print_stdout)] // Cargo reads directives from stdout.
fn main() {
    println!("cargo:rerun-if-changed=scripts/link-libtorch.rs");
    name_commit();
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

/// `METAQNN_VERSION` is `0.1.0 (5d49cba12345)`, with a mark where files differ from the commit;
/// without a repository of its own the number alone.
fn name_commit() {
    let git = |words: &[&str]| {
        let output = std::process::Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(text)
    };
    // The source may lie within a repository of something else.
    let is_own = git(&["rev-parse", "--show-prefix"]).is_some_and(|prefix| prefix.is_empty());
    let describe = ["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=, changed"];
    let commit = git(&describe).filter(|_| is_own);
    let commit = commit.map_or(String::new(), |commit| format!(" ({commit})"));
    println!("cargo:rustc-env=METAQNN_VERSION={}{commit}", env!("CARGO_PKG_VERSION"));
    for changed in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={changed}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| is_own) {
        println!("cargo:rerun-if-changed={log}");
    }
}
