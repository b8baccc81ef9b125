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
        validation_accuracy: Accuracy::new(0.1 + 0.2).unwrap(),
        seconds: Some(2.25),
        time: "2026-03-01T12:00:00.250Z".parse().unwrap(),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

fn read_back(path: &Path) -> Vec<(u32, u32)> {
    Curve::read(path).unwrap().rows.iter().map(CurveRow::position).collect()
}

#[test]
fn the_last_start_is_the_curve_and_a_later_attempt_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.1.csv"), folder.path().join("1.2.csv"));
    let rows = [row(1, 1), row(2, 1), row(2, 2), row(2, 3)];
    CurveWriter::create(first.clone(), &rows).unwrap().finish(&rows).unwrap();
    let earlier = Curve::read(&first).unwrap();
    assert_eq!(earlier.last_start().len(), 3);
    // Resumed from a checkpoint of the second epoch: the third is trained again.
    let kept = earlier.before(2, 3).unwrap();
    let mut writer = CurveWriter::create(second.clone(), &kept.rows).unwrap();
    writer.append(&row(2, 3)).unwrap();
    assert_eq!(read_back(&second), [(1, 1), (2, 1), (2, 2), (2, 3)]);
    assert!(Curve::default().last_start().is_empty());
}

#[test]
fn of_equally_good_epochs_the_first_is_the_best() {
    let accuracies = [0.25, 0.75, 0.5, 0.75];
    let rows = (1..).zip(accuracies).map(|(epoch, accuracy)| CurveRow {
        validation_accuracy: Accuracy::new(accuracy).unwrap(),
        ..row(1, epoch)
    });
    let summary = Curve { rows: rows.collect() }.summary().unwrap();
    assert_eq!((summary.best_epoch, summary.best.value(), summary.epochs), (2, 0.75, 4));
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
    let mut writer = CurveWriter::create(path.clone(), &[]).unwrap();
    assert_eq!(read_back(&path), []);
    writer.append(&row(1, 1)).unwrap();
    assert_eq!(read_back(&path), [(1, 1)]);
    writer.append(&row(2, 1)).unwrap();
    writer.finish(&[row(1, 1), row(2, 1)]).unwrap();
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
    CurveWriter::replace(&path, &[row(1, 1), row(1, 2)]).unwrap();
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
        let mut writer = CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
        damage(&path);
        writer.append(&row(1, 2)).unwrap();
        writer.finish(&[row(1, 1), row(1, 2)]).unwrap();
        assert_eq!(read_back(&path), [(1, 1), (1, 2)]);
        std::fs::remove_file(&path).unwrap();
    }
    let writer = CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    writer.finish(&[row(1, 1)]).unwrap();
    assert!(path.is_dir());
}

#[test]
fn no_attempt_writes_the_curve_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.1.csv");
    CurveWriter::create(path.clone(), &[row(1, 1)]).unwrap();
    assert!(CurveWriter::create(path.clone(), &[]).is_err());
    assert_eq!(read_back(&path), [(1, 1)]);
}
