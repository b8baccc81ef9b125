//! A disk that is full for a while, for real: a small memory file system, where this user may mount one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Experiment, SMALL, skip, wait_until};

/// A file system of a few hundred kilobytes at the experiment's `small/`, unmounted in the end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it, where this user may.
    pub fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    /// Fills it to the last byte with one file.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Tells the first epoch once the file `begin` is there, and the 199 others once `go` is: a curve
/// of several pages, which do not fit on a full disk.
const TRAINER: &str = "trainer: command, command: [sh, -c, 'read request; until [ -e begin ]; do sleep 0.02; done; for epoch in $(seq 200); do echo {\\\"epoch\\\": $epoch, \\\"validation_accuracy\\\": 0.5}; until [ -e go ]; do sleep 0.02; done; done; echo {\\\"done\\\": true}; cat > /dev/null']";

#[test]
fn a_result_waits_until_the_disk_has_room() {
    let config = SMALL.replace("trainer: synthetic", TRAINER).replace("epochs: 4", "epochs: 200");
    let experiment = Experiment::with(&config);
    let Some(disk) = SmallDisk::mount(&experiment.folder().join("small")) else {
        return skip("a_result_waits_until_the_disk_has_room", "this user may not mount a tmpfs");
    };
    experiment.run(&["init", "config.yaml", "small/search"]).success();
    let begin = |name: &str| fs::write(experiment.folder().join(name), "").unwrap();
    let curve = experiment.folder().join("small/search/curves/000001.1.csv");
    let log = experiment.folder().join("small/search/replay.csv");
    // Whatever the task says goes to the full disk, too.
    let said = disk.0.join("said");
    let mut task = experiment
        .command(&["train", "small/search", "--json"])
        .stdout(fs::File::create(&said).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    begin("begin");
    let epochs = || fs::read_to_string(&curve).unwrap_or_default().lines().count();
    wait_until("the first epoch", || epochs() == 2);
    let filler = disk.fill();
    begin("go");
    sleep(Duration::from_millis(500));
    assert!(task.try_wait().unwrap().is_none(), "the task waits");
    fs::remove_file(filler).unwrap();
    assert!(task.wait().unwrap().success());
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.lines().nth(2).is_some_and(|row| row.starts_with("1,trained,1,")), "{text}");
    assert_eq!(fs::read_to_string(&curve).unwrap().lines().count(), 201);
}
