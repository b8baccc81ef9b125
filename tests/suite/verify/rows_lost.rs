//! Rows that are gone or doubled, files that no row tells of, and repairs that are killed.

use super::*;

#[test]
fn files_of_attempts_that_the_log_does_not_know_are_set_aside() {
    let experiment = half_way();
    let next = experiment.log().iter().filter(|row| row["attempt"] == "1").count();
    for number in [next, next + 50] {
        fs::write(experiment.path(&format!("curves/{number:06}.1.csv")), "epoch\n").unwrap();
    }
    let checkpoint = experiment.path("checkpoints/000099.1");
    let models = ["models/000099.1", "models/000099.2.part"].map(|name| experiment.path(name));
    for folder in models.iter().chain([&checkpoint]) {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("weights"), "left").unwrap();
    }
    finds(&experiment, "checkpoints/000099.1: the log holds neither a claim nor a result of it");
    is_mended_and_goes_on(&experiment);
    assert!(!checkpoint.exists() && models.iter().all(|model| !model.exists()));
}

#[test]
fn after_a_repair_a_doubled_result_is_still_damage_and_never_learned_twice() {
    let experiment = half_way();
    let log = experiment.path("replay.csv");
    for numbers_are_lost in [false, true] {
        let line = line_of(&experiment, "failed").min(line_of(&experiment, "trained"));
        edit(&log, |bytes| {
            let at = lines(&bytes)[line - 1];
            let number = if numbers_are_lost { b"\0" } else { &bytes[at..=at] };
            // 1,trained -> 1,\0rained
            [&bytes[..at], number, b",\0", &bytes[at + 3..]].concat()
        });
        repair(&experiment).success();
        verify(&experiment).success();
        let before = (experiment.text("replay.csv"), results(&experiment));
        let is_result = |line: &&str| line.contains(",trained,") || line.contains(",failed,");
        let block: Vec<&str> = before.0.lines().filter(is_result).take(2).collect();
        let doubled = format!("{}{}\n", before.0, block.join("\n"));
        fs::write(&log, &doubled).unwrap();
        finds(&experiment, "its architecture has a result");
        for command in ["reduce", "train", "status"] {
            experiment.run(&[command, "dir"]).fails_with(3).says("is damaged at line");
        }
        repair(&experiment).success();
        assert_eq!(results(&experiment), before.1);
    }
    is_mended_and_goes_on(&experiment);
}

#[test]
fn a_line_of_blanks_is_no_blanked_row_and_a_short_line_can_be_blanked() {
    for line in ["          ", "   ", "x"] {
        let experiment = half_way();
        edit(&experiment.path("replay.csv"), |bytes| {
            let at = lines(&bytes)[4];
            [&bytes[..at], line.as_bytes(), b"\n", &bytes[at..]].concat()
        });
        finds(&experiment, "damage    replay.csv:5");
        experiment.run(&["status", "dir"]).fails_with(3);
        is_mended_and_goes_on(&experiment);
    }
}

#[test]
fn whole_rows_that_are_gone_from_the_middle_cost_no_result() {
    let experiment = finished();
    let before = results(&experiment);
    // Two claims, whose results are still there; they belong to different parts of the search.
    edit(&experiment.path("replay.csv"), |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let is_gone =
            |line: &&str| !line.starts_with("2,claimed") && !line.starts_with("9,claimed");
        text.lines().filter(is_gone).map(|line| format!("{line}\n")).collect::<String>().into()
    });
    verify(&experiment).fails_with(3);
    is_mended_and_goes_on(&experiment);
    assert!(results(&experiment) >= before);
}

/// Puts back the log as it was some rows ago, which views still fit.
fn forget_rows(experiment: &Experiment, rows: usize) {
    edit(&experiment.path("replay.csv"), |bytes| {
        let lines = lines(&bytes);
        bytes[..lines[lines.len() - rows]].to_vec()
    });
}

#[test]
fn a_log_that_lacks_rows_is_found_before_anything_is_claimed() {
    let experiment = half_way();
    forget_rows(&experiment, 2);
    let before = experiment.text("replay.csv");
    for command in ["train", "reduce", "submit"] {
        experiment.run(&[command, "dir"]).fails_with(3).says("the log lacks rows: `");
    }
    experiment.run(&["run", "config.yaml", "dir"]).fails_with(3).says("metaqnn verify --repair");
    assert_eq!(experiment.text("replay.csv"), before);
    let said = experiment.run(&["status", "dir"]).success().stdout();
    assert!(said.contains("lacks rows"), "{said}");
    is_mended_and_goes_on(&experiment);
}

#[test]
fn a_curve_of_a_claim_taken_up_again_that_the_log_lacks_is_found_too() {
    let experiment = half_way();
    // The claim of the newest iteration is open, and its second attempt has left a curve.
    forget_rows(&experiment, 1);
    let claim = experiment.log().pop().unwrap();
    assert_eq!(claim["event"], "claimed");
    let iteration: u64 = claim["iteration"].parse().unwrap();
    fs::write(experiment.path(&format!("curves/{iteration:06}.2.csv")), "epoch\n").unwrap();
    experiment.run(&["train", "dir"]).fails_with(3).says("the log lacks rows: `");
    is_mended_and_goes_on(&experiment);
}

#[test]
fn a_curve_is_not_set_aside_while_a_result_or_a_later_claim_tells_of_its_attempt() {
    let experiment = half_way();
    let claim = line_of(&experiment, "claimed");
    edit(&experiment.path("replay.csv"), |bytes| {
        let at = lines(&bytes)[claim - 1];
        // A hole from within the claim, which leaves its result whole.
        [&bytes[..at], b"?", &bytes[at + 40..]].concat()
    });
    repair(&experiment).success();
    assert!(experiment.path("curves/000001.1.csv").exists());
    is_mended_and_goes_on(&experiment);
}

#[test]
fn rows_that_an_interrupted_write_left_out_are_appended() {
    let experiment = half_way();
    // A second iteration of the newest architecture, as if it had been drawn while that was in training.
    let log = experiment.log();
    let claim = log.iter().rfind(|row| row["event"] == "claimed").unwrap();
    let next = log.iter().filter_map(|row| row["iteration"].parse::<u64>().ok()).max().unwrap() + 1;
    edit(&experiment.path("replay.csv"), |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let at = text.rfind(&format!("\n{},claimed", claim["iteration"])).unwrap() + 1;
        let end = at + text[at..].find('\n').unwrap() + 1;
        let pending = format!(
            "{next},pending,,,{},\"{}\",{}{},1,,\n",
            claim["epsilon"],
            claim["architecture"],
            claim["iteration"],
            ",".repeat(28)
        );
        (text[..end].to_owned() + &pending + &text[end..]).into_bytes()
    });
    finds(&experiment, &format!("iteration {next} lacks its `reused` row"));
    is_mended_and_goes_on(&experiment);
}

#[test]
fn a_repair_killed_at_any_moment_is_repeated() {
    let experiment = half_way();
    let path = experiment.path("replay.csv");
    let whole = fs::read(&path).unwrap();
    let line = line_of(&experiment, "trained");
    let at = lines(&whole)[line - 1];
    let mut damaged = whole.clone();
    damaged[at + 4] = 0;
    damaged.extend_from_slice(b"99,cl");
    let piece = damaged[at..lines(&whole)[line] - 1].to_vec();
    let copy = contents(&experiment.path(""));
    // From before its first step to after its last: a repair takes some tens of milliseconds.
    for pause in (0..60).step_by(4) {
        restore(&experiment, &copy);
        fs::write(&path, &damaged).unwrap();
        let mut repair = experiment
            .command(&["verify", "dir", "--repair"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(pause));
        repair.kill().unwrap();
        repair.wait().unwrap();
        experiment.run(&["verify", "dir", "--repair"]).success();
        let mended = fs::read(&path).unwrap();
        let next = lines(&whole)[line];
        assert!(mended.starts_with(&whole[..at]) && mended[next..].starts_with(&whole[next..]));
        assert!(pieces(&experiment).contains(&piece), "killed after {pause} ms");
        assert!(pieces(&experiment).contains(&b"99,cl".to_vec()), "killed after {pause} ms");
        verify(&experiment).success();
    }
    is_mended_and_goes_on(&experiment);
}

#[test]
fn a_repair_waits_for_nobody_that_trains_and_loses_no_result() {
    let experiment = half_way();
    let mut search = experiment.command(&["run", "config.yaml", "dir", "--workers", "2"]);
    let search = search.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..5 {
        experiment.run(&["verify", "dir", "--repair"]).success();
    }
    assert!(search.wait_with_output().unwrap().status.success());
    verify(&experiment).success();
    assert_eq!(results(&experiment), 18);
}
