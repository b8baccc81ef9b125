//! Curves written, cut, damaged and resumed.

use proptest::prelude::*;

use super::*;

fn row(start: u32, epoch: u32) -> CurveRow {
    CurveRow {
        epoch,
        start,
        learning_rate: Some(0.001),
        training_loss: Some(1.5),
        training_accuracy: None,
        validation_loss: Some(f64::NAN),
        validation_accuracy: Accuracy::new(0.1 + 0.2).ok(),
        seconds: Some(2.25),
        time: "2026-03-01T12:00:00.250Z".parse().unwrap(),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

/// Begins a curve, of a first attempt, with these rows.
fn begin(path: &Path, rows: &[CurveRow]) -> CurveInProgress {
    let mut curve = CurveInProgress::new(path.to_path_buf(), Curve::default());
    rows.iter().for_each(|row| assert!(curve.append(row.clone(), |_| ()).unwrap()));
    curve
}

fn read_back(path: &Path) -> Vec<(u32, u32)> {
    Curve::read(path).unwrap().rows.iter().map(CurveRow::position).collect()
}

#[test]
fn the_last_start_is_the_curve_and_a_later_attempt_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.1.csv"), folder.path().join("1.2.csv"));
    let rows = [row(1, 1), row(2, 1), row(2, 2), row(2, 3)];
    begin(&first, &rows).finish().unwrap();
    let earlier = Curve::read(&first).unwrap();
    assert_eq!(earlier.last_start().len(), 3);
    // Resumed from a checkpoint of the second epoch: the third is trained again.
    let mut curve = CurveInProgress::new(second.clone(), earlier);
    assert!(curve.append(row(2, 3), |_| ()).unwrap());
    assert_eq!(read_back(&second), [(1, 1), (2, 1), (2, 2), (2, 3)]);
    assert!(Curve::default().last_start().is_empty());
}

#[test]
fn of_equally_good_epochs_the_first_is_the_best() {
    let accuracies = [0.25, 0.75, 0.5, 0.75];
    let rows = (1..).zip(accuracies).map(|(epoch, accuracy)| CurveRow {
        validation_accuracy: Accuracy::new(accuracy).ok(),
        ..row(1, epoch)
    });
    let summary = Curve { rows: rows.collect() }.summary().unwrap();
    let best = (summary.best_epoch, summary.best.map(Accuracy::value));
    assert_eq!((best, summary.epochs), ((Some(2), Some(0.75)), 4));
}

#[test]
fn no_attempt_resumes_at_an_epoch_whose_predecessor_is_missing() {
    let curve = Curve { rows: vec![row(1, 1), row(2, 1), row(2, 2)] };
    let rows = |start, epoch| curve.before(start, epoch).map(|before| before.rows.len());
    assert_eq!(rows(2, 3), Some(3));
    assert_eq!(rows(2, 2), Some(2));
    assert_eq!(rows(2, 4), None, "the third epoch is missing");
    assert_eq!(rows(3, 2), None);
    // The first epoch of a start needs no other.
    assert_eq!(
        (rows(1, 1), rows(3, 1), Curve::default().before(1, 1)),
        (Some(0), Some(3), Some(Curve::default()))
    );
    assert_eq!(Curve::default().before(1, 2), None);
}

#[test]
fn a_curve_cut_at_any_byte_keeps_its_whole_rows() {
    let whole = [HEADER.as_bytes().to_vec(), line(&row(1, 1)), line(&row(1, 2))].concat();
    for cut in 0..=whole.len() {
        let rows = Curve::parse(&whole[..cut], Path::new("cut")).unwrap().rows;
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(rows.len(), lines.saturating_sub(1));
    }
}

#[test]
fn a_damaged_line_is_named() {
    let message = |rows: &[Vec<u8>]| {
        let bytes = [HEADER.as_bytes().to_vec(), rows.concat()].concat();
        let error = Curve::parse(&bytes, Path::new("c.csv")).unwrap_err();
        format!(
            "{error}: {}",
            std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
        )
    };
    assert!(message(&[line(&row(1, 2)), line(&row(1, 2))]).contains("line 3"));
    assert!(message(&[line(&row(1, 1)), b"1,x\n".to_vec()]).contains("line: 3"));
    let loud = String::from_utf8(line(&row(1, 1))).unwrap().replace("0.30", "3.30");
    assert!(message(&[loud.into_bytes()]).contains("outside [0, 1]"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200), with_header in any::<bool>(),
    ) {
        let header = if with_header { HEADER.to_owned() } else { String::new() };
        let _ = Curve::parse(&[header.as_bytes(), &bytes, b"\n"].concat(), Path::new("any"));
    }
}

#[test]
fn the_header_names_the_fields_of_a_row() {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row(1, 1)).unwrap();
    let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    assert!(text.starts_with(HEADER));
}

#[test]
fn rows_can_be_read_as_soon_as_they_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000123.1.csv");
    let mut curve = begin(&path, &[row(1, 1)]);
    assert_eq!(read_back(&path), [(1, 1)]);
    curve.append(row(2, 1), |_| ()).unwrap();
    assert_eq!(read_back(&path), [(1, 1), (2, 1)]);
    curve.finish().unwrap();
    let curve = Curve::read(&path).unwrap();
    assert_eq!(curve.rows[0], CurveRow { validation_loss: None, ..row(1, 1) });
    let text = std::fs::read_to_string(&path).unwrap();
    let cells = "1,1,0.001,1.5,,,0.30000000000000004,2.25,2026-03-01T12:00:00.250Z,,,,";
    assert_eq!(text.lines().nth(1), Some(cells));
}

#[test]
fn a_curve_is_written_whole_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.1.csv");
    std::fs::write(&path, "epoch,start\n1,").unwrap();
    Curve { rows: vec![row(1, 1), row(1, 2)] }.replace(&path).unwrap();
    assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
}

#[test]
fn a_curve_that_was_removed_cut_or_lost_its_folder_is_written_anew_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("curves");
    let path = folder.join("1.1.csv");
    let damages: [fn(&Path); 3] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "epoch,start\n1,").unwrap(),
        |path| std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
    ];
    for damage in damages {
        std::fs::create_dir_all(&folder).unwrap();
        let mut curve = begin(&path, &[row(1, 1)]);
        damage(&path);
        curve.append(row(1, 2), |_| ()).unwrap();
        curve.finish().unwrap();
        assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
        std::fs::remove_file(&path).unwrap();
    }
    let mut curve = begin(&path, &[row(1, 1)]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    curve.finish().unwrap();
    assert!(path.is_dir());
}

#[test]
fn no_attempt_writes_the_curve_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.1.csv");
    begin(&path, &[row(1, 1)]);
    let mut other = CurveInProgress::new(path.clone(), Curve::default());
    assert!(other.append(row(1, 1), |_| ()).unwrap_err().is_taken());
    assert_eq!(read_back(&path), [(1, 1)]);
}

fn curve_of(reports: &[(u32, u32)]) -> Curve {
    let mut curve = Curve::default();
    reports.iter().for_each(|&(start, epoch)| curve.rows.push(row(start, epoch)));
    curve
}

#[test]
fn a_training_taken_up_again_begins_with_the_epochs_that_still_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000001.2.csv");
    let earlier = curve_of(&[(1, 1), (2, 1), (2, 2), (2, 3)]);
    let mut curve = CurveInProgress::new(path.clone(), earlier);
    let better = Accuracy::new(0.75).unwrap();
    for epoch in [3, 4] {
        let better = CurveRow { validation_accuracy: Some(better), ..row(2, epoch) };
        assert!(curve.append(better, |_| ()).unwrap());
    }
    curve.finish().unwrap();
    assert_eq!(read_back(&path), [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4)]);
    // Three of the four epochs of 2.25 s stand.
    assert_eq!((curve.kept_seconds, curve.lost_seconds()), (6.75, 2.25));
    let summary = curve.curve.summary().unwrap();
    let best = (summary.best_epoch, summary.best.map(Accuracy::value));
    assert_eq!((best, summary.epochs), ((Some(3), Some(0.75)), 4));
}

#[test]
fn what_is_left_takes_as_long_as_what_there_was() {
    let timed = [(1, 1, Some(50.0)), (2, 1, Some(14.0)), (2, 2, Some(10.0))]
        .map(|(start, epoch, seconds)| CurveRow { seconds, ..row(start, epoch) });
    // Epochs of 14 and 10 s, and six more to come.
    assert_eq!(Curve { rows: timed.to_vec() }.seconds_left(8, 99.0), 72.0);
    let silent = Curve { rows: timed.map(|row| CurveRow { seconds: None, ..row }).to_vec() };
    // Three epochs in 30 s.
    assert_eq!((silent.seconds_left(8, 30.0), silent.seconds_left(2, 30.0)), (60.0, 0.0));
}

#[test]
fn a_prediction_is_made_from_the_last_start_and_written_with_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.2.csv");
    let mut curve = CurveInProgress::new(path.clone(), curve_of(&[(1, 1), (2, 1)]));
    let judge = |curve: &mut Curve| {
        let start = curve.last_start();
        assert_eq!(start.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 2]);
        let prediction = Prediction { mean: 1.5, sigma: 0.25 };
        curve.rows.last_mut().unwrap().judge(StoppingRule::default(), prediction, Some(0.75));
    };
    curve.append(row(2, 2), judge).unwrap();
    curve.finish().unwrap();
    let rows = Curve::read(&path).unwrap();
    let predicted: Vec<_> = rows.rows.iter().map(|row| row.predicted_accuracy).collect();
    assert_eq!(predicted, [None, None, Some(1.5)]);
    let last = &rows.rows[2];
    assert_eq!((last.sigma, last.y_best), (Some(0.25), Some(0.75)));
    // Phi(-3) = 0.00135.
    assert!(last.stop_probability.is_some_and(|found| (found - 0.00135).abs() < 1e-5));
}

#[test]
fn a_training_begun_anew_has_lost_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut curve =
        CurveInProgress::new(folder.path().join("1.2.csv"), curve_of(&[(1, 1), (1, 2)]));
    curve.append(row(1, 1), |_| ()).unwrap();
    assert_eq!((curve.kept_seconds, curve.lost_seconds()), (0.0, 4.5));
    assert_eq!(curve.curve.last_start().len(), 1);
}

#[test]
fn a_checkpoint_ahead_of_the_curve_is_found_out() {
    let path = PathBuf::from("/nowhere/1.2.csv");
    let begin = |reports: &[(u32, u32)]| CurveInProgress::new(path.clone(), curve_of(reports));
    let mut curve = begin(&[(1, 1), (1, 2)]);
    assert!(!curve.append(row(1, 4), |_| ()).unwrap());
    assert!(curve.curve.rows.is_empty());
    assert!(!begin(&[(1, 1), (1, 2)]).keep_earlier(3));
    assert!(begin(&[(1, 1), (1, 2)]).keep_earlier(2));
    assert!(!begin(&[]).keep_earlier(1));
}

#[test]
fn a_trainer_that_had_nothing_left_to_do_keeps_the_whole_curve() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.2.csv");
    let mut curve = CurveInProgress::new(path.clone(), curve_of(&[(1, 1), (1, 2)]));
    assert!(curve.keep_earlier(2));
    curve.finish().unwrap();
    curve.finish().unwrap();
    assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
    assert_eq!((curve.kept_seconds, curve.lost_seconds()), (4.5, 0.0));
}

#[test]
fn a_training_without_an_epoch_has_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.1.csv");
    let mut curve = CurveInProgress::new(path.clone(), Curve::default());
    curve.finish().unwrap();
    assert!(!path.exists() && curve.curve.summary().is_none());
}
