//! The program from exec to exit, as a person waits for it.

use std::path::Path;
use std::process::{Command, Stdio};

use metaqnn::internals::{EndedJobs, reduce};

use crate::measured::Measured;
use crate::search::{self, SearchPlan};

/// Measures commands.
pub fn measure() {
    run("metaqnn --version", &["--version"], "from exec to work: under 20 ms");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/cifar10.yaml");
    run("metaqnn space", &["space", shipped.to_str().unwrap()], "under 1 s");
    for (results, compared_with) in
        [(10, "under 20 ms"), (1_000, "under 300 ms"), (10_000, "under 300 ms")]
    {
        status(results, compared_with);
    }
}

/// Measures how long a person waits for `status`.
pub fn status(results: u64, compared_with: &str) {
    let folder = tempfile::tempdir().unwrap();
    let experiment =
        search::write(folder.path(), SearchPlan { results, epsilon: 1.0, per_task: 1 });
    reduce(&experiment, &EndedJobs::None).unwrap();
    let directory = experiment.dir().root().to_str().unwrap();
    run(&format!("metaqnn status, {results} results"), &["status", directory], compared_with);
}

fn run(name: &str, arguments: &[&str], compared_with: &str) {
    let measured = Measured::of(20, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metaqnn"));
        let status = command.args(arguments).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    });
    measured.print(name, compared_with);
}
