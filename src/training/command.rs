//! The words of `training.command`, which no shell reads, and whether its program is there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns `training.command` such that it means the same from every folder: relative paths of
/// existing files become absolute, below `folder`, but for a program without `/`, which is looked
/// up in `PATH`, on the machine where it runs.
pub(crate) fn freeze_command(command: &[String], folder: &Path) -> Vec<String> {
    let freeze = |(index, word): (usize, &String)| {
        let is_looked_up = index == 0 && !word.contains('/');
        let path = folder.join(word);
        match path.to_str() {
            Some(absolute) if !is_looked_up && path.is_file() => absolute.to_owned(),
            _ => word.clone(),
        }
    };
    command.iter().enumerate().map(freeze).collect()
}

/// Whether only a shell understands a word: `$HOME/train.sh`, `~/x.py`, `&&`, `python3 x.py`.
pub(super) fn is_of_shell(word: &str) -> bool {
    let first = word.split_whitespace().next().unwrap_or_default();
    word.starts_with(['$', '~', '`'])
        || ["&&", "||", "|", ";", "&", "<", ">", ">>", "2>&1"].contains(&word)
        || first != word && !first.contains('/')
}

/// What looks wrong from here: a job may have another PATH, and other files.
pub fn doubt_of_command(command: &[String], search_path: &OsStr) -> Option<String> {
    const SCRIPTS: [&str; 6] = [".py", ".sh", ".R", ".jl", ".pl", ".m"];
    let (program, arguments) = command.split_first()?;
    let folders = std::env::split_paths(search_path).map(|folder| folder.join(program));
    let given = Some(PathBuf::from(program)).filter(|_| program.contains('/'));
    let places = given.map_or_else(|| folders.collect(), |path| vec![path]);
    let Some(found) = places.into_iter().find(|path| path.is_file()) else {
        return Some(format!(
            "`{program}` is not there (install it, or write its path out; a job finds it if a line \
             of `slurm.setup_lines` makes it known; no shell reads the list)"
        ));
    };
    let is_executable = fs::metadata(&found).is_ok_and(|it| it.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Some(format!("`{program}` is not executable (`chmod +x {program}`)"));
    }
    // What follows `-c` is read by a shell, or another interpreter.
    let is_plain = |word: &&String| !(word.starts_with('-') && word.ends_with('c'));
    let plain: Vec<_> = arguments.iter().take_while(is_plain).collect();
    if plain.len() == arguments.len()
        && let Some(word) = plain.iter().find(|word| !word.contains(' ') && is_of_shell(word))
    {
        return Some(format!(
            "`{word}` is passed on as it stands, since no shell reads the list (write it out, or \
             `[bash, -c, '..']`)"
        ));
    }
    let is_script = |word: &str| SCRIPTS.iter().any(|end| word.ends_with(end));
    let script = plain.first().filter(|word| is_script(word) && !Path::new(word).exists())?;
    Some(format!("`{script}` is not there (it is looked for from the folder of this command)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_of_a_shell_are_known() {
        let of_shell = ["$HOME/train.sh", "~/train.py", "python3 train.py", "`which python`", "|"];
        assert!(of_shell.iter().all(|word| is_of_shell(word)));
        let plain = ["python3", "/opt/my tools/train", "./train it.sh", "--rate=$1", ""];
        assert!(!plain.iter().any(|word| is_of_shell(word)));
    }

    #[test]
    fn what_is_missing_is_named_before_anything_is_trained() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for (name, mode) in [("python9", 0o755), ("train.py", 0o644)] {
            fs::write(path(name), "").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let doubt = |command: &[&str]| doubt_of_command(&words(command), folder.path().as_os_str());
        for good in [
            &["python9", &path("train.py")][..],
            &["python9", "-c", "$HOME/x"],
            &["python9", "--fast"],
            &[&path("python9")],
        ] {
            assert_eq!(doubt(good), None, "{good:?}");
        }
        let says = |command: &[&str], text: &str| {
            let found = doubt(command).unwrap_or_default();
            assert!(found.contains(text), "{command:?}: {found}");
        };
        says(&["trainer-not-there"], "`trainer-not-there` is not there");
        says(&["/usr/bin/none train.py"], "no shell reads the list");
        says(&[&path("train.py")], "is not executable");
        says(&["python9", "$HOME/train.py"], "`$HOME/train.py` is passed on as it stands");
        says(&["python9", "x", "&&", "y"], "`&&` is passed on");
        says(&["python9", "none.py"], "`none.py` is not there");
    }

    #[test]
    fn a_frozen_command_means_the_same_from_every_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trainer.py");
        for name in ["trainer.py", "python3"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let frozen = |command: &[&str]| freeze_command(&words(command), folder.path());
        let absolute = file.to_str().unwrap();
        assert_eq!(
            frozen(&["python3", "trainer.py", "--fast", "3"]),
            words(&["python3", absolute, "--fast", "3"])
        );
        assert_eq!(frozen(&["./trainer.py"]).len(), 1);
        assert!(Path::new(&frozen(&["./trainer.py"])[0]).is_absolute());
        let once = frozen(&["python3", "trainer.py"]);
        assert_eq!(freeze_command(&once, Path::new("/elsewhere")), once);
    }
}
