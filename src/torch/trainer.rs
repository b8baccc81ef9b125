//! One request after another, until stdin ends or a signal comes.

use std::io::{self, Write};
use std::ops::ControlFlow;

use metaqnn::training::Recipe;
use metaqnn::training::protocol::{EvaluationRequest, Message, Request, TRY_AGAIN, VERSION};
use tch::{Cuda, Device};

use super::batches::DataCache;
use super::device::{choose_device, describe, precision_notice};
use super::error::TorchError;
use super::evaluate::evaluate;
use super::fit::{Listener, fit};
use super::input::{Answer, Inbox, Input};
use super::memory;

/// Connects the training loop to stdin, stdout and signals; notices go to stderr.
struct Outside<M> {
    inbox: Inbox,
    messages: M,
}

/// Answers the requests of an inbox; returns the exit code.
pub fn run(inbox: Inbox, messages: impl Write) -> Result<u8, TorchError> {
    let mut outside = Outside { inbox, messages };
    let mut data = DataCache::default();
    loop {
        let line = match outside.inbox.next() {
            Input::Line(line) => line,
            Input::End => return Ok(0),
            Input::Signal => return Ok(TRY_AGAIN as u8),
        };
        match outside.answer(&line, &mut data) {
            Ok(Some(message)) => outside.send(&message)?,
            Ok(None) => return Ok(TRY_AGAIN as u8),
            Err(error) => {
                if error.is_refusal() {
                    outside.send(&Message::Refused(error.to_string()))?;
                }
                return Err(error);
            }
        }
    }
}

impl<M: Write> Outside<M> {
    /// The one place where failures of libtorch become answers: too little memory is the
    /// network's, everything else the trainer's.
    fn answer(&mut self, line: &str, cache: &mut DataCache) -> Result<Answer, TorchError> {
        let EvaluationRequest { evaluate: asked } =
            serde_json::from_str(line).map_err(TorchError::unreadable)?;
        if let Some(asked) = asked {
            let device = self.device(asked.protocol, &asked.recipe, asked.threads)?;
            return evaluate(&asked, device, self);
        }
        let request: Request = serde_json::from_str(line).map_err(TorchError::unreadable)?;
        let device = self.device(request.protocol, &request.recipe, request.threads)?;
        let recipe = request.recipe.clone().check(request.classes)?;
        if request.epochs == 0 {
            if !request.data.is_null() {
                cache.get(&request, device)?;
            }
            let libtorch = Some(env!("LIBTORCH_VERSION").to_owned());
            return Ok(Some(Message::Done { device: Some(describe(device)), libtorch }));
        }
        let data = cache.get(&request, device)?;
        match fit(&request, &recipe, data, self) {
            Err(error @ TorchError::OutOfMemory { in_use, .. }) => {
                self.notice(&format!("one image at a time is too much: {error}"));
                // tch reaches no statistics of a GPU's allocator, but what that says when it fails.
                let peak_bytes = match device {
                    Device::Cpu => memory::greatest_occupied(),
                    _ => in_use,
                };
                Ok(Some(Message::OutOfMemory { peak_bytes }))
            }
            answer => answer,
        }
    }

    /// Sets up what requests of all kinds need.
    fn device(
        &mut self,
        protocol: u32,
        recipe: &Recipe,
        threads: u32,
    ) -> Result<Device, TorchError> {
        if protocol != VERSION {
            return Err(TorchError::Refused(format!(
                "request speaks protocol `{protocol}`, this trainer `{VERSION}` (use programs of \
                 one version)"
            )));
        }
        let variable = |name: &str| std::env::var(name).ok();
        let device = choose_device(recipe.device, Cuda::is_available(), variable)?;
        tch::set_num_threads(threads.clamp(1, 4096) as i32);
        if device.is_cuda() {
            Cuda::cudnn_set_benchmark(recipe.cudnn_benchmark);
            if let Some(notice) = precision_notice(recipe.precision, variable) {
                self.notice(notice);
            }
        }
        Ok(device)
    }
}

impl<M: Write> Listener for Outside<M> {
    fn send(&mut self, message: &Message) -> Result<(), TorchError> {
        writeln!(self.messages, "{}", message.to_line())
            .and_then(|()| self.messages.flush())
            .map_err(|error| TorchError::Failed(format!("failed to write to stdout: {error}")))
    }

    fn interruption(&mut self) -> ControlFlow<Answer> {
        self.inbox.interruption()
    }

    fn notice(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "metaqnn-torch: {text}");
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::fixture::{alone, halves, request};
    use metaqnn::training::protocol::LayerDescription;
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;

    /// Writes images as the IDX files of a data set, `train` or `t10k`.
    pub fn write_idx(folder: &Path, part: &str, count: usize) {
        let images = halves(count);
        let number = |value: usize| (value as u32).to_be_bytes();
        let header = |magic: u32, sizes: &[usize]| {
            let sizes = sizes.iter().flat_map(|&size| number(size));
            magic.to_be_bytes().into_iter().chain(sizes).collect::<Vec<u8>>()
        };
        let metaqnn::dataset::Pixels::Bytes(bytes) = &images.pixels else { panic!("words") };
        let pixels = [&header(0x0803, &[count, 8, 8]), &bytes[..]].concat();
        let labels = [&header(0x0801, &[count]), &images.labels[..]].concat();
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), pixels).unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }

    /// A request for `epochs` epochs on the files of a folder.
    pub fn on_files(folder: &Path, epochs: u32) -> Request {
        let data = serde_json::json!({
            "kind": "idx", "path": folder, "classes": 2, "input_size": 8, "channels": 1,
            "validation": { "images": 40 },
        });
        Request { epochs, data, ..request(None) }
    }

    pub fn line(request: &Request) -> Input {
        Input::Line(serde_json::to_string(request).unwrap())
    }

    /// Lets a trainer answer some events; returns how it left and the messages.
    pub fn answers(events: Vec<Input>) -> (Result<u8, TorchError>, Vec<Message>) {
        let (sender, receiver) = mpsc::channel();
        events.into_iter().for_each(|event| sender.send(event).unwrap());
        drop(sender);
        let mut messages = Vec::new();
        let departure = run(Inbox::new(receiver), &mut messages);
        let text = String::from_utf8(messages).unwrap();
        (departure, text.lines().map(|line| Message::parse(line.as_bytes()).unwrap()).collect())
    }

    #[test]
    fn one_request_after_another_is_answered_until_stdin_ends() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), "train", 136);
        let first = on_files(folder.path(), 2);
        let second = Request { iteration: 6, epochs: 1, ..first.clone() };
        let (departure, messages) = answers(vec![line(&first), line(&second)]);
        assert_eq!(departure.unwrap(), 0);
        assert!(
            matches!(
                &messages[..],
                [
                    Message::Epoch(_),
                    Message::Epoch(_),
                    Message::Done { device: None, libtorch: None },
                    Message::Epoch(_),
                    Message::Done { device: None, libtorch: None }
                ]
            ),
            "{messages:?}"
        );
        assert_ne!(messages[0], messages[3]);
    }

    #[test]
    fn a_stop_ends_the_training_and_the_next_request_is_answered() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), "train", 136);
        let long = on_files(folder.path(), 100_000);
        let stop = Input::Line(r#"{"stop": true}"#.into());
        let short = on_files(folder.path(), 1);
        let (departure, messages) = answers(vec![line(&long), stop, line(&short)]);
        assert_eq!(departure.unwrap(), 0);
        assert!(
            matches!(
                &messages[..],
                [
                    Message::Done { device: None, libtorch: None },
                    Message::Epoch(_),
                    Message::Done { device: None, libtorch: None }
                ]
            ),
            "{messages:?}"
        );
    }

    #[test]
    fn a_signal_ends_the_process_without_an_answer() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), "train", 136);
        let (departure, messages) = answers(vec![line(&on_files(folder.path(), 9)), Input::Signal]);
        assert_eq!((departure.unwrap(), messages.len()), (75, 0));
    }

    #[test]
    fn a_network_without_room_is_out_of_memory_and_the_next_is_trained() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), "train", 136);
        let mut huge = on_files(folder.path(), 1);
        // 64 * 4 * 10^9 weights of 4 bytes: a petabyte, which no allocator gives.
        huge.layers.insert(0, LayerDescription::FullyConnected { width: 4_000_000_000 });
        huge.layers = vec![huge.layers[0].clone(), LayerDescription::Softmax { classes: 2 }];
        let (departure, messages) = answers(vec![line(&huge), line(&on_files(folder.path(), 1))]);
        departure.unwrap();
        assert!(
            matches!(
                &messages[..],
                [
                    Message::OutOfMemory { peak_bytes: Some(1..) },
                    Message::Epoch(_),
                    Message::Done { device: None, libtorch: None }
                ]
            ),
            "{messages:?}"
        );
    }

    #[test]
    fn what_cannot_be_answered_ends_the_process() {
        let refusal = |event| answers(vec![event]).0.unwrap_err();
        let folder = tempfile::tempdir().unwrap();
        let good = on_files(folder.path(), 1);
        let error = refusal(Input::Line("{".into()));
        assert_eq!((error.exit_code(), error.to_string().contains("cannot be read")), (2, true));
        assert_eq!(refusal(line(&Request { protocol: 2, ..good.clone() })).exit_code(), 2);
        assert_eq!(refusal(line(&Request { classes: 3, ..good.clone() })).exit_code(), 3);
        // The files are not there.
        assert_eq!(refusal(line(&good)).exit_code(), 3);
        write_idx(folder.path(), "train", 136);
        let error = refusal(line(&Request { classes: 3, ..good.clone() }));
        assert!(error.to_string().contains("are not those of its data"), "{error}");
        let mut gpu = good;
        gpu.recipe.device = metaqnn::training::Device::Cuda;
        if !tch::Cuda::is_available() {
            assert_eq!(refusal(line(&gpu)).exit_code(), 4);
        }
    }
}
