//! The program `metaqnn`.

fn main() -> std::process::ExitCode {
    metaqnn::run()
}
