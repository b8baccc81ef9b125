//! The training loop: starts and epochs, evaluation, checkpoints, reports.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use metaqnn::seed::{self, Purpose};
use metaqnn::training::protocol::{Message, Request};
use metaqnn::training::{self, EpochReport, ValidRecipe};
use tch::Kind;

use super::batches::Batches;
use super::checkpoint;
use super::epoch::{evaluate, train_epoch};
use super::error::TorchError;
use super::initialisation::initialise;
use super::input::{Answer, DONE};
use super::latency;
use super::memory::fitting_memory;
use super::network::Network;
use super::optimizer::Optimizer;
use super::plan::Plan;
use super::restart::TrainingState;
use super::weights;

/// How often at most a sign of life is sent within an epoch.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

pub trait Listener {
    fn send(&mut self, message: &Message) -> Result<(), TorchError>;

    /// Breaks when the training is to be cut short. Asked between any two optimizer steps.
    fn interruption(&mut self) -> ControlFlow<Answer>;

    /// A closed stderr does not end the training.
    fn notice(&mut self, text: &str);
}

/// Every random number follows from the request's seed, iteration, start and epoch, so that a
/// training taken up from its checkpoint goes on bit for bit as if it had never been interrupted
/// (on one kind of machine, with one number of threads; some of cuDNN's sums have no fixed order).
pub fn fit(
    request: &Request,
    recipe: &ValidRecipe,
    data: &Batches,
    listener: &mut dyn Listener,
) -> Result<Answer, TorchError> {
    let precision = match recipe.precision {
        training::Precision::Bfloat16 if data.device().is_cuda() => Kind::BFloat16,
        _ => Kind::Float,
    };
    let plan = Plan::new(&request.layers, request.input_size, request.channels, precision)?;
    let mut network = Network::build(plan, data.device())?;
    let mut optimizer = Optimizer::new(recipe, network.parameters.flat())?;
    let initial = weights::initial(request)?;
    let mut progress =
        checkpoint::restore(request, &network, &mut optimizer, &mut |text| listener.notice(text))?
            .unwrap_or_else(|| TrainingState::beginning(recipe.batch_size.into()));

    loop {
        let (start, epoch) = match progress.next(recipe, request.epochs) {
            ControlFlow::Continue(next) => next,
            ControlFlow::Break(answer) => {
                let folder = request.model.as_ref().filter(|_| answer == DONE);
                if let Some(Err(error)) = folder.map(|it| latency::save(it, &network, data)) {
                    listener.notice(&format!(
                        "the model lacks its latency and the version of libtorch: {error}"
                    ));
                }
                return Ok(answer);
            }
        };
        let began = Instant::now();
        if epoch == 1 {
            seed_libtorch(request, Purpose::Weights, start.into());
            initialise(&network.parameters, recipe.initialisation)?;
            network.reset_statistics()?;
            weights::begin_with(&initial, &network)?;
            optimizer.reset()?;
        }
        seed_libtorch(request, Purpose::Epoch, u64::from(start) << 32 | u64::from(epoch));
        let fitted = progress.micro_batch;
        let mut sign_of_life = began;
        let end = train_epoch(
            &mut network,
            &mut optimizer,
            data,
            recipe,
            recipe.learning_rate(start, epoch),
            &mut progress.micro_batch,
            &mut |step, steps| {
                if sign_of_life.elapsed() >= SIGN_OF_LIFE {
                    sign_of_life = Instant::now();
                    listener.send(&Message::Batch { batch: step as u64, of: steps as u64 })?;
                }
                Ok(listener.interruption())
            },
        )?;
        if progress.micro_batch < fitted {
            listener.notice(&format!(
                "memory is short: gradients are summed over {} images at a time, no longer \
                 {fitted}",
                progress.micro_batch
            ));
        }
        let training = match end {
            ControlFlow::Continue(scores) => scores,
            ControlFlow::Break(answer) => return Ok(answer),
        };
        let mut batch = recipe.validation_batch_size.into();
        let validation = match data.has_validation() {
            true => Some(fitting_memory(&mut batch, |batch| evaluate(&network, data, batch))?),
            false => None,
        };

        let is_number = [Some(training), validation].iter().flatten().all(|it| it.loss.is_some());
        let accuracy = validation.map(|validation| validation.accuracy);
        progress.record(start, epoch, is_number.then_some(accuracy), recipe);
        let report = EpochReport {
            epoch,
            start,
            learning_rate: Some(progress.learning_rate),
            training_loss: training.loss,
            training_accuracy: Some(training.accuracy),
            validation_loss: validation.and_then(|validation| validation.loss),
            validation_accuracy: accuracy,
            seconds: Some(began.elapsed().as_secs_f64()),
        };
        listener.send(&Message::Epoch(report))?;
        // Before the checkpoint, so that an attempt that goes on from that has the weights, too.
        if let Some(folder) = &request.model
            && progress.passed
            && progress.best_epoch == epoch
            && (data.has_validation() || epoch == request.epochs)
            && let Err(error) = weights::save(folder, &network, &data.normaliser, epoch)
        {
            listener.notice(&format!("the model lacks the weights of this epoch: {error}"));
        }
        // Reported before it is saved: what is saved is then never missing from the curve.
        if let Err(error) = checkpoint::save(request, &network, &optimizer, &progress) {
            listener.notice(&format!("the training goes on without this checkpoint: {error}"));
        }
    }
}

fn seed_libtorch(request: &Request, purpose: Purpose, part: u64) {
    let number = seed::number(request.seed, purpose, request.stream, part);
    tch::manual_seed(number.try_into().expect("the number was made to fit a signed one"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Recorder, alone, batches, batches_of, request};
    use metaqnn::model::{PREPROCESSING, WEIGHTS};
    use metaqnn::training::protocol::LayerDescription;
    use metaqnn::training::{OptimizerKind, Schedule};
    use std::path::Path;
    use tch::Tensor;

    fn train(request: &Request, recorder: &mut Recorder) -> Answer {
        let recipe = request.recipe.clone().check(request.classes).unwrap();
        fit(request, &recipe, &batches(), recorder).unwrap()
    }

    /// Every tensor of a checkpoint by name, as bytes.
    fn saved(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let tensors = Tensor::read_safetensors(folder.join("checkpoint.safetensors")).unwrap();
        let mut bytes: Vec<_> = tensors
            .into_iter()
            .map(|(name, tensor)| {
                let count = tensor.numel();
                let mut bytes = vec![0; count * tensor.kind().elt_size_in_bytes()];
                tensor.copy_data_u8(&mut bytes, count);
                (name, bytes)
            })
            .collect();
        bytes.sort();
        bytes
    }

    #[test]
    fn a_problem_that_can_be_learnt_is_learnt() {
        let _alone = alone();
        let mut recorder = Recorder::default();
        assert_eq!(train(&Request { epochs: 8, ..request(None) }, &mut recorder), DONE);
        assert_eq!(recorder.reports.len(), 8);
        assert!(recorder.reports[7].validation_accuracy >= Some(0.95), "{:?}", recorder.reports);
        // Three steps of 32 in an epoch of 96.
        assert_eq!(recorder.asked, 8 * 3);
    }

    #[test]
    fn an_interrupted_training_goes_on_bit_for_bit() {
        let _alone = alone();
        for optimizer in [OptimizerKind::Adam, OptimizerKind::Sgd] {
            let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let request = |checkpoint| {
                let mut request = request(Some(checkpoint));
                request.recipe.optimizer = optimizer;
                (request.recipe.schedule, request.recipe.epochs) = (Schedule::Cosine, 4);
                request.recipe.label_smoothing = 0.1;
                request
            };
            let mut straight = Recorder::default();
            assert_eq!(train(&request(whole.path()), &mut straight), DONE);

            // Interrupted in the middle of the third epoch, then of the fourth.
            let mut reports = Vec::new();
            for (resume, interrupt_at) in [(false, Some(7)), (true, Some(4)), (true, None)] {
                let mut recorder = Recorder { interrupt_at, ..Recorder::default() };
                train(&Request { resume, attempt: 2, ..request(parts.path()) }, &mut recorder);
                reports.extend(recorder.reports);
            }
            assert_eq!(reports, straight.reports);
            assert_eq!(saved(parts.path()), saved(whole.path()));
        }
    }

    #[test]
    fn at_whatever_step_a_training_is_interrupted_it_ends_the_same() {
        let _alone = alone();
        let whole = tempfile::tempdir().unwrap();
        let mut straight = Recorder::default();
        train(&request(Some(whole.path())), &mut straight);
        for step in 0..straight.asked {
            let parts = tempfile::tempdir().unwrap();
            let mut first = Recorder { interrupt_at: Some(step), ..Recorder::default() };
            let ending = train(&request(Some(parts.path())), &mut first);
            assert_eq!(ending, None);
            let mut second = Recorder::default();
            let again = Request { resume: true, attempt: 2, ..request(Some(parts.path())) };
            assert_eq!(train(&again, &mut second), DONE);
            assert_eq!([first.reports, second.reports].concat(), straight.reports, "step {step}");
            assert_eq!(saved(parts.path()), saved(whole.path()), "step {step}");
        }
    }

    fn model(folder: &Path) -> [Vec<u8>; 2] {
        [WEIGHTS, PREPROCESSING].map(|name| std::fs::read(folder.join(name)).unwrap())
    }

    #[test]
    fn a_model_has_the_weights_of_the_best_epoch_also_after_an_interruption() {
        let _alone = alone();
        let folders = tempfile::tempdir().unwrap();
        let at = |name: &str| folders.path().join(name);
        let with_model = |checkpoint: &str, model: &str, epochs| Request {
            model: Some(at(model)),
            epochs,
            ..request(Some(&at(checkpoint)))
        };
        let mut straight = Recorder::default();
        train(&with_model("0", "whole", 6), &mut straight);
        let accuracies = straight.reports.iter().map(|report| report.validation_accuracy.unwrap());
        let best = accuracies.clone().fold(0.0, f64::max);
        let epoch = 1 + accuracies.clone().position(|accuracy| accuracy == best).unwrap();
        assert!(epoch < 6, "the last epoch is not the best: {straight:?}");
        // A training that ends with the best epoch has its weights at its end.
        let mut short = Recorder::default();
        train(&with_model("1", "short", epoch as u32), &mut short);
        assert_eq!(model(&at("short")), model(&at("whole")));
        // They classify as well as that epoch did.
        let read = |file: &str| Tensor::read_safetensors(at("whole").join(file)).unwrap();
        let plan = Plan::new(&request(None).layers, 8, 1, Kind::Float).unwrap();
        let network = Network::build(plan, tch::Device::Cpu).unwrap();
        let weights: std::collections::HashMap<_, _> = read(WEIGHTS).into_iter().collect();
        let state = network.state();
        assert_eq!(state.len(), weights.len());
        tch::no_grad(|| state.into_iter().for_each(|(name, mut own)| own.copy_(&weights[&name])));
        assert_eq!(evaluate(&network, &batches(), 40).unwrap().accuracy, best);
        for step in (0..straight.asked).step_by(2) {
            let (checkpoint, folder) = (format!("at {step}"), format!("model {step}"));
            let request = with_model(&checkpoint, &folder, 6);
            let interrupted = Recorder { interrupt_at: Some(step), ..Recorder::default() };
            train(&request, &mut { interrupted });
            train(&Request { resume: true, ..request }, &mut Recorder::default());
            assert_eq!(model(&at(&folder)), model(&at("whole")), "step {step}");
        }
    }

    #[test]
    fn without_validation_images_the_network_is_that_of_the_last_epoch() {
        let _alone = alone();
        let folders = tempfile::tempdir().unwrap();
        let at = |name: &str| folders.path().join(name);
        // Of a first-epoch test no network would pass.
        let with_model = |checkpoint: &str, model: &str| {
            let mut request = Request { model: Some(at(model)), ..request(Some(&at(checkpoint))) };
            request.recipe.first_epoch_threshold = Some(1.0);
            request
        };
        let train = |request: &Request, recorder: &mut Recorder| {
            let recipe = request.recipe.clone().check(request.classes).unwrap();
            fit(request, &recipe, &batches_of(136), recorder).unwrap()
        };
        let mut straight = Recorder::default();
        assert_eq!(train(&with_model("0", "whole"), &mut straight), DONE);
        let position = |report: &EpochReport| (report.start, report.epoch);
        assert_eq!(
            straight.reports.iter().map(position).collect::<Vec<_>>(),
            [(1, 1), (1, 2), (1, 3), (1, 4)]
        );
        assert_eq!(straight.asked, 4 * 4, "all 136 images train, 32 at a time");
        let judged = |report: &EpochReport| {
            report.validation_accuracy.is_some() || report.validation_loss.is_some()
        };
        assert!(
            !straight.reports.iter().any(judged) && straight.reports[3].training_loss.is_some()
        );
        let network = Tensor::read_safetensors(at("whole").join(WEIGHTS)).unwrap();
        let checkpoint = Tensor::read_safetensors(at("0").join("checkpoint.safetensors")).unwrap();
        let named = |all: &[(String, Tensor)], name: &str| {
            all.iter().find(|(found, _)| found == name).unwrap().1.copy()
        };
        let last_bias = named(&network, "10.bias");
        let flat = named(&checkpoint, "parameters");
        // The last of the parameters, in a part of 64 values.
        assert_eq!(flat.narrow(0, flat.size()[0] - 64, 2), last_bias);
        for step in (0..straight.asked).step_by(5) {
            let (checkpoint, folder) = (format!("at {step}"), format!("model {step}"));
            let request = with_model(&checkpoint, &folder);
            train(&request, &mut Recorder { interrupt_at: Some(step), ..Recorder::default() });
            assert!(!at(&folder).exists(), "no epoch before the last counts");
            train(&Request { resume: true, ..request }, &mut Recorder::default());
            assert_eq!(model(&at(&folder)), model(&at("whole")), "step {step}");
        }
    }

    #[test]
    fn a_model_that_cannot_be_written_ends_no_training() {
        let _alone = alone();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = Recorder::default();
        let request = Request { model: Some(file.path().join("000005.1.part")), ..request(None) };
        assert_eq!(train(&request, &mut recorder), DONE);
        assert!(recorder.notices[0].contains("the model lacks"), "{:?}", recorder.notices);
    }

    #[test]
    fn a_complete_training_is_only_said_to_be_done() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        train(&request(Some(folder.path())), &mut Recorder::default());
        let mut recorder = Recorder::default();
        let again = Request { resume: true, ..request(Some(folder.path())) };
        assert_eq!(train(&again, &mut recorder), DONE);
        assert_eq!((recorder.reports.len(), recorder.asked), (0, 0));
    }

    #[test]
    fn a_training_whose_folder_vanishes_makes_it_again() {
        let _alone = alone();
        let (straight, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        train(&request(Some(straight.path())), &mut Recorder::default());
        // Gone at the first step of the third epoch.
        let checkpoint = folder.path().join("000005.1");
        let mut recorder =
            Recorder { remove_at: Some((6, checkpoint.clone())), ..Recorder::default() };
        assert_eq!(train(&request(Some(&checkpoint)), &mut recorder), DONE);
        assert_eq!((recorder.reports.len(), recorder.notices.len()), (4, 0));
        assert_eq!(saved(&checkpoint), saved(straight.path()));
    }

    #[test]
    fn a_checkpoint_that_cannot_be_saved_ends_no_training() {
        let _alone = alone();
        let mut straight = Recorder::default();
        train(&request(None), &mut straight);
        // No folder can be made below a file.
        let file = tempfile::NamedTempFile::new().unwrap();
        let folder = file.path().join("000005.1");
        let mut recorder = Recorder::default();
        assert_eq!(train(&request(Some(&folder)), &mut recorder), DONE);
        assert_eq!(recorder.reports, straight.reports);
        assert_eq!(recorder.notices.len(), 4);
        assert!(
            recorder.notices[0].contains("failed to write checkpoint"),
            "{:?}",
            recorder.notices
        );
    }

    #[test]
    fn beside_a_checkpoint_of_another_training_one_begins_from_the_beginning() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        train(&request(Some(folder.path())), &mut Recorder::default());
        let other = Request { resume: true, seed: 8, ..request(Some(folder.path())) };
        let (mut recorder, mut straight) = (Recorder::default(), Recorder::default());
        assert_eq!(train(&other, &mut recorder), DONE);
        train(&Request { checkpoint: None, ..other }, &mut straight);
        assert_eq!(recorder.reports, straight.reports);
        assert!(recorder.notices[0].contains("another training"), "{:?}", recorder.notices);
    }

    #[test]
    fn every_learning_rate_is_tried_with_new_weights_and_then_the_network_has_failed() {
        let _alone = alone();
        let mut request = request(None);
        request.recipe.first_epoch_threshold = Some(1.0);
        let mut recorder = Recorder::default();
        let Some(Message::Failed(reason)) = train(&request, &mut recorder) else { panic!() };
        assert_eq!(reason, "no learning rate passed the first-epoch test");
        let starts: Vec<_> =
            recorder.reports.iter().map(|report| (report.start, report.epoch)).collect();
        assert_eq!(starts, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
        let rates: Vec<_> =
            recorder.reports.iter().map(|report| report.learning_rate.unwrap()).collect();
        assert!((rates[4] - 0.01 * 0.0256).abs() < 1e-12);
        let losses: Vec<_> = recorder.reports.iter().map(|report| report.training_loss).collect();
        assert!(losses.windows(2).all(|pair| pair[0] != pair[1]), "{losses:?}");
    }

    #[test]
    fn a_restarted_training_is_taken_up_in_its_start() {
        let _alone = alone();
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let request = |folder: &Path, resume| {
            let mut request = Request { resume, ..request(Some(folder)) };
            request.recipe.first_epoch_threshold = Some(1.0);
            request
        };
        train(&request(whole.path(), false), &mut Recorder::default());
        let mut recorder = Recorder { interrupt_at: Some(7), ..Recorder::default() };
        train(&request(parts.path(), false), &mut recorder);
        let mut recorder = Recorder::default();
        train(&request(parts.path(), true), &mut recorder);
        assert_eq!((recorder.reports[0].start, recorder.reports[0].epoch), (3, 1));
        assert_eq!(saved(parts.path()), saved(whole.path()));
    }

    #[test]
    fn a_loss_that_is_no_number_does_not_pass_the_first_epoch() {
        let _alone = alone();
        let mut request = request(None);
        // After a step of about 1 in every weight, each of 60 layers of 8 multiplies by up to 8:
        // 8^60 is beyond 32 bits.
        request.recipe.learning_rate = 10.0;
        request.recipe.learning_rate_retry_factor = 1.0;
        request.layers = vec![LayerDescription::FullyConnected { width: 8 }; 60];
        request.layers.push(LayerDescription::Softmax { classes: 2 });
        request.recipe.first_epoch_threshold = Some(0.0);
        let mut recorder = Recorder::default();
        let ending = train(&request, &mut recorder);
        assert!(matches!(ending, Some(Message::Failed(_))), "{ending:?}");
        assert_eq!(recorder.reports.len(), 5);
        assert!(
            recorder.reports.iter().all(|report| report.validation_loss.is_none()),
            "{:?}",
            recorder.reports
        );
    }
}
