//! Which program trains, and where it lies.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use super::child::ChildCommand;
use super::error::TrainingError;
use crate::invalid::Invalid;

const TORCH: &str = "metaqnn-torch";

impl ChildCommand {
    /// Finds `metaqnn-torch`: beside `executable`, the running `metaqnn`, else in `search_path`,
    /// the variable `PATH`.
    pub fn torch(executable: &Path, search_path: Option<&OsStr>) -> Result<Self, TrainingError> {
        let beside = executable.parent().map(Path::to_path_buf).unwrap_or_default();
        let folders = search_path.map(|path| env::split_paths(path).collect::<Vec<_>>());
        std::iter::once(beside.clone())
            .chain(folders.unwrap_or_default())
            .map(|folder| folder.join(TORCH))
            .find(|program| program.is_file())
            .map(|program| Self { program, arguments: Vec::new() })
            .ok_or(TrainingError::NoTorch { beside })
    }

    /// Takes `training.command`. As in a shell, a program without `/` is looked up in `PATH` when
    /// it is started.
    pub fn given(command: &[String]) -> Result<Self, TrainingError> {
        let (program, arguments) = command.split_first().ok_or_else(|| {
            Invalid::new("training.command", "[]", "give program and arguments as a list")
        })?;
        Ok(Self { program: program.into(), arguments: arguments.iter().map(Into::into).collect() })
    }
}

/// Returns `training.command` such that it means the same from every folder, for an experiment's
/// frozen configuration: relative paths of existing files become absolute, below `folder`.
///
/// A program without `/` is none of them: it is looked up in `PATH`, on the machine where it runs.
pub fn freeze_command(command: &[String], folder: &Path) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_torch_trainer_is_looked_for_beside_metaqnn_first() {
        let folder = tempfile::tempdir().unwrap();
        let (bin, path) = (folder.path().join("bin"), folder.path().join("path"));
        for place in [&bin, &path] {
            fs::create_dir(place).unwrap();
        }
        let find = || ChildCommand::torch(&bin.join("metaqnn"), Some(path.as_os_str()));
        let missing = find().unwrap_err().to_string();
        assert!(missing.contains("cargo build --release"), "{missing}");
        fs::write(path.join(TORCH), "").unwrap();
        assert_eq!(find().unwrap().program, path.join(TORCH));
        fs::write(bin.join(TORCH), "").unwrap();
        assert_eq!(find().unwrap().program, bin.join(TORCH));
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
