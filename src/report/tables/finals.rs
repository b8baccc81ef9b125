//! `summary.csv`, `depth.csv` and `reads.csv`: the long trainings after a search.

use derive_more::Deref;
use itertools::Itertools;

use super::table::*;
use crate::report::finals::{
    FinalNetwork, FinalResult, Finals, NetworkRole, Outputs, Read, picked,
};
use crate::report::iterations::ordered_bits;

#[derive(Deref)]
struct NetworkRow<'a> {
    #[deref(forward)]
    network: &'a FinalNetwork,
    result: FinalResult,
    place: Option<u64>,
    is_picked: bool,
}

pub struct DepthRow<'a> {
    pub layers: u32,
    networks: u64,
    /// In the search.
    pub best: &'a FinalNetwork,
}

pub fn of_finals(finals: &Finals) -> TableSet {
    let mut set = TableSet::default();
    add_networks(&mut set, finals);
    add_depths(&mut set, finals);
    let columns = columns! { &Read:
        time: TIME, "When the test images were opened";
        host: TEXT, "Machine that opened them";
        process: COUNT, "Its process";
        plan: POSITIVE, "Number of the list of models: above 1 the images were read again, for \
            others";
        models: COUNT, "Models that had no outputs yet", |row| row.models.len() as u64;
    };
    set.add("reads", &columns, &Vec::from_iter(&finals.reads));
    set.add_dictionary();
    set
}

fn add_networks(set: &mut TableSet, finals: &Finals) {
    let members = finals.selection().members;
    let picked = picked(&members);
    let place = |of: &[&FinalNetwork], network| of.iter().position(|it| std::ptr::eq(*it, network));
    let rows = finals.networks.iter().map(|network| NetworkRow {
        network,
        result: FinalResult::of("", &[network], finals.validation_images.unwrap_or(0)),
        place: place(&members, network).map(|place| place as u64 + 1),
        is_picked: place(&picked, network).is_some(),
    });
    let file = |of: &Option<Outputs>| Some(format!("test/{}", of.as_ref()?.file));
    let mut columns = columns! { NetworkRow:
        role: one_of("top | per_depth | baseline | control"), "Why it was trained: as one of the \
            best of the search, as one of the best of its depth, or to compare with",
            |row| row.role.to_string();
        architecture: ARCHITECTURE, "The network's layers";
        layers: COUNT, "Number of layers, the softmax not counted";
        parameters: COUNT, "Weights and biases of the network";
        search_accuracy: SHARE, "Validation accuracy in the search";
        validation_accuracy: SHARE,
            "Validation accuracy of the long training, by which networks are chosen";
        problem: TEXT, "Why there is none";
        seconds: SECONDS, "Time spent on that training";
        place: POSITIVE, "Place among the members of the ensemble, 1 for the top model";
        picked: BOOLEAN, "Whether the ensemble that is picked greedily has it",
            |row| row.is_picked;
        validation_outputs: TEXT, "File of its probabilities for the validation images",
            |row| file(&row.validation);
        mean_test_error: SHARE, "Mean of the test errors", |row| row.result.mean_test_error;
        test_error_spread: NOT_NEGATIVE, "Standard deviation of the test errors (n - 1)",
            |row| row.result.test_error_spread;
        test_error_lower: SHARE, "Lower end of the exact 95 % interval of test_error_1",
            |row| Some(row.result.test.get(&1)?.interval[0]);
        test_error_upper: SHARE, "Upper end of the exact 95 % interval of test_error_1",
            |row| Some(row.result.test.get(&1)?.interval[1]);
        trainer: TRAINER, WHO_TRAINED, |_| finals.trainer.clone();
    };
    let repeats = finals.networks.iter().flat_map(|of| &of.repeats).map(|of| of.repeat);
    for repeat in repeats.unique().sorted() {
        let meaning = format!("Share of the test images that training {repeat} has wrong");
        let error = move |row: &NetworkRow| Some(row.result.test.get(&repeat)?.error);
        columns.push(column(format!("test_error_{repeat}"), SHARE, meaning, error));
        let outputs =
            move |row: &NetworkRow| file(&row.repeats.iter().find(|of| of.repeat == repeat)?.test);
        let meaning = "File of the probabilities that it was counted from";
        columns.push(column(format!("test_outputs_{repeat}"), TEXT, meaning, outputs));
    }
    set.add("summary", &columns, &Vec::from_iter(rows));
}

pub fn depths(finals: &Finals) -> Vec<DepthRow<'_>> {
    let is_of_search = |of: &&FinalNetwork| match of.role {
        NetworkRole::Top | NetworkRole::PerDepth => true,
        NetworkRole::Control => finals.control.is_none(),
        NetworkRole::Baseline => false,
    };
    let by_depth = finals.networks.iter().filter(is_of_search).filter(|of| of.layers.is_some());
    let by_depth = by_depth.sorted_by_key(|of| of.layers).chunk_by(|of| of.layers);
    let rows = by_depth.into_iter().filter_map(|(layers, of)| {
        let of = of.collect_vec();
        let best = of.iter().rev().max_by_key(|of| of.search_accuracy.map(ordered_bits))?;
        Some(DepthRow { layers: layers?, networks: of.len() as u64, best })
    });
    rows.collect()
}

pub fn add_depths(set: &mut TableSet, finals: &Finals) {
    let rows = depths(finals);
    let rank = |accuracy: fn(&FinalNetwork) -> Option<f64>, row: &DepthRow| {
        let own = accuracy(row.best)?;
        Some(1 + rows.iter().filter(|of| accuracy(of.best) > Some(own)).count() as u64)
    };
    let columns = columns! { DepthRow:
        layers: COUNT, "Number of layers, the softmax not counted";
        networks: COUNT, "Networks of the search with so many that were trained for long";
        architecture: ARCHITECTURE, "The best of them in the search",
            |row| row.best.architecture.clone();
        search_accuracy: SHARE, "Its validation accuracy in the search",
            |row| row.best.search_accuracy;
        validation_accuracy: SHARE, "Its validation accuracy after the long training",
            |row| row.best.validation_accuracy;
        search_rank: POSITIVE, "Rank of the depth by search_accuracy, 1 for the best",
            |row| rank(|of| of.search_accuracy, row);
        validation_rank: POSITIVE, "Rank of the depth by validation_accuracy, 1 for the best",
            |row| rank(|of| of.validation_accuracy, row);
        trainer: TRAINER, WHO_TRAINED, |_| finals.trainer.clone();
    };
    set.add("depth", &columns, &rows);
}
