//! `metaqnn man`: the help as man pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Experiment, skip};

/// What a checker of man pages says of a page; `None` where it is not installed.
fn said(mut checker: Command, page: &Path) -> Option<String> {
    let output = checker.arg(page).env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // `mandoc -T lint` speaks on stdout.
    let lint =
        if output.status.success() { "".into() } else { String::from_utf8_lossy(&output.stdout) };
    Some(format!("{text}{lint}"))
}

#[test]
fn every_command_has_a_page_with_its_examples() {
    let experiment = Experiment::with("");
    experiment.run(&["man", "."]).success().says("wrote the man pages");
    let page = |name: &str| fs::read_to_string(experiment.folder().join(name)).unwrap();
    let help = experiment.run(&["--help"]).success().stdout();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let text = page(&format!("metaqnn-{name}.1"));
        assert!(text.starts_with(&format!(".TH METAQNN-{} 1", name.to_uppercase())), "{text}");
        let example = text.lines().find(|line| line.starts_with("  "));
        let example = example.unwrap_or_else(|| panic!("no example in the page of `{name}`"));
        assert!(!example.trim().is_empty());
    }
    assert_eq!(experiment.run(&["man"]).success().stdout(), page("metaqnn.1"));
    experiment.run(&["man", "new/man1"]).success();
    assert!(experiment.folder().join("new/man1/metaqnn.1").exists());
    experiment.run(&["man", "new/man1/metaqnn.1"]).fails_with(4).says("cannot create");
}

#[test]
fn checkers_of_man_pages_find_no_fault() {
    let experiment = Experiment::with("");
    experiment.run(&["man", "."]).success();
    let pages = fs::read_dir(experiment.folder()).unwrap().map(|entry| entry.unwrap().path());
    for page in pages.filter(|path| path.extension().is_some_and(|it| it == "1")) {
        for (program, arguments) in
            [("mandoc", &["-T", "lint", "-W", "error"][..]), ("man", &["--warnings", "-l"])]
        {
            let mut checker = Command::new(program);
            checker.args(arguments);
            match said(checker, &page) {
                None => return skip("checkers_of_man_pages", &format!("there is no `{program}`")),
                Some(faults) => assert_eq!(faults, "", "{program}: {}", page.display()),
            }
        }
    }
}
