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
    assert!(page.contains(&format!("the best of the {} that", status["results_at_random"])));
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
