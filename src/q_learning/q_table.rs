//! The Q-table: what each action has been worth in each state.

use std::borrow::Cow;

use indexmap::IndexMap;

use super::trajectory::Trajectory;
use crate::space::{Action, Space, StateKey};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QLearningError(pub(super) String);

/// A state gets its row when the first architecture that passes through it enters the replay
/// memory: all its legal actions, in the order of [`Space::legal_actions`], at the initial
/// Q-value. States without a row read as if they had one.
#[derive(Debug, Clone, PartialEq)]
pub struct QTable {
    space: Space,
    initial_q_value: f64,
    /// In the order of their creation, so that a [`Place`] stays where it is; equal in any order.
    rows: IndexMap<StateKey, ActionValues>,
}

#[derive(Debug, Clone, PartialEq)]
struct ActionValues {
    values: Vec<(Action, f64)>,
    /// How often each of these Q-values was updated.
    updates: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    row: u32,
    action: u32,
    /// The actions of the row that the space's mask leaves here; `None`: all.
    legal: Option<Box<[u32]>>,
}

impl QTable {
    pub fn new(space: Space, initial_q_value: f64) -> Self {
        Self { space, initial_q_value, rows: IndexMap::new() }
    }

    pub const fn space(&self) -> &Space {
        &self.space
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// In the order of their states.
    pub fn rows(&self) -> impl Iterator<Item = (StateKey, &[(Action, f64)])> {
        let mut rows: Vec<_> = self.rows.iter().map(|(key, row)| (*key, &*row.values)).collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows.into_iter()
    }

    /// Of a state with a row.
    pub fn updates(&self, key: &StateKey) -> &[u64] {
        &self.rows[key].updates
    }

    pub fn values(&self, key: &StateKey) -> Cow<'_, [(Action, f64)]> {
        match self.rows.get(key) {
            Some(row) => Cow::Borrowed(&row.values),
            None => Cow::Owned(self.initial_row(key)),
        }
    }

    #[cfg(test)]
    pub(super) fn value(&self, key: &StateKey, action: Action) -> Option<f64> {
        self.values(key).iter().find(|(legal, _)| *legal == action).map(|&(_, value)| value)
    }

    pub fn insert_row(
        &mut self,
        key: StateKey,
        values: Vec<(Action, f64)>,
        updates: Vec<u64>,
    ) -> Result<(), QLearningError> {
        let legal = self.space.legal_actions(&key);
        let problem = if self.rows.contains_key(&key) {
            format!("the Q-table holds the state `{key:?}` twice")
        } else if !values.iter().map(|(action, _)| action).eq(&legal) {
            let (legal, found) = (legal.len(), values.len());
            format!(
                "the Q-table's actions of the state `{key:?}` are not the legal ones ({legal} \
                 actions, {found} found)"
            )
        } else if let Some((action, value)) = values.iter().find(|(_, value)| !value.is_finite()) {
            format!(
                "the Q-value of `{action}` in the state `{key:?}` is `{value}` (must be finite)"
            )
        } else {
            self.rows.insert(key, ActionValues { values, updates });
            return Ok(());
        };
        Err(QLearningError(problem))
    }

    /// Where the Q-values of a trajectory lie; states without a row get one.
    pub(super) fn places(&mut self, trajectory: &Trajectory) -> Box<[Place]> {
        let (mut places, mut mask) = (Vec::new(), self.space.mask());
        for transition in trajectory.transitions() {
            if !self.rows.contains_key(&transition.state) {
                let values = self.initial_row(&transition.state);
                let updates = vec![0; values.len()];
                self.rows.insert(transition.state, ActionValues { values, updates });
            }
            let (row, _, ActionValues { values, .. }) =
                self.rows.get_full(&transition.state).expect("a row");
            let action = values.iter().position(|(action, _)| *action == transition.action);
            let action = action.expect("a trajectory takes legal actions") as u32;
            let legal = mask.map(|mask| {
                let numbered = (0..).zip(values);
                numbered.filter_map(|(n, (action, _))| mask.after(*action).map(|_| n)).collect()
            });
            mask = mask.and_then(|mask| mask.after(transition.action));
            places.push(Place { row: row as u32, action, legal });
        }
        places.into()
    }

    /// The Q-value at a place, to be updated: counts the update.
    pub(super) fn value_to_update(&mut self, place: &Place) -> &mut f64 {
        let row = &mut self.rows[place.row as usize];
        row.updates[place.action as usize] += 1;
        &mut row.values[place.action as usize].1
    }

    pub(super) fn best_value(&self, place: &Place) -> f64 {
        let values = &self.rows[place.row as usize].values;
        let best = |best: f64, at: &(Action, f64)| best.max(at.1);
        match &place.legal {
            None => values.iter().fold(f64::NEG_INFINITY, best),
            Some(legal) => {
                legal.iter().map(|&at| &values[at as usize]).fold(f64::NEG_INFINITY, best)
            }
        }
    }

    fn initial_row(&self, key: &StateKey) -> Vec<(Action, f64)> {
        let actions = self.space.legal_actions(key).into_iter();
        actions.map(|action| (action, self.initial_q_value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{DataShape, Layer, SpaceParams};

    fn table() -> QTable {
        let image = DataShape { size: 8, channels: 3, classes: 10 };
        QTable::new(SpaceParams::default().check(image).unwrap(), 0.5)
    }

    fn start(table: &QTable) -> StateKey {
        table.space().key(&table.space().start())
    }

    fn visit(table: &mut QTable, architecture: &str) {
        let architecture = table.space().parse(architecture).unwrap();
        table.places(&Trajectory::of(table.space(), &architecture));
    }

    const SOFTMAX: Layer = Layer::Softmax { classes: 10 };

    #[test]
    fn an_unseen_state_reads_as_its_initial_row_and_gets_none() {
        let table = table();
        let start = start(&table);
        // Softmax, 4 x 3 convolutions, global average pooling.
        assert_eq!(table.values(&start).len(), 14);
        assert_eq!(table.value(&start, SOFTMAX), Some(0.5));
        assert_eq!(table.value(&start, Layer::Pool { kernel: 2, stride: 2 }), None);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn rows_come_in_the_order_of_their_states() {
        let (mut one, mut other) = (table(), table());
        let names = ["[C(64,3,1), P(2,2), FC(128), SM(10)]", "[C(128,3,1), GAP(10), SM(10)]"];
        names.iter().for_each(|name| visit(&mut one, name));
        names.iter().rev().for_each(|name| visit(&mut other, name));
        assert_eq!(one, other);
        let keys: Vec<StateKey> = one.rows().map(|(key, _)| key).collect();
        assert!(keys.is_sorted());
        // The start, two after it in the first network and two in the second, one more in the
        // first.
        assert_eq!(keys.len(), 6);
    }

    #[test]
    fn a_table_is_made_again_from_its_rows() {
        let mut original = table();
        visit(&mut original, "[C(64,3,1), P(2,2), FC(128), SM(10)]");
        let mut copy = table();
        for (key, row) in original.rows() {
            copy.insert_row(key, row.to_vec(), vec![0; row.len()]).unwrap();
        }
        assert_eq!(copy, original);
        copy.rows[0].values[0].1 = 0.75;
        assert_ne!(copy, original);
    }

    #[test]
    fn a_row_that_is_not_the_spaces_is_refused() {
        let mut table = table();
        let start = start(&table);
        let row = table.values(&start).into_owned();
        let mut swapped = row.clone();
        swapped.swap(0, 1);
        let mut refused = |row, problem: &str| {
            let error = table.insert_row(start, row, vec![0; 14]).unwrap_err();
            assert!(error.0.contains(problem), "{error}");
        };
        for wrong in [swapped, row[1..].to_vec(), vec![]] {
            refused(wrong, "are not the legal ones (14 actions, ");
        }
        let mut infinite = row.clone();
        infinite[3].1 = f64::INFINITY;
        refused(infinite, "(must be finite)");
        assert_eq!(table.insert_row(start, row.clone(), vec![0; 14]), Ok(()));
        let twice = table.insert_row(start, row, vec![0; 14]).unwrap_err();
        assert!(twice.0.ends_with("twice"), "{twice}");
    }
}
