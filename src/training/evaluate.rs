//! What trained networks say of images, by the trainer that has trained them.

use std::ops::ControlFlow;
use std::path::Path;

use super::program::{Dialogue, ProgramTrainer};
use super::protocol::{Evaluation, EvaluationRequest, Request};
use super::recipe::Recipe;
use super::trainer::{Interrupt, TrainingEnd, TrainingError};

/// Has the trainer of the recipe write the probabilities that models give to images; its stderr
/// goes to `log`. It may be silent for `training.silence_limit` a model. One that does not know such
/// requests ends in an error.
pub fn evaluate(
    asked: Evaluation,
    log: &Path,
    interrupt: Interrupt,
) -> Result<TrainingEnd, TrainingError> {
    let silence_limit = asked.recipe.silence_limit * asked.models.len().max(1) as f64;
    let recipe = Recipe { silence_limit, ..asked.recipe.clone() };
    let Some(trainer) = ProgramTrainer::of(&recipe, interrupt)? else {
        let kind: &str = recipe.trainer.into();
        let reason = "it keeps no network".to_owned();
        return Err(TrainingError::Refused { program: kind.into(), reason });
    };
    let request = Request::rehearsal(recipe, asked.threads);
    let mut process = trainer.start(asked.threads)?;
    process.log_to(log);
    process.write_line(&EvaluationRequest { evaluate: Some(asked) });
    // It ends with `done` and without an epoch, as a request of 0 epochs does.
    let mut dialogue = Dialogue::new(&request);
    trainer.converse(&mut process, &mut dialogue, &mut |_| ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::super::recipe::TrainerKind;
    use super::super::trainer::Signal;
    use super::*;
    use crate::training::protocol::{EvaluatedPart, VERSION};
    use std::fs;

    /// As one does that does not know the request.
    const SILENT: &str = "while read line; do :; done";

    /// Asks a trainer that is this script, whose `$1` is a folder of its own.
    fn answer(script: &str, folder: &Path, interrupt: Interrupt) -> Result<TrainingEnd, String> {
        let place = folder.to_str().unwrap();
        let command = ["sh", "-c", script, "trainer", place].map(str::to_owned).to_vec();
        // One that is silent ends so however slow the machine is.
        let silence_limit = if script == SILENT { 0.1 } else { 600.0 };
        let recipe =
            Recipe { trainer: TrainerKind::Command, command, silence_limit, ..Recipe::default() };
        let asked = Evaluation {
            models: vec!["models/000005.1".into()],
            part: EvaluatedPart::Arrays("pictures.npy".into()),
            output: "final/test".into(),
            threads: 1,
            protocol: VERSION,
            recipe,
            ..Evaluation::default()
        };
        evaluate(asked, &folder.join("log"), interrupt).map_err(|error| error.to_string())
    }

    #[test]
    fn a_trainer_is_asked_once_and_its_stderr_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let script = "cd $1; read -r line; printf %s \"$line\" > asked; echo loaded >&2; sleep 0.2; \
                      echo '{\"done\": true}'";
        let ended = answer(script, folder.path(), Interrupt::default());
        assert!(matches!(ended, Ok(TrainingEnd::Done)), "{ended:?}");
        let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
        let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
        let evaluate = &asked["evaluate"];
        assert_eq!(evaluate["models"][0], "models/000005.1");
        assert_eq!(evaluate["part"]["arrays"], "pictures.npy");
        assert_eq!((&evaluate["protocol"], &evaluate["threads"]), (&1.into(), &1.into()));
        assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "loaded\n");
    }

    #[test]
    fn a_trainer_that_does_not_answer_so_is_an_error_and_a_signal_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |script| answer(script, folder.path(), Interrupt::default()).unwrap_err();
        assert!(
            problem("read line; echo '{\"refused\": \"no test part\"}'").contains("no test part")
        );
        assert!(problem(SILENT).contains("was silent for 0.1 s (`training.silence_limit`)"));
        assert!(problem("read line; echo no >&2; exit 2").contains("crashed (exit status 2): no"));
        let epoch = "read line; echo '{\"epoch\": 1, \"validation_accuracy\": 0.5}'; cat";
        assert!(problem(epoch).contains("epoch 1 of 0"));
        let interrupt = Interrupt::default();
        interrupt.raise(Signal::Terminate);
        let ended =
            answer("trap 'exit 75' TERM; while :; do sleep 0.01; done", folder.path(), interrupt);
        assert!(matches!(ended, Ok(TrainingEnd::Interrupted)), "{ended:?}");
    }
}
