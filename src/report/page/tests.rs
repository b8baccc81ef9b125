use std::collections::BTreeSet;

use super::super::figures::{FigureData, figures};
use super::super::sample::{self, iteration};
use super::*;
use crate::space::{DataShape, SpaceParams};
use crate::storage::{Event, Row};

const SCRIPT: &str = "</script><b>'\"&";

fn space() -> Space {
    SpaceParams::default().check(DataShape { size: 32, channels: 3, classes: 10 }).unwrap()
}

fn reported<'a>(search: &'a SearchData, space: &'a Space) -> ReportedSearch<'a> {
    ReportedSearch {
        summary: sample::summary(search),
        search,
        finals: None,
        space,
        strategy: "q_learning",
        seed: 7,
        configuration: "experiment:\n  name: svhn\n".to_owned(),
        conditions: "the same".to_owned(),
        program_version: "0.1.0",
        figures: Vec::new(),
    }
}

fn drawn(search: &SearchData) -> Vec<Figure> {
    let searches = std::slice::from_ref(search);
    figures(&FigureData { searches, ..FigureData::default() }).0
}

/// The attributes `name` of all elements.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!(" {name}=\"");
    let parts = page.split(&*begin).skip(1).collect_vec();
    parts.into_iter().map(|part| part.split('"').next().unwrap()).collect()
}

/// A page is one that opens anywhere and that a screen reader can find its way in.
#[track_caller]
fn check_structure(page: &str) {
    let ids = attributes(page, "id");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{ids:?}");
    for name in ["aria-labelledby", "for", "href"] {
        for target in attributes(page, name).iter().flat_map(|it| it.split_whitespace()) {
            assert!(ids.contains(&target.trim_start_matches('#')), "{name} {target}");
        }
    }
    assert!(attributes(page, "src").is_empty() && !page.contains("<link"));
    assert!(!page.contains("@import") && !page.contains("url("));
    let body = page.split_once("<body>").unwrap().1;
    let headings = body.split("<h").skip(1).filter_map(|part| part[..1].parse::<u32>().ok());
    let headings = headings.collect_vec();
    assert_eq!(headings.iter().filter(|level| **level == 1).count(), 1);
    assert!(headings.iter().tuple_windows().all(|(one, next)| *next <= one + 1), "{headings:?}");
    assert!(!page.contains("<b>"));
}

#[test]
fn the_answers_are_those_of_status_and_certificate() {
    let (search, space) = (sample::search("torch"), space());
    let mut one = reported(&search, &space);
    let text = page(std::slice::from_ref(&one));
    check_structure(&text);
    for said in [
        // Iteration 7 is the best, imported.
        "<p class=\"big\">95.00 % validation accuracy</p>",
        "Test error: not measured: <code>metaqnn finalize DIR</code>",
        // 811 + 120 seconds of training and 12 lost.
        "<p class=\"big\">0.26 GPU-hours</p>",
        "about 240 s, 20.29 % of what",
        "<p class=\"big\">Not measured</p>\n<p>In the search, the best of all has 95.00 %",
        "<p>At equal cost: <code>metaqnn finalize DIR --control RANDOM</code>",
        "1 of 4 times</p>\n<p>Networks stopped early: 1. Of 4 that were to be stopped, and",
        // z^2 = 3.8415: (0.25 + 0.4802 -+ 1.96 sqrt(0.1875 / 4 + 0.0600)) / 1.9604.
        "1 became the best until then (95 %: 0.05 to 0.70)",
        "8 of 8 models",
    ] {
        assert!(text.replace('\u{a0}', " ").contains(said), "{said}\n{text}");
    }
    one.finals = Some(sample::finals());
    let text = page(&[one]);
    check_structure(&text);
    for said in [
        "<p class=\"big\">25.00 % test error</p>",
        "25.00 % (95 %: 0.63 % to 80.59 %), by 4 images that no choice has seen.</p>\n\
         <p>That is the first of 2 trainings, as planned before; their mean is 37.50 %, standard \
         deviation 17.68 %.</p>",
        "after the same long training, by test error of the first training: 25.00 % (95 %: 0.63 \
         % to 80.59 %) against its 50.00 % (95 %: 6.76 % to 93.24 %); the intervals overlap.",
        "Validation accuracy after the long training: 75.00 % (95 %: 19.41 % to 99.37 %)",
    ] {
        assert!(text.replace('\u{a0}', " ").contains(said), "{said}\n{text}");
    }
}

#[test]
fn a_better_network_than_that_of_random_search_is_told_by_their_intervals() {
    let mut finals = sample::finals();
    finals.control = Some(finals.search.clone());
    finals.results[3].resolved = Some(true);
    let (search, space) = (sample::search("torch"), space());
    let mut one = ReportedSearch { finals: Some(finals), ..reported(&search, &space) };
    let [verdict, details] = one.against_random(&[]);
    assert_eq!(verdict, "Yes");
    assert!(details.contains("25.00 % (95 %: 0.63 % to 80.59 %) against 50.00 %"), "{details}");
    one.finals = None;
    let row = |accuracy| Row {
        architecture: Some(sample::SMALL.into()),
        best_validation_accuracy: Some(accuracy),
        epsilon: Some(1.0),
        ..iteration(1, Event::Trained)
    };
    // Of 1,000 images: 0.75 is told from 0.9 and not from 0.76.
    for (accuracy, expected) in [(0.9, "No, it is worse"), (0.76, "Not proven"), (0.5, "Yes")] {
        let random = SearchData { iterations: vec![row(accuracy)], ..search.clone() };
        let mut found = search.clone();
        found.iterations.retain(|row| row.event != Event::Imported);
        let all = [reported(&found, &space), reported(&random, &space)];
        assert_eq!(all[0].against_random(&all)[0], expected);
        assert_eq!(all[1].against_random(&all)[0], "It is random search");
        let all = all.map(|of| ReportedSearch { figures: drawn(of.search), ..of });
        check_structure(&page(&all));
    }
    let other = ReportedSearch { conditions: "others".to_owned(), ..reported(&search, &space) };
    assert_eq!(one.against_random(&[other])[0], "Not measured");
}

#[test]
fn what_people_write_is_text() {
    let (mut search, space) = (sample::search("torch"), space());
    search.experiment = SCRIPT.to_owned();
    search.iterations.iter_mut().for_each(|row| {
        row.architecture = row.architecture.as_ref().map(|it| format!("{it}{SCRIPT}").into());
        (row.device, row.host) = (Some(SCRIPT.into()), Some(SCRIPT.into()));
    });
    let mut one = reported(&search, &space);
    one.figures = drawn(&search);
    one.configuration = SCRIPT.to_owned();
    one.summary.hosts[0].host = SCRIPT.to_owned();
    one.summary.notices = vec![SCRIPT.to_owned()];
    one.finals = Some(sample::finals());
    let finals = one.finals.as_mut().unwrap();
    finals.versions.insert(SCRIPT.to_owned(), SCRIPT.to_owned());
    finals.untested = Some(SCRIPT.to_owned());
    finals.results[0].architectures[0] = SCRIPT.to_owned();
    finals.results[0].test.clear();
    let text = page(&[one]);
    check_structure(&text);
    assert_eq!(text.matches("</script>").count(), 2);
    assert!(text.contains("&lt;/script&gt;&lt;b&gt;&#39;&quot;&amp;"));
    let data = text.split("<script type=\"application/json\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    assert!(data["rows"][0][1].as_str().unwrap().ends_with(SCRIPT));
}

#[test]
fn a_page_of_2700_networks_is_small() {
    let (mut search, space) = (sample::search("torch"), space());
    let row = |number: u64| Row {
        architecture: Some(sample::DENSE.replacen("64", &number.to_string(), 1).into()),
        best_validation_accuracy: Some(number as f64 / 3e3),
        parameters: Some(11_263_498),
        macs: Some(6_750_000_000),
        layers: Some(9),
        epsilon: Some(0.1),
        train_seconds: Some(1234.567),
        ..iteration(number, Event::Trained)
    };
    search.iterations = (1..=2_700).map(row).collect();
    let figures = drawn(&search);
    let text = page(&[ReportedSearch { figures, ..reported(&search, &space) }]);
    assert!(text.len() < 3_000_000, "{}", text.len());
    assert_eq!(text.matches("<tr>").count(), 1 + SHOWN);
}
