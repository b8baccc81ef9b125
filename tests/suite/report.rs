//! `report`: what people look at.

use std::fs;

use serde_json::Value;

use crate::support::{Experiment, SMALL};

/// The value of `key` in the JSON of `status`, in percent with two decimals.
fn percent(of: &Value) -> String {
    format!("{:.2}\u{a0}%", 100.0 * of.as_f64().unwrap())
}

#[test]
fn the_page_says_what_status_says() {
    let one = Experiment::with(SMALL);
    one.run(&["run", "config.yaml", "dir"]).success();
    one.run(&["report", "dir"]).success();
    let page = one.text("report/report.html");
    let status = one.run(&["status", "dir", "--json"]).success().json().remove(0);
    assert!(page.contains(&format!(
        "{} validation accuracy",
        percent(&status["best"]["best_validation_accuracy"])
    )));
    let random = &status["results_at_random"];
    let is_told = |said: String| page.contains(&said);
    assert!(
        is_told(format!("the best of the {random} that"))
            || is_told(format!("itself one of the {random} drawn at random"))
    );
    assert!(page.contains(status["best"]["architecture"].as_str().unwrap()));
    assert!(page.contains("The accuracies of networks trained here are made up"));
    let data = page.split("<script type=\"application/json\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let rows = data["rows"].as_array().unwrap();
    let count = |status: &str| rows.iter().filter(|row| row[8] == status).count() as u64;
    for event in ["trained", "stopped", "failed", "out_of_memory"] {
        assert_eq!(status["counts"][event], count(event), "{event}");
    }
    assert_eq!(rows[0][10], status["best"]["iteration"]);
    // `status` has asked for nothing outside, and neither does the page.
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains(" src="));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn several_searches_are_summed_up_before_each_is_told() {
    let one = Experiment::with(SMALL);
    one.run(&["run", "config.yaml", "a", "--seeds", "2"]).success();
    one.run(&["report", "a", "a-seed2", "--out", "both"]).success();
    let page = fs::read_to_string(one.folder().join("both/report.html")).unwrap();
    assert!(page.contains("<h1>2 searches</h1>"));
    for number in [1, 2] {
        assert!(page.contains(&format!("<a href=\"#search-{number}\">")));
        assert!(page.contains(&format!("<h2 id=\"search-{number}\">")));
    }
    assert!(!one.folder().join("a/report").exists(), "`--out` leaves the experiment as it is");
}

#[test]
fn a_workbook_and_tables_with_decimal_commas_are_written_on_request_beside_the_tables() {
    let one = Experiment::with(SMALL);
    one.run(&["run", "config.yaml", "dir"]).success();
    one.run(&["report", "dir"]).success();
    assert!(!one.path("report/report.xlsx").exists() && !one.path("report/tables-comma").exists());
    let before = one.text("tables/models.csv");
    let said = one.run(&["report", "dir", "--xlsx", "--decimal", "comma"]).success().stdout();
    assert!(said.contains("/dir/report/report.xlsx\ntables: "), "{said}");
    assert!(said.ends_with("/dir/report/tables-comma\n"), "{said}");
    let files = |folder| fs::read_dir(one.path(folder)).unwrap().map(|it| it.unwrap().path());
    let count = |folder| files(folder).filter(|it| it.extension() == Some("csv".as_ref())).count();
    assert_eq!(count("report/tables-comma"), count("tables"));
    let book = fs::File::open(one.path("report/report.xlsx")).unwrap();
    let book = zip::ZipArchive::new(book).unwrap();
    let parts = book.file_names().flatten();
    // Beside them the charts, and the table of one.
    let sheets = parts.filter(|name| name.starts_with("xl/worksheets/sheet")).count();
    assert_eq!(sheets, count("tables") + 2);
    let comma = one.text("report/tables-comma/models.csv");
    assert!(comma.starts_with("\u{feff}architecture;first_iteration;"));
    assert_eq!(comma.lines().count(), before.lines().count());
    assert!(before.contains(",0.") && comma.contains(";0,") && !comma.contains(";0."));
    assert_eq!(one.text("tables/models.csv"), before);
    // What is read from them is the same.
    let simulated = |tables: &str| {
        let curves = format!("dir/{tables}/curves_wide.csv");
        one.run(&["simulate", &curves, "--skip-incomplete", "--burn-in", "6", "--orders", "1"])
            .success()
            .stdout()
    };
    assert_eq!(simulated("tables"), simulated("report/tables-comma"));
    one.run(&["report", "dir", "--decimal", "semicolon"])
        .fails_with(2)
        .says("[possible values: point, comma]");
}

#[test]
fn a_certificate_of_an_earlier_build_is_a_notice_and_the_rest_is_reported() {
    let one = Experiment::with(&format!("{SMALL}final_training: {{training: {{epochs: 5}}}}\n"));
    one.run(&["run", "config.yaml", "dir", "-q"]).success();
    one.run(&["finalize", "dir", "--top", "2", "--per-depth", "0", "-q"]).success();
    let page = || {
        let ran = one.run(&["report", "dir"]).success();
        (ran.stderr(), one.text("report/report.html").contains("Besides, the final trainings: "))
    };
    assert_eq!(page(), (String::new(), true));
    let written = one.text("final/certificate.json");
    let older = written.replace("\"search_epochs\"", "\"epochs_of_the_search\"");
    fs::write(one.path("final/certificate.json"), older).unwrap();
    let (notice, is_told) = page();
    assert!(notice.contains("certificate.json` says is left out: missing field"), "{notice}");
    assert!(notice.contains("`search_epochs`") && notice.contains("dir` writes it anew"));
    assert!(!is_told, "what it says is not in the page");
    one.run(&["finalize", "dir", "--top", "2", "--per-depth", "0", "-q"]).success();
    assert_eq!(one.text("final/certificate.json"), written);
    assert_eq!(page(), (String::new(), true));
}

#[test]
fn parts_that_tables_no_longer_have_are_removed() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let of_others = ["curves_long_2.txt", "mine_2.csv", "curves_long_two.csv"];
    let parts = ["curves_long_2.csv", "curves_long_3.csv", "q_table_2.csv"];
    let folders = ["tables", "report/tables-comma"].map(|folder| experiment.path(folder));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
        of_others.iter().chain(&parts).for_each(|name| fs::write(folder.join(name), "").unwrap());
    }
    experiment.run(&["report", "dir", "--decimal", "comma"]).success();
    for folder in &folders {
        let is_there = |name: &&str| folder.join(name).exists();
        assert!(of_others.iter().all(is_there), "{}", folder.display());
        assert_eq!(parts.iter().find(|name| is_there(name)), None, "{}", folder.display());
    }
}
