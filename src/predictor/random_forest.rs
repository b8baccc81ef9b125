//! A random forest of regression trees (Breiman, 2001).

use rand::Rng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::maths::mean;

const TREES: usize = 100;

/// Saved as its seed and grown again from the training set, by arithmetic that gives the same bits
/// on every machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomForest {
    pub seed: u64,
    #[serde(skip)]
    trees: Vec<Tree>,
}

#[derive(Debug, Clone, PartialEq)]
struct Tree {
    nodes: Vec<Node>,
    /// Whether each training row was drawn for this tree.
    drawn: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Leaf(f64),
    Split { feature: usize, threshold: f64, left: usize, right: usize },
}

impl RandomForest {
    /// Each tree sees as many rows as there are, drawn with replacement; each split is the best one
    /// of a third of the features, drawn anew; trees are grown until leaves are pure.
    pub fn grow(seed: u64, rows: &[Vec<f64>], targets: &[f64]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self { seed, trees: (0..TREES).map(|_| Tree::grow(&mut rng, rows, targets)).collect() }
    }

    pub fn predict(&self, row: &[f64]) -> f64 {
        mean(self.trees.iter().map(|tree| tree.predict(row)))
    }

    /// Each row of the training set by the trees that did not see it, or by all if every tree did.
    pub fn predict_out_of_bag(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let predict = |(at, row): (usize, &Vec<f64>)| {
            let unseen: Vec<_> = self.trees.iter().filter(|tree| !tree.drawn[at]).collect();
            match unseen.as_slice() {
                [] => self.predict(row),
                unseen => mean(unseen.iter().map(|tree| tree.predict(row))),
            }
        };
        rows.iter().enumerate().map(predict).collect()
    }
}

impl Tree {
    fn grow(rng: &mut impl Rng, rows: &[Vec<f64>], targets: &[f64]) -> Self {
        let sample: Vec<usize> = rows.iter().map(|_| rng.random_range(0..rows.len())).collect();
        let mut drawn = vec![false; rows.len()];
        sample.iter().for_each(|&row| drawn[row] = true);
        let mut nodes = vec![Node::Leaf(0.0)];
        let mut open = vec![(0, sample)];
        while let Some((at, members)) = open.pop() {
            match best_split(rng, rows, targets, &members) {
                None => nodes[at] = Node::Leaf(mean(members.iter().map(|&m| targets[m]))),
                Some(split) => {
                    let (left, right) = (nodes.len(), nodes.len() + 1);
                    let BestSplit { feature, threshold, below, above, .. } = split;
                    nodes[at] = Node::Split { feature, threshold, left, right };
                    nodes.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
                    open.extend([(left, below), (right, above)]);
                }
            }
        }
        Self { nodes, drawn }
    }

    fn predict(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(value) => return value,
                Node::Split { feature, threshold, left, right } => {
                    at = if row[feature] <= threshold { left } else { right };
                }
            }
        }
    }
}

struct BestSplit {
    /// Sum over both sides of (sum of targets)^2 / members: the larger, the less variance is left.
    score: f64,
    feature: usize,
    threshold: f64,
    below: Vec<usize>,
    above: Vec<usize>,
}

/// The split that leaves the least squared error; none when targets or features are all equal.
fn best_split(
    rng: &mut impl Rng,
    rows: &[Vec<f64>],
    targets: &[f64],
    members: &[usize],
) -> Option<BestSplit> {
    if members.iter().all(|&m| targets[m] == targets[members[0]]) {
        return None;
    }
    let columns = rows[0].len();
    let sort = |feature: usize| {
        let mut sorted = members.to_vec();
        sorted.sort_by(|&a, &b| rows[a][feature].total_cmp(&rows[b][feature]));
        (rows[sorted[0]][feature] != rows[*sorted.last()?][feature]).then_some((feature, sorted))
    };
    let mut best: Option<BestSplit> = None;
    // Constant columns do not count among those tried: a drawn third may consist of them alone.
    let drawn = index::sample(rng, columns, columns).into_iter().filter_map(sort);
    for (feature, sorted) in drawn.take(columns.div_ceil(3)) {
        let value = |place: usize| rows[sorted[place]][feature];
        let total: f64 = sorted.iter().map(|&m| targets[m]).sum();
        let mut sum = 0.0;
        for place in 0..sorted.len() - 1 {
            sum += targets[sorted[place]];
            if value(place) == value(place + 1) {
                continue;
            }
            let (below, above) = ((place + 1) as f64, (sorted.len() - place - 1) as f64);
            let score = sum * sum / below + (total - sum) * (total - sum) / above;
            if best.as_ref().is_none_or(|best| score > best.score) {
                // Halfway, unless rounding brings that to the upper value.
                let half = value(place) + (value(place + 1) - value(place)) / 2.0;
                let threshold = if half < value(place + 1) { half } else { value(place) };
                let (below, above) = (sorted[..=place].to_vec(), sorted[place + 1..].to_vec());
                best = Some(BestSplit { score, feature, threshold, below, above });
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> (Vec<Vec<f64>>, Vec<f64>) {
        // The target is a step of the second feature; the first is constant, the third is noise.
        let rows: Vec<Vec<f64>> = (0..60)
            .map(|i| vec![1.0, f64::from(i % 12), (f64::from(i) * 0.618_034).fract()])
            .collect();
        let targets = rows.iter().map(|row| if row[1] < 6.0 { 0.0 } else { 1.0 }).collect();
        (rows, targets)
    }

    #[test]
    fn a_step_is_found() {
        let (rows, targets) = steps();
        let forest = RandomForest::grow(1, &rows, &targets);
        assert!(forest.predict(&[1.0, 2.0, 0.5]) < 0.2);
        assert!(forest.predict(&[1.0, 9.0, 0.5]) > 0.8);
    }

    #[test]
    fn a_forest_grown_again_is_the_same() {
        let (rows, targets) = steps();
        let forest = RandomForest::grow(7, &rows, &targets);
        let mut saved: RandomForest =
            serde_yaml::from_str(&serde_yaml::to_string(&forest).unwrap()).unwrap();
        saved = RandomForest::grow(saved.seed, &rows, &targets);
        assert_eq!(saved, forest);
        assert_ne!(RandomForest::grow(8, &rows, &targets), forest);
    }

    #[test]
    fn out_of_bag_predictions_come_from_trees_that_did_not_see_the_row() {
        let rows: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i)]).collect();
        // One outlier: a tree that has not seen it cannot predict it.
        let mut targets = vec![0.0; 20];
        targets[10] = 1.0;
        let forest = RandomForest::grow(3, &rows, &targets);
        assert_eq!(forest.predict_out_of_bag(&rows)[10], 0.0);
        assert!(forest.predict(&rows[10]) > 0.3);
    }

    #[test]
    fn equal_rows_make_one_leaf() {
        let forest = RandomForest::grow(1, &vec![vec![0.0]; 4], &[1.0, 1.0, 1.0, 1.0]);
        assert_eq!(forest.predict(&[5.0]), 1.0);
    }
}
