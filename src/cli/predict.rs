//! `metaqnn predict`: classes of pictures, by a trained network.

use anyhow::Result;
use clap::Args;

use super::printer::Printer;
use crate::ops::predict::{PredictOptions, predict};

/// Say which classes pictures are of, by a network that a search has kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn predict DIR/models/000123.1 picture.png\n  \
    metaqnn predict DIR/models/000123.1 pictures/ > classes.csv\n  \
    metaqnn predict DIR/models/000123.1 pictures/ --json --dump pixels.npy\n\n\
    Pictures are read as those of the search were: turned upright, made grey or coloured, resized. \
    Those of lossless files are equal to the bit here, in the training and in `classify.py`; \
    decoders of JPEG differ by up to 6 of 255.\n\n\
    CSV with a header, or one JSON object a line: file, class, probability, second_class, \
    second_probability, third_class, third_probability (empty or null where there are fewer \
    classes). `metaqnn-torch` computes, on a GPU if there is one.")]
pub struct PredictArgs {
    #[command(flatten)]
    options: PredictOptions,
    /// One JSON object a line instead of CSV
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PredictArgs, printer: &Printer) -> Result<()> {
    let predictions = predict(&args.options)?;
    if args.json {
        let lines = predictions.iter().map(serde_json::to_string);
        return printer.result(&lines.collect::<Result<Vec<_>, _>>()?.join("\n"));
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    predictions.iter().try_for_each(|prediction| table.serialize(prediction))?;
    printer.result(&String::from_utf8(table.into_inner()?)?)
}
