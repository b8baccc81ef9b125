//! An experiment damaged in every way: found, named, mended where that is safe; and the search goes on.

mod rows_lost; // rows and files that a copy lacks, doubled results, killed repairs

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Experiment, Ran, SMALL};

/// A whole search, and one that has come half the way.
fn finished() -> Experiment {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    experiment
}

fn half_way() -> Experiment {
    let experiment = Experiment::init(SMALL);
    for _ in 0..4 {
        experiment.run(&["train", "dir", "--reduce"]).success();
    }
    for _ in 0..2 {
        experiment.run(&["train", "dir"]).success();
    }
    experiment
}

fn verify(experiment: &Experiment) -> Ran {
    experiment.run(&["verify", "dir"])
}

fn repair(experiment: &Experiment) -> Ran {
    experiment.run(&["verify", "dir", "--repair"])
}

/// Asserts that damage is found, and said in these words.
#[track_caller]
fn finds(experiment: &Experiment, words: &str) {
    let found = verify(experiment).fails_with(3).stdout();
    assert!(found.contains(words), "no `{words}` in\n{found}");
}

/// Asserts that a repair leaves no damage, and that the search goes on to its end and is clean.
#[track_caller]
fn is_mended_and_goes_on(experiment: &Experiment) {
    repair(experiment).success();
    verify(experiment).success();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    verify(experiment).success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

fn edit(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let bytes = change(fs::read(path).unwrap());
    fs::write(path, bytes).unwrap();
}

#[test]
fn folders_that_a_copy_has_dropped_are_made_again() {
    let experiment = Experiment::init(SMALL);
    for name in ["views", "predictors", "curves", "checkpoints", "rounds", "torn", "tables"] {
        fs::remove_dir(experiment.path(name)).unwrap();
    }
    verify(&experiment).success();
    experiment.run(&["status", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["reduce", "dir"]).success();
    is_mended_and_goes_on(&experiment);
}

#[test]
fn what_stands_in_the_place_of_a_folder_is_damage() {
    let experiment = half_way();
    for name in ["views", "curves", "checkpoints", "rounds", "torn"] {
        let (path, kept) = (experiment.path(name), experiment.path(&format!("{name}.kept")));
        fs::rename(&path, &kept).unwrap();
        fs::write(&path, "x").unwrap();
        finds(&experiment, &format!("damage    {name}: no folder"));
        repair(&experiment).fails_with(3);
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
    }
    fs::rename(experiment.path("views"), experiment.path("views.kept")).unwrap();
    fs::write(experiment.path("views"), "x").unwrap();
    for command in ["status", "train", "reduce"] {
        experiment.run(&[command, "dir"]).fails_with(3).says("views` is no folder (move it away");
    }
    fs::remove_file(experiment.path("views")).unwrap();
    // As the message says, nothing need be put in its place.
    is_mended_and_goes_on(&experiment);
    fs::remove_file(experiment.path("experiment.yaml")).unwrap();
    fs::create_dir(experiment.path("experiment.yaml")).unwrap();
    finds(&experiment, "damage    experiment.yaml");
}

/// Where each line begins.
fn lines(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).filter(|&at| at < bytes.len()).collect()
}

/// The line of the first row of an event, the header being 1.
fn line_of(experiment: &Experiment, event: &str) -> usize {
    experiment.log().iter().position(|row| row["event"] == event).unwrap() + 2
}

/// How many architectures have a result.
fn results(experiment: &Experiment) -> usize {
    let is_result = |event: &str| ["trained", "failed"].contains(&event);
    experiment.log().iter().filter(|row| is_result(&row["event"])).count()
}

fn pieces(experiment: &Experiment) -> Vec<Vec<u8>> {
    let torn = fs::read_dir(experiment.path("torn")).unwrap();
    torn.map(|piece| fs::read(piece.unwrap().path()).unwrap()).collect()
}

/// Everything below a folder, but for times.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_search_is_clean_and_an_audit_changes_nothing() {
    let experiment = finished();
    let before = contents(&experiment.path(""));
    let said = verify(&experiment).success().stdout();
    assert!(said.lines().last().unwrap().starts_with("clean: "), "{said}");
    assert!(repair(&experiment).success().stdout().contains("clean"));
    assert_eq!(contents(&experiment.path("")), before);
    // The independent audit counts the same.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/audit-search.py");
    let results = results(&experiment);
    assert!(said.contains(&format!("{results} results")), "{said}");
    let dir = experiment.path("");
    let audit = Command::new("python3").arg(script).arg(dir).arg(results.to_string()).output();
    let audit = audit.unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
}

#[test]
fn a_log_cut_at_every_byte_of_its_last_rows_is_mended() {
    let experiment = half_way();
    let path = experiment.path("replay.csv");
    let whole = fs::read(&path).unwrap();
    let starts = lines(&whole);
    // The program runs for some bytes of each of the last three rows, both ends included.
    let [begin, .., end] = [starts[starts.len() - 3], whole.len()];
    let copy = contents(&experiment.path(""));
    let mut cuts: Vec<usize> = (begin..end).step_by(61).collect();
    cuts.extend(starts[starts.len() - 3..].iter().flat_map(|&at| [at, at + 1]));
    cuts.push(end - 1);
    for cut in cuts {
        restore(&experiment, &copy);
        fs::write(&path, &whole[..cut]).unwrap();
        let is_between_rows = starts.contains(&cut);
        if !is_between_rows {
            finds(&experiment, "bytes that are no row");
        }
        repair(&experiment).success();
        let last = starts.iter().rfind(|&&at| at <= cut).unwrap();
        assert!(fs::read(&path).unwrap().starts_with(&whole[..*last]), "cut at {cut}");
        if !is_between_rows {
            assert!(pieces(&experiment).contains(&whole[*last..cut].to_vec()), "cut at {cut}");
        }
        verify(&experiment).success();
        experiment.run(&["train", "dir", "--reduce"]).success();
        verify(&experiment).success();
    }
    is_mended_and_goes_on(&experiment);
}

fn restore(experiment: &Experiment, copy: &[(String, Vec<u8>)]) {
    let dir = experiment.path("");
    fs::remove_dir_all(&dir).unwrap();
    for folder in ["views", "predictors", "curves", "checkpoints", "rounds", "torn", "tables"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for (path, bytes) in copy {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn nuls_at_the_end_are_kept_and_cut() {
    let experiment = half_way();
    edit(&experiment.path("replay.csv"), |bytes| [bytes, vec![0; 5000]].concat());
    finds(&experiment, "it ends in 5000 bytes that are no row");
    is_mended_and_goes_on(&experiment);
    assert_eq!(pieces(&experiment), [vec![0; 5000]]);
}

#[test]
fn empty_lines_at_the_end_are_kept_and_cut() {
    let experiment = half_way();
    edit(&experiment.path("replay.csv"), |bytes| [bytes, b"\n\n".to_vec()].concat());
    finds(&experiment, "it ends in 2 bytes that are no row");
    is_mended_and_goes_on(&experiment);
    assert_eq!(pieces(&experiment), [b"\n\n".to_vec()]);
}

#[test]
fn a_damaged_row_is_kept_and_blanked_and_nothing_moves() {
    for event in ["claimed", "trained"] {
        let experiment = half_way();
        let path = experiment.path("replay.csv");
        let whole = fs::read(&path).unwrap();
        let line = line_of(&experiment, event);
        let at = lines(&whole)[line - 1];
        edit(&path, |mut bytes| {
            bytes[at + 3] = b'#';
            bytes
        });
        experiment.run(&["reduce", "dir"]).fails_with(3).says("metaqnn verify");
        finds(&experiment, &format!("replay.csv:{line} (byte {at}): column `event`"));
        finds(&experiment, "iteration 1, attempt 1");
        let damaged = fs::read(&path).unwrap();
        repair(&experiment).success();
        let mended = fs::read(&path).unwrap();
        let next = lines(&whole)[line];
        assert!(mended.starts_with(&whole[..at]) && mended[next..].starts_with(&whole[next..]));
        assert!(mended[at..].starts_with(b"1,void,1,"));
        assert!(pieces(&experiment).contains(&damaged[at..next - 1].to_vec()));
        is_mended_and_goes_on(&experiment);
        // The result of a row that was blanked is lost, and its network is sampled again or another.
        assert_eq!(results(&experiment), 18);
    }
}

#[test]
fn a_changed_number_is_seen_by_the_view_or_by_the_curve() {
    let experiment = half_way();
    let path = experiment.path("replay.csv");
    let whole = fs::read(&path).unwrap();
    // A digit of a time in a row that a view covers: the row is as good as before.
    let mut changed = whole.clone();
    let minute = whole.iter().position(|&byte| byte == b':').unwrap() + 1;
    changed[minute] = if whole[minute] == b'0' { b'1' } else { b'0' };
    fs::write(&path, changed).unwrap();
    finds(&experiment, "was made from other rows than the log has now");
    experiment.run(&["reduce", "dir"]).fails_with(3);
    is_mended_and_goes_on(&experiment);

    // The accuracy of a result that no view covers.
    let experiment = half_way();
    let path = experiment.path("replay.csv");
    let log = experiment.log();
    let last = log.iter().rfind(|row| row["event"] == "trained").unwrap();
    let (iteration, best) = (&last["iteration"], &last["best_validation_accuracy"]);
    edit(&path, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let at = text.rfind(&format!("\n{iteration},trained")).unwrap();
        let (before, row) = text.split_at(at);
        (before.to_owned() + &row.replacen(best.as_str(), "0.5", 2)).into_bytes()
    });
    finds(&experiment, "in the row of its result `best_validation_accuracy` is 0.5, and");
    // There is no telling which of the two is right.
    repair(&experiment).fails_with(3);
}

#[test]
fn a_row_that_is_gone_is_found() {
    for event in ["claimed", "trained"] {
        let experiment = half_way();
        let path = experiment.path("replay.csv");
        let line = line_of(&experiment, event);
        edit(&path, |bytes| {
            let starts = lines(&bytes);
            [&bytes[..starts[line - 1]], &bytes[starts[line]..]].concat()
        });
        finds(&experiment, "was made from other rows");
        is_mended_and_goes_on(&experiment);
    }
}

#[test]
fn a_result_whose_claim_is_gone_counts_all_the_same() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let path = experiment.path("replay.csv");
    edit(&path, |bytes| {
        let starts = lines(&bytes);
        [&bytes[..starts[1]], &bytes[starts[2]..]].concat()
    });
    let result = fs::read_to_string(&path).unwrap().lines().nth(1).unwrap().to_owned();
    finds(&experiment, "replay.csv:2");
    repair(&experiment).success();
    let log = experiment.text("replay.csv");
    assert!(log.lines().nth(1).unwrap().starts_with("1,void,1,"));
    assert_eq!(log.lines().nth(2), Some(result.as_str()));
    is_mended_and_goes_on(&experiment);
    assert_eq!(results(&experiment), 18);
}

#[test]
fn a_log_saved_by_a_spreadsheet_is_not_touched() {
    let experiment = half_way();
    let path = experiment.path("replay.csv");
    let text = fs::read_to_string(&path).unwrap();
    let quoted = |line: &str| {
        let mut fields: Vec<&str> = line.splitn(3, ',').collect();
        let second = format!("\"{}\"", fields[1]);
        fields[1] = &second;
        fields.join(",")
    };
    let (header, rows) = text.split_once('\n').unwrap();
    let saved = [
        text.replace('\n', "\r\n"),
        text.replace(',', ";"),
        format!("\u{feff}{text}"),
        // The header as it was, every row written in another way.
        rows.lines().fold(format!("{header}\n"), |all, row| all + &quoted(row) + "\n"),
    ];
    for text in saved {
        fs::write(&path, &text).unwrap();
        finds(&experiment, "another program");
        repair(&experiment).fails_with(3);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, text).unwrap();
    verify(&experiment).success();
}

#[test]
fn a_damaged_view_is_set_aside_and_made_again() {
    let damages: [fn(&Path); 5] = [
        |view| edit(&view.join("q_table.csv"), |bytes| [bytes, b"\n".to_vec()].concat()),
        |view| edit(&view.join("view.yaml"), |bytes| bytes[..bytes.len() / 2].to_vec()),
        |view| fs::remove_file(view.join("SHA256SUMS")).unwrap(),
        |view| {
            for entry in fs::read_dir(view).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        },
        // Changed with its sum: whole in itself, and not what the log says.
        |view| {
            edit(&view.join("q_table.csv"), |bytes| {
                String::from_utf8(bytes).unwrap().replacen(",0.5,0\n", ",0.25,0\n", 1).into_bytes()
            });
            let sums = Command::new("sh")
                .args(["-c", "sha256sum view.yaml q_table.csv > SHA256SUMS"])
                .current_dir(view)
                .status();
            assert!(sums.unwrap().success());
        },
    ];
    for damage in damages {
        let experiment = half_way();
        let newest = fs::read_dir(experiment.path("views")).unwrap();
        let newest = newest.map(|entry| entry.unwrap().path()).max().unwrap();
        damage(&newest);
        finds(&experiment, &format!("views/{}", newest.file_name().unwrap().to_str().unwrap()));
        is_mended_and_goes_on(&experiment);
    }
}

#[test]
fn a_changed_configuration_is_found() {
    let experiment = half_way();
    let path = experiment.path("experiment.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    let log = experiment.text("replay.csv");
    for (from, to) in
        [("seed: 5", "seed: 6"), ("input_size: 16", "input_size: 8"), ("seed: 5", "seed: many")]
    {
        change(from, to);
        finds(&experiment, "experiment.yaml` is not what `metaqnn init` wrote");
        repair(&experiment).fails_with(3);
        assert_eq!(
            experiment.text("replay.csv"),
            log,
            "every row is good, but for the configuration"
        );
    }
    // A checksum that was made to fit is found by the views.
    fs::write(&path, &text).unwrap();
    experiment.refreeze("input_size: 16", "input_size: 8");
    finds(&experiment, "was made with another `experiment.yaml`");
    repair(&experiment).fails_with(3);
    assert_eq!(experiment.text("replay.csv"), log);
    change("format_version: 2", "format_version: 3");
    verify(&experiment).fails_with(2);
    fs::remove_file(&path).unwrap();
    finds(&experiment, "only the log is checked");
    fs::write(&path, &text).unwrap();
    repair(&experiment).success();
    verify(&experiment).success();
}

#[test]
fn a_curve_that_is_gone_or_shorter_is_named() {
    let experiment = half_way();
    let path = experiment.path("curves/000001.1.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 5]).unwrap();
    finds(&experiment, "`epochs` is 4, and 3");
    fs::write(&path, text.replacen(",", ";", 30)).unwrap();
    finds(&experiment, "curves/000001.1.csv: ");
    fs::remove_file(&path).unwrap();
    finds(&experiment, "curves/000001.1.csv: missing, though iteration 1 has a result");
    repair(&experiment).fails_with(3);
    fs::write(&path, text).unwrap();
    verify(&experiment).success();
}

#[test]
fn findings_are_one_object_a_line() {
    let experiment = half_way();
    edit(&experiment.path("replay.csv"), |bytes| [bytes, b"12,cl".to_vec()].concat());
    let findings = experiment.run(&["verify", "dir", "--json"]).fails_with(3).json();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["severity"], "damage");
    assert_eq!(findings[0]["path"], "replay.csv");
    assert_eq!(findings[0]["repair"], "cut_end");
    assert_eq!(findings[0]["repaired"], false);
    let findings = experiment.run(&["verify", "dir", "--json", "--repair"]).success().json();
    assert_eq!(findings[0]["repaired"], true);
    assert_eq!(findings[1]["severity"], "note", "the piece in torn/");
}

#[test]
fn a_damaged_round_is_named() {
    let experiment = half_way();
    fs::create_dir_all(experiment.path("rounds/0002/2")).unwrap();
    fs::write(experiment.path("rounds/0002/2/plan.yaml"), "round: 2\n").unwrap();
    finds(&experiment, "rounds/0002: round 1 is missing before it");
    fs::rename(experiment.path("rounds/0002"), experiment.path("rounds/0001")).unwrap();
    finds(&experiment, "rounds/0001/2: rendering 1 of the round is missing before it");
    fs::rename(experiment.path("rounds/0001/2"), experiment.path("rounds/0001/1")).unwrap();
    finds(&experiment, "plan.yaml` is unreadable");
    fs::remove_file(experiment.path("rounds/0001/1/plan.yaml")).unwrap();
    finds(&experiment, "plan.yaml` is missing");
    experiment.run(&["verify", "nowhere"]).fails_with(2);
}

#[test]
fn the_predictor_is_what_its_curves_say() {
    let config = SMALL
        .replace("{max_layers: 4", "{max_layers: 6")
        .replace("architectures: 12", "architectures: 40")
        + "early_stopping: {burn_in: 10, refit_every: 5, draws: 4}\n";
    let experiment = Experiment::with(&config);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    verify(&experiment).success();
    let predictors = fs::read_dir(experiment.path("predictors")).unwrap();
    let newest = predictors.map(|predictor| predictor.unwrap().path()).max().unwrap();
    edit(&newest.join("predictor.yaml"), |bytes| [bytes, b"# changed\n".to_vec()].concat());
    finds(&experiment, &format!("predictors/{}", newest.file_name().unwrap().to_str().unwrap()));
    repair(&experiment).success();
    let remade = fs::read_to_string(newest.join("predictor.yaml")).unwrap();
    assert!(
        !remade.contains("# changed") && verify(&experiment).success().stdout().contains("clean")
    );
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

/// Puts a named pipe in the place of a file, does something, and puts the file back.
fn with_pipe_at(path: &Path, then: impl FnOnce()) {
    let kept = path.with_extension("kept");
    fs::rename(path, &kept).unwrap();
    make_pipe(path);
    then();
    fs::rename(&kept, path).unwrap();
}

fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_named_pipe_in_the_place_of_a_file_is_named_and_not_waited_for() {
    let experiment = half_way();
    let refuses = |name: &str, commands: &[&[&str]]| {
        with_pipe_at(&experiment.path(name), || {
            for command in commands {
                let ran = experiment.run(command).fails_with(3);
                assert!((ran.stdout() + &ran.stderr()).contains("a named pipe"), "{command:?}");
            }
        });
    };
    let [status, verify, reduce, train] =
        ["status", "verify", "reduce", "train"].map(|command| [command, "dir"]);
    refuses("experiment.yaml", &[&status, &verify, &train]);
    refuses("replay.csv", &[&status, &verify, &reduce, &train]);
    refuses("curves/000001.1.csv", &[&verify]);
    // It costs the tables that curve, and a view is made anew.
    with_pipe_at(&experiment.path("curves/000001.1.csv"), || {
        let ran = experiment.run(&reduce).success();
        let said = ran.stdout() + &ran.stderr();
        assert!(said.contains("000001.1.csv") && said.contains("a named pipe"), "{said}");
    });
    let views = fs::read_dir(experiment.path("views")).unwrap().map(|entry| entry.unwrap().path());
    let view = views.max().unwrap().join("view.yaml");
    fs::remove_file(&view).unwrap();
    make_pipe(&view);
    experiment.run(&status).success();
}
