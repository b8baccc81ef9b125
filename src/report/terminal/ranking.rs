//! The ranking of architectures, as shown at the end of a search.

use super::{Colour, accuracy, hanging, known, rounded, short, text_of};
use crate::report::architectures::ArchitectureRecord;
use crate::report::search::mark;

/// Returns a ranking as a table of at most 80 columns, long architectures on several lines.
pub fn ranked(ranking: &[ArchitectureRecord], trainer: &str, colour: Colour) -> String {
    if ranking.is_empty() {
        return "No network has been trained to the end.\n".to_owned();
    }
    let mut lines = vec![colour.bold("rank  accuracy  parameters  layers  epsilon  architecture")];
    for (rank, record) in (1..).zip(ranking) {
        let deciding = record.deciding;
        let facts = format!(
            "{rank:>4}  {:>8}  {:>10}  {:>6}  {:>7}  ",
            accuracy(deciding.best_validation_accuracy),
            known(deciding.parameters.map(short)),
            known(deciding.layers),
            known(deciding.epsilon.map(rounded)),
        );
        lines.extend(hanging(&facts, record.architecture));
    }
    lines.extend(mark(trainer).map(|mark| colour.warning(mark)));
    text_of(&lines)
}

#[cfg(test)]
mod tests {
    use super::super::WIDTH;
    use super::*;
    use crate::report::golden::assert_golden;
    use crate::report::ranking;
    use crate::report::sample::{self, iteration};
    use crate::storage::{Event, Row};
    use proptest::prelude::*;

    #[test]
    fn the_ranking_is_the_accepted_one() {
        let mut iterations = sample::iterations();
        iterations.push(Row {
            architecture: Some(sample::DENSE.replace("64", "512")),
            best_validation_accuracy: Some(0.943_15),
            parameters: Some(11_263_498),
            layers: Some(5),
            epsilon: Some(1.0 / 3.0),
            ..iteration(12, Event::Trained)
        });
        let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
        assert_golden("report/ranking.txt", &ranked(&ranking, "synthetic", Colour::Plain));
        assert_eq!(
            ranked(&[], "torch", Colour::Plain),
            "No network has been trained to the end.\n"
        );
    }

    proptest! {
        #[test]
        fn every_line_fits_the_terminal(
            layers in prop::collection::vec("C\\([0-9]{1,3},[0-9],1\\)", 1..20),
            parameters in 0..100_000_000_000u64,
            epsilon in 0.0..=1.0f64,
        ) {
            let iterations = [Row {
                architecture: Some(format!("[{}]", layers.join(", "))),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(1, Event::Trained)
            }];
            let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
            let text = ranked(&ranking, "synthetic", Colour::Plain);
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
        }
    }
}
