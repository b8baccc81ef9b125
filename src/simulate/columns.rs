//! Which columns of a file of recorded curves hold what, told by its header alone.

use std::collections::BTreeMap;

use super::error::RecordedError;
use crate::exchange::csv_rows::shown;

/// What a person says of the columns of a file of recorded curves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedColumns {
    /// What the names of the curve's columns begin with; `None` where there is only one such group.
    pub curve: Option<String>,
    /// Names of the feature columns; `None` for all other columns of numbers.
    pub features: Option<Vec<String>>,
}

/// The columns of a learning curve: a common prefix, then the number of the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurveColumns {
    pub prefix: String,
    /// Places in the header, in the order of the epochs.
    pub places: Vec<usize>,
}

/// Columns that share a prefix: their numbers and places, in the order of the numbers.
type Group = Vec<(u32, usize)>;

/// Columns of one curve: what they have in common is no accident from two on.
const FEWEST: usize = 2;

impl CurveColumns {
    /// Finds the columns of the curve among those after the first, which is an id.
    ///
    /// # Errors
    /// When there is no such group, there are several and none is named, the first column is one of it, or its
    /// numbers do not go up from 0 or 1 one by one.
    pub fn find(header: &[String], wanted: Option<&str>) -> Result<Self, RecordedError> {
        if let [only] = header
            && only.contains([';', '\t'])
        {
            return Err(RecordedError::OneColumn { header: shown(only) });
        }
        let mut groups = groups(header);
        match wanted {
            Some(prefix) if groups.contains_key(prefix) => {
                groups.retain(|found, _| *found == prefix);
            }
            Some(prefix) => {
                let (prefix, found) = (prefix.to_owned(), listed(&groups));
                return Err(RecordedError::NoSuchCurve { prefix, found });
            }
            None => groups.retain(|_, group| group.len() >= FEWEST),
        }
        if groups.len() > 1 {
            return Err(RecordedError::SeveralCurves { prefixes: listed(&groups) });
        }
        let (prefix, group) = groups.pop_first().ok_or(RecordedError::NoCurve)?;
        if numbered(&header[0]).is_some_and(|(of, _)| of == prefix) {
            return Err(RecordedError::NoId { name: header[0].clone() });
        }
        check_numbers(prefix, &group)?;
        let places = group.iter().map(|(_, place)| *place).collect();
        Ok(Self { prefix: prefix.to_owned(), places })
    }
}

/// Returns the places of features that are named.
///
/// # Errors
/// When there is no such column, or it is the id or part of the curve.
pub(crate) fn named_features(
    header: &[String],
    curve: &CurveColumns,
    names: &[String],
) -> Result<Vec<usize>, RecordedError> {
    let place = |name: &String| {
        let place = header.iter().position(|column| column == name);
        let place = place.ok_or_else(|| RecordedError::NoFeature { name: name.clone() })?;
        if place == 0 || curve.places.contains(&place) {
            return Err(RecordedError::NotAFeature { name: name.clone() });
        }
        Ok(place)
    };
    names.iter().map(place).collect()
}

/// Returns, of some columns, those that look like another learning curve, as their prefixes.
pub(crate) fn other_curves(header: &[String], columns: &[usize]) -> Vec<String> {
    let is_curve = |(_, group): &(&str, Group)| {
        group.len() >= FEWEST && group.iter().all(|(_, place)| columns.contains(place))
    };
    groups(header).into_iter().filter(is_curve).map(|(prefix, _)| prefix.to_owned()).collect()
}

fn groups(header: &[String]) -> BTreeMap<&str, Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (place, name) in header.iter().enumerate().skip(1) {
        if let Some((prefix, number)) = numbered(name) {
            groups.entry(prefix).or_default().push((number, place));
        }
    }
    groups.values_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Takes a name apart: `acc_07` is `acc_` and 7.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((prefix, name[prefix.len()..].parse().ok()?))
}

fn check_numbers(prefix: &str, group: &[(u32, usize)]) -> Result<(), RecordedError> {
    let refuse = |how: String| RecordedError::Epochs { prefix: prefix.to_owned(), how };
    let first = group[0].0;
    if first > 1 {
        return Err(refuse(format!("begin with number {first} (must be 0 or 1)")));
    }
    for pair in group.windows(2) {
        let (before, number) = (pair[0].0, pair[1].0);
        if number == before {
            return Err(refuse(format!("have number {number} twice")));
        }
        if number > before + 1 {
            return Err(refuse(format!("lack number {}", before + 1)));
        }
    }
    Ok(())
}

fn listed(groups: &BTreeMap<&str, Group>) -> String {
    let prefixes: Vec<String> = groups.keys().map(|prefix| format!("`{prefix}`")).collect();
    if prefixes.is_empty() { "none".to_owned() } else { prefixes.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn find(text: &str, wanted: Option<&str>) -> Result<(String, Vec<usize>), String> {
        CurveColumns::find(&header(text), wanted)
            .map(|found| (found.prefix, found.places))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_curve_is_the_group_with_numbers_whatever_its_name() {
        assert_eq!(find("id,depth,y1,y2,y3", None), Ok(("y".into(), vec![2, 3, 4])));
        assert_eq!(find("id,acc_02,acc_01,a", None), Ok(("acc_".into(), vec![2, 1])));
        assert_eq!(find("id,1,2", None), Ok((String::new(), vec![1, 2])));
        assert_eq!(find("id,e0,e1", None), Ok(("e".into(), vec![1, 2])));
    }

    #[test]
    fn a_curve_that_begins_in_the_place_of_the_id_is_refused() {
        // Taken for the id, an epoch would be missing without a word.
        for text in ["y0,y1,y2", "y1,y2,y3", "0,1,2"] {
            assert!(find(text, None).unwrap_err().contains("its first column"), "{text}");
        }
        assert_eq!(find("id0,y1,y2", None), Ok(("y".into(), vec![1, 2])));
    }

    #[test]
    fn a_single_numbered_column_is_a_curve_only_when_it_is_named() {
        assert_eq!(find("id,fc1,y1,y2", None), Ok(("y".into(), vec![2, 3])));
        assert_eq!(find("id,fc1,y1,y2", Some("fc")), Ok(("fc".into(), vec![1])));
    }

    #[test]
    fn of_two_groups_one_must_be_named() {
        let text = "id,acc_1,acc_2,loss_1,loss_2";
        let refused = find(text, None).unwrap_err();
        assert!(refused.contains("`acc_`, `loss_`") && refused.contains("--curve"), "{refused}");
        assert_eq!(find(text, Some("loss_")), Ok(("loss_".into(), vec![3, 4])));
        assert!(find(text, Some("y")).unwrap_err().contains("`acc_`, `loss_`"));
        assert!(find("id,a,b", None).is_err() && find("id", None).is_err());
    }

    #[test]
    fn epochs_go_up_one_by_one_from_0_or_1() {
        assert!(find("id,y1,y2,y4", None).unwrap_err().contains("lack number 3"));
        assert!(find("id,y1,y2,y02", None).unwrap_err().contains("number 2 twice"));
        assert!(find("id,y5,y6", None).unwrap_err().contains("begin with number 5"));
        // Too great for an epoch, and so no number.
        assert!(find("id,y99999999998,y99999999999", None).is_err());
    }

    #[test]
    fn features_are_neither_the_id_nor_the_curve() {
        let header = header("id,a,y1,y2,b");
        let curve = CurveColumns::find(&header, None).unwrap();
        let features = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            named_features(&header, &curve, &names).map_err(|error| error.to_string())
        };
        assert_eq!(features(&["b", "a"]), Ok(vec![4, 1]));
        assert_eq!(features(&[]), Ok(vec![]));
        assert!(features(&["c"]).unwrap_err().contains("no column `c`"));
        assert!(features(&["id"]).is_err() && features(&["y2"]).is_err());
    }

    #[test]
    fn features_that_look_like_another_curve_are_told() {
        let header = header("id,a,y1,y2,train_1,train_2,fc1");
        assert_eq!(other_curves(&header, &[1, 4, 5, 6]), ["train_"]);
        assert!(other_curves(&header, &[1, 4, 6]).is_empty());
    }
}
