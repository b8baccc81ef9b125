//! `q_by_layer_type.csv`, `q_by_kernel.csv`: mean Q-values of actions by their depth.

use std::collections::BTreeMap;

use super::q_table::next;
use super::table::*;
use crate::report::search::{IMPORTED, QValue, SearchData};

pub struct MeanQValue {
    pub table: &'static str,
    pub entries: &'static str,
    /// A kind of layer, or the side of a kernel.
    pub of: String,
    pub depth: u32,
    pub mean_q_value: f64,
    pairs: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub enum ActionGroup {
    LayerType,
    /// Of convolutions.
    Kernel,
}

impl ActionGroup {
    fn of(self, value: &QValue) -> Option<String> {
        let next = next(value);
        match self {
            Self::LayerType => Some(next.layer_type.to_owned()),
            Self::Kernel => (next.layer_type == "conv").then(|| next.filter_size.to_string()),
        }
    }

    pub const fn table(self) -> &'static str {
        if matches!(self, Self::Kernel) { "q_by_kernel" } else { "q_by_layer_type" }
    }
}

/// Of the learned table and of an imported one, of all their pairs and of those updated.
pub fn mean_q_values(search: &SearchData, by: ActionGroup) -> Vec<MeanQValue> {
    let mut rows = Vec::new();
    let tables = [("learned", &search.q_values), (IMPORTED, &search.imported_q_values)];
    for (table, values) in tables {
        for entries in ["all", "updated"] {
            let mut groups = BTreeMap::<(String, u32), Vec<f64>>::new();
            for value in values.iter().filter(|it| entries == "all" || search.is_updated(it)) {
                if let Some(of) = by.of(value) {
                    groups.entry((of, value.state.depth + 1)).or_default().push(value.value);
                }
            }
            rows.extend(groups.into_iter().map(|((of, depth), values)| {
                let (sum, pairs) = (values.iter().sum::<f64>(), values.len() as u64);
                MeanQValue { table, entries, of, depth, mean_q_value: sum / pairs as f64, pairs }
            }));
        }
    }
    rows
}

pub fn add_q_by_depth(set: &mut TableSet, search: &SearchData, by: ActionGroup) {
    let mut columns = columns! { MeanQValue:
        table: one_of("learned | imported"),
            "Whose Q-values: those learned here, or those imported with the results";
        entries: one_of("all | updated"), "Which of them: all, those never updated included, or \
            those updated at least once (of imported ones, those not at the initial value)";
        depth: POSITIVE, "Depth of the layer to be placed";
    };
    let of = |row: &MeanQValue| row.of.clone();
    columns.push(match by {
        ActionGroup::LayerType => {
            let kinds = one_of("conv | pool | fc | gap | softmax");
            column("layer", kinds, "Kind of the layer to be placed", of)
        }
        ActionGroup::Kernel => {
            let side = |row: &MeanQValue| row.of.parse::<u32>().ok();
            column("kernel", PIXELS, "Side of its kernel, a convolution's", side)
        }
    });
    columns.extend(columns! { MeanQValue:
        mean_q_value: NUMBER, "Mean of the Q-values";
        pairs: POSITIVE, "Number of the Q-values: pairs of a state and an action";
        trainer: TRAINER, WHO_TRAINED,
            |row| if row.table == IMPORTED { IMPORTED } else { search.trainer };
    });
    set.add(by.table(), &columns, &mean_q_values(search, by));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn means_are_of_all_pairs_and_of_the_updated_ones() {
        let mut search = sample::search("torch");
        search.imported_q_values = search.q_values.clone();
        search.imported_q_values.iter_mut().for_each(|of| of.updates = None);
        search.q_values[0].updates = Some(3);
        let rows = mean_q_values(&search, ActionGroup::LayerType);
        let of = |table, entries, kind: &str, depth| {
            let is_it = |row: &&MeanQValue| {
                (row.table, row.entries, &*row.of, row.depth) == (table, entries, kind, depth)
            };
            rows.iter().find(is_it).map(|row| (row.mean_q_value, row.pairs))
        };
        // Softmax at depth 4: 0.5 after a fully connected layer, 0.504 after the pooling.
        assert_eq!(of("learned", "all", "softmax", 4), Some((0.502, 2)));
        assert_eq!(of("learned", "updated", "softmax", 4), Some((0.504, 1)));
        // At the initial value, yet updated; of an imported one that cannot be told.
        assert_eq!(of("learned", "updated", "softmax", 1), Some((0.5, 1)));
        assert_eq!(of("imported", "updated", "softmax", 1), None);
        let kernels = mean_q_values(&search, ActionGroup::Kernel);
        assert!(kernels.iter().all(|row| (&*row.of, row.depth) == ("3", 1)));
    }
}
