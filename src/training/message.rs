//! What a line of a trainer says; of a line that is no message, what is wrong with it, in words.

use serde_json::{Map, Value};

use super::protocol::{EpochReport, Message};

const STDOUT: &str = "stdout is for one JSON object a line, anything else belongs on stderr";

impl Message {
    /// Reads one line of a trainer; the error says in a few words what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line = match str::from_utf8(line) {
            Ok(line) if !line.contains('\0') => line.trim_start_matches('\u{feff}'),
            _ => return Err("not UTF-8 (Python writes it with PYTHONIOENCODING=utf-8)".into()),
        };
        let fields = match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Fields(fields),
            Ok(_) => return Err(STDOUT.into()),
            Err(error) => {
                let diverged = diverged_epoch(line).map(|epoch| Self::Diverged { epoch });
                return diverged.ok_or_else(|| why_no_json(line, &error));
            }
        };
        if let Some(epoch) = fields.count("epoch")? {
            return fields.report(epoch).map(Self::Epoch);
        }
        if let Some(reason) = fields.text("failed")? {
            return Ok(Self::Failed(reason));
        }
        if fields.is("out_of_memory")? {
            return Ok(Self::OutOfMemory { peak_bytes: fields.whole("peak_bytes")? });
        }
        if fields.is("done")? {
            let is_early = fields.is("stopped")?;
            let (device, libtorch) = (fields.text("device")?, fields.text("libtorch")?);
            return Ok(if is_early { Self::EndedItself } else { Self::Done { device, libtorch } });
        }
        if let Some(reason) = fields.text("refused")? {
            return Ok(Self::Refused(reason));
        }
        if let (Some(batch), Some(of)) = (fields.whole("batch")?, fields.whole("of")?) {
            return Ok(Self::Batch { batch, of });
        }
        Err("none of `epoch`, `done`, `failed`, `out_of_memory`, `refused`, `batch` with `of`"
            .into())
    }
}

/// Of an object, in which null is as good as nothing.
struct Fields(Map<String, Value>);

impl Fields {
    fn get<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let given = self.0.get(name).filter(|value| !value.is_null());
        let read = |value| read(value).ok_or_else(|| format!("`{name}` is {value}, no {kind}"));
        given.map(read).transpose()
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.get(name, "text", |value| value.as_str().map(str::to_owned))
    }

    fn is(&self, name: &str) -> Result<bool, String> {
        Ok(self.get(name, "`true` or `false`", Value::as_bool)?.unwrap_or(false))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        self.get(name, "number such as 0.51, without quotes", Value::as_f64)
    }

    fn whole(&self, name: &str) -> Result<Option<u64>, String> {
        self.get(name, "whole number", whole)
    }

    fn count(&self, name: &str) -> Result<Option<u32>, String> {
        let count = |value: &Value| whole(value)?.try_into().ok().filter(|count| *count > 0);
        self.get(name, &format!("whole number of at least 1; {name}s count from 1"), count)
    }

    /// One outside [0, 1] by rounding, as the mean of 32-bit numbers may be, is within.
    fn accuracy(&self, name: &str) -> Result<Option<f64>, String> {
        const ROUNDING: f64 = 1e-6;
        let share = self.number(name)?;
        match share.filter(|share| !(-ROUNDING..=1.0 + ROUNDING).contains(share)) {
            Some(other) => Err(format!("{name} is {other}, outside [0, 1] (a share, not percent)")),
            None => Ok(share.map(|share| share.clamp(0.0, 1.0))),
        }
    }

    fn report(&self, epoch: u32) -> Result<EpochReport, String> {
        Ok(EpochReport {
            epoch,
            start: self.count("start")?.unwrap_or(1),
            learning_rate: self.number("learning_rate")?,
            training_loss: self.number("training_loss")?,
            training_accuracy: self.accuracy("training_accuracy")?,
            validation_loss: self.number("validation_loss")?,
            validation_accuracy: self.accuracy("validation_accuracy")?,
            seconds: self.number("seconds")?,
        })
    }
}

/// A float without decimals is one, too.
fn whole(value: &Value) -> Option<u64> {
    let float = value.as_f64().filter(|it| it.fract() == 0.0 && (0.0..=9e15).contains(it));
    value.as_u64().or(float.map(|it| it as u64))
}

fn why_no_json(line: &str, error: &serde_json::Error) -> String {
    const OF_PYTHON: [&str; 7] = ["'", "True", "False", "None", "tensor(", "np.float", "array("];
    let outside_of_texts: Vec<&str> = line.split('"').step_by(2).collect();
    let starts_with_digit = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    let has_comma = |value: &str| {
        let rest = value.trim_start_matches([' ', '-']);
        let after = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        after.len() < rest.len() && after.strip_prefix(',').is_some_and(starts_with_digit)
    };
    let mut values = outside_of_texts.iter().filter_map(|part| part.trim_start().strip_prefix(':'));
    if !line.trim_start().starts_with('{') {
        STDOUT.to_owned()
    } else if values.any(has_comma) {
        "a decimal comma is no JSON: write 0.51".to_owned()
    } else if OF_PYTHON.iter().any(|word| outside_of_texts.iter().any(|it| it.contains(word))) {
        "Python's way to print an object is no JSON: print `json.dumps(..)`, numbers as `float(..)`"
            .to_owned()
    } else if error.is_eof() {
        "an object that does not end on its line: print it whole, without line feeds".to_owned()
    } else if error.to_string().starts_with("trailing") {
        "more than one object on a line: end each with a line feed".to_owned()
    } else {
        format!("no JSON: {error}")
    }
}

/// Returns the epoch of a line that has one and is JSON but for NaN and infinities.
fn diverged_epoch(line: &str) -> Option<u32> {
    // `[]` is a value outside of strings, and harmless within, also after a backslash. So what is
    // JSON by that, and was not before, has such a number.
    let json = line.replace("-Infinity", "[]").replace("Infinity", "[]").replace("NaN", "[]");
    let fields: Map<String, Value> = serde_json::from_str(&json).ok()?;
    whole(fields.get("epoch")?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Message, String> {
        Message::parse(line.as_bytes())
    }

    #[test]
    fn a_number_that_is_none_says_that_the_training_has_diverged() {
        for number in ["NaN", "Infinity", "-Infinity"] {
            let line = format!(
                r#"{{"epoch": 2, "validation_accuracy": 0.1, "training_loss": {number}, "note": "\"NaN"}}"#
            );
            assert_eq!(diverged_epoch(&line), Some(2), "{line}");
        }
        for line in [r#"{"done": NaN}"#, r#"{"epoch": NaN}"#, "NaN", ""] {
            assert_eq!(diverged_epoch(line), None, "{line}");
        }
        let in_words = r#"{"epoch": 2, "validation_accuracy": 0.1, "note": "loss is NaN"}"#;
        assert!(matches!(parse(in_words), Ok(Message::Epoch(_))));
    }

    #[test]
    fn whole_floats_are_whole_numbers_and_rounding_is_within() {
        let line = r#"{"epoch": 2.0, "start": 1.0, "validation_accuracy": 1.0000000001,
            "training_accuracy": -1e-7, "seconds": 3}"#;
        let Ok(Message::Epoch(report)) = parse(line) else { panic!("{:?}", parse(line)) };
        assert_eq!((report.epoch, report.start, report.seconds), (2, 1, Some(3.0)));
        let accuracies = (report.validation_accuracy, report.training_accuracy);
        assert_eq!(accuracies, (Some(1.0), Some(0.0)));
        for share in ["1.00001", "-0.00001", "51.2"] {
            let line = format!("{{\"epoch\": 1, \"validation_accuracy\": {share}}}");
            assert!(parse(&line).unwrap_err().contains("outside [0, 1]"), "{share}");
        }
        let peak = parse(r#"{"out_of_memory": true, "peak_bytes": 1.5e9}"#);
        assert_eq!(peak, Ok(Message::OutOfMemory { peak_bytes: Some(1_500_000_000) }));
    }

    #[test]
    fn a_trainer_may_end_a_training_itself_and_tell_how_far_an_epoch_is() {
        assert_eq!(parse(r#"{"done": true, "stopped": true}"#), Ok(Message::EndedItself));
        assert_eq!(
            parse(r#"{"done": true, "stopped": false}"#),
            Ok(Message::Done { device: None, libtorch: None })
        );
        assert_eq!(parse(r#"{"batch": 3, "of": 40.0}"#), Ok(Message::Batch { batch: 3, of: 40 }));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(
            parse("\u{feff}{\"done\": true}\r"),
            Ok(Message::Done { device: None, libtorch: None })
        );
    }

    #[test]
    fn what_is_no_message_is_told_in_words() {
        for (line, problem) in [
            ("Using device: cpu", "stdout is for one JSON object a line"),
            ("", "stdout is for"),
            ("\r 50%|###  | 1/2 [00:01]{\"epoch\": 1}", "stdout is for"),
            ("0.51", "stdout is for"),
            (r#"{"epoch": 1, "validation_accuracy": 0,51}"#, "decimal comma"),
            (r#"{"epoch":1,"training_loss":-1,25,"validation_accuracy":0.5}"#, "decimal comma"),
            ("{'epoch': 1, 'validation_accuracy': 0.5}", "json.dumps"),
            (r#"{"done": True}"#, "json.dumps"),
            (r#"{"epoch": 1, "validation_accuracy": np.float64(0.5)}"#, "json.dumps"),
            (r#"{"epoch": 1, "validation_accuracy": tensor(0.5)}"#, "json.dumps"),
            ("{", "does not end on its line"),
            (r#"{"epoch": 1, "validation_accuracy": 0.5}{"done": true}"#, "more than one object"),
            (r#"{"epoch": 1; "validation_accuracy": 0.5}"#, "no JSON: "),
            (r#"{"epoch": 1, "validation_accuracy": "0,51"}"#, "is \"0,51\", no number such as"),
            (r#"{"epoch": 1.5, "validation_accuracy": 0.5}"#, "is 1.5, no whole number"),
            (r#"{"epoch": "1", "validation_accuracy": 0.5}"#, "is \"1\", no whole number"),
            (r#"{"done": 1}"#, "`done` is 1, no `true` or `false`"),
            (r#"{"failed": true}"#, "`failed` is true, no text"),
            (r#"{"batch": 1}"#, "none of `epoch`"),
            ("{\0", "not UTF-8"),
        ] {
            let found = parse(line).unwrap_err();
            assert!(found.contains(problem), "{line}: {found}");
        }
        assert!(Message::parse(b"\xff\xfe{\0").unwrap_err().contains("PYTHONIOENCODING"));
        let in_a_text = r#"{"note": "True, 1:2,5", "epoch" 1}"#;
        assert!(parse(in_a_text).unwrap_err().starts_with("no JSON: "));
    }
}
