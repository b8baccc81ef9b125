//! Searches as one HTML page that needs nothing beside it, for readers who were not there: the
//! answer first, then figures, all models, and how they were run.

mod answers;
mod diagram;

use itertools::Itertools;
use serde_json::{Value, json};

use super::certificate::marks;
use super::figures::{
    Figure,
    plot::{STYLE, escaped},
};
use super::finals::Finals;
use super::iterations::{ArchitectureRecord, final_accuracy, ranking};
use super::search::{SearchData, mark};
use super::summary::{BestNetwork, HostTally, Summary};
use super::terminal::{LEGEND, decimals, with_commas};
use crate::space::{Cost, Space};
use answers::{Answer, QUESTIONS};
use diagram::diagram;

pub struct ReportedSearch<'a> {
    pub search: &'a SearchData,
    pub summary: Summary,
    /// Of `finalize`, where it has come to its end.
    pub finals: Option<Finals>,
    pub space: &'a Space,
    pub strategy: &'static str,
    pub seed: u64,
    /// In force, as YAML.
    pub configuration: String,
    /// What accuracies depend on besides the network: searches of another one are not compared.
    pub conditions: String,
    /// Of the program that began it.
    pub program_version: &'a str,
    pub figures: Vec<Figure>,
}

pub fn page(searches: &[ReportedSearch]) -> String {
    let (title, overview) = match searches {
        [one] => (one.summary.experiment.clone(), String::new()),
        all => (format!("{} searches", all.len()), overview(all)),
    };
    let sections = (1..).zip(searches).map(|(number, of)| of.section(number, searches));
    format!(
        include_str!("page/page.html"),
        title = escaped(&title),
        css = include_str!("page/page.css").to_owned() + STYLE,
        body = overview + &sections.collect::<String>(),
        version = env!("METAQNN_VERSION"),
        js = include_str!("page/page.js"),
    )
}

/// With what stands between backticks as code.
fn prose(text: &str) -> String {
    let parts = text.split('`').map(escaped).enumerate();
    let part = |(number, part)| match number % 2 {
        0 => part,
        _ => format!("<code>{part}</code>"),
    };
    parts.map(part).collect::<String>().replace(" %", "\u{a0}%")
}

impl ReportedSearch<'_> {
    fn section(&self, number: usize, all: &[Self]) -> String {
        let Summary { experiment, condition, results, wanted, trainer, notices, .. } =
            &self.summary;
        // Below the heading of the page where there are several.
        let level = all.len().min(2);
        let image = self.space.image;
        let lead = format!(
            "State: {condition}; {results} of {wanted} networks have a result. Strategy `{}`, \
             images of {} x {} pixels, channels: {}, classes: {}.",
            self.strategy, image.size, image.size, image.channels, image.classes
        );
        let of_search = mark(trainer).map(str::to_owned).filter(|_| self.finals.is_none());
        let marks = of_search.into_iter().chain(self.finals.iter().flat_map(marks));
        let marks = marks.chain(notices.iter().cloned());
        let card = |(question, [verdict, details]): (&str, Answer)| {
            let lines = details.lines().map(|line| format!("<p>{}</p>\n", prose(line)));
            let (verdict, lines) = (prose(&verdict), lines.format(""));
            format!(
                "<div class=\"card\"><h{0}>{question}</h{0}>\n<p class=\"big\">{verdict}</p>\n\
                 {lines}</div>\n",
                level + 2
            )
        };
        let figure = |Figure { title, caption, svg, .. }: &Figure| {
            let (title, caption) = (escaped(title), prose(caption));
            format!(
                "<figure><h{0}>{title}</h{0}>\n{svg}<figcaption>{caption}</figcaption></figure>\n",
                level + 2
            )
        };
        let models = self.models();
        let heading = |(name, class, _): (_, _, _)| {
            format!("<th scope=\"col\" class=\"{class}\">{name}</th>")
        };
        let digits = COLUMNS.map(|(.., digits)| digits);
        // A script ends at the first `</script>`, whatever stands around it.
        let data = json!({ "digits": digits, "rows": models }).to_string().replace('<', "\\u003c");
        format!(
            include_str!("page/search.html"),
            number = number,
            level = level,
            part = level + 1,
            name = escaped(experiment),
            lead = prose(&lead),
            marks = marks.map(|it| format!("<p class=\"mark\">{}</p>\n", prose(&it))).join(""),
            network = self.network(level + 2),
            cards = QUESTIONS.into_iter().zip(self.answers(all)).map(card).format(""),
            figures = self.figures.iter().map(figure).format(""),
            legend = LEGEND,
            shown = models.len().min(SHOWN),
            models = models.len(),
            headings = COLUMNS.map(heading).concat(),
            rows = models.iter().take(SHOWN).map(plain_row).format(""),
            data = data,
            facts = self.facts(),
            configuration = escaped(&self.configuration),
        )
    }

    fn network(&self, level: usize) -> String {
        let Some(best) = &self.summary.best else { return String::new() };
        let top = self.judged(TOP).and_then(|top| {
            Some((top.architectures.first()?, top.test.get(&1).map(|_| "final/model")))
        });
        let (name, model) = top.unwrap_or((&best.architecture, best.model.as_deref()));
        let weights = model.map_or(String::new(), |model| format!(" Weights: `{model}`."));
        // An imported network may be of another space.
        let (drawn, costs) = self.space.parse(name).map_or_else(
            |_| Default::default(),
            |parsed| {
                let Cost { parameters, macs } = self.space.cost(&parsed);
                let [parameters, macs] = [parameters, macs].map(with_commas);
                let costs =
                    format!(": {parameters} parameters, {macs} multiply-accumulates for an image");
                (diagram(self.space, &parsed), costs)
            },
        );
        let caption = prose(&format!("`{name}`{costs}.{weights}"));
        format!(
            "<figure class=\"network\"><h{level}>The best network</h{level}>\n{drawn}<figcaption>\
             {caption}</figcaption></figure>\n"
        )
    }

    /// The best first, then those without a final accuracy.
    fn models(&self) -> Vec<[Value; COLUMNS.len()]> {
        let all = ArchitectureRecord::gather(&self.search.iterations);
        let unranked = all.iter().filter(|of| final_accuracy(of).is_none()).copied().collect_vec();
        let ranked = ranking(all, usize::MAX);
        let rounded = |share: f64| (share * 1e6).round() / 1e4;
        let row = |of: ArchitectureRecord| {
            let best = BestNetwork::of(&of, self.search.validation_images);
            let best = best.filter(|_| of.rank.is_some());
            [
                json!(of.rank),
                json!(of.name()),
                json!(best.as_ref().map(|best| rounded(best.best_validation_accuracy))),
                json!(best.and_then(|best| best.interval).map(|ends| ends.map(rounded))),
                json!(of.layers),
                json!(of.parameters),
                json!(of.macs),
                json!(of.train_seconds.map(|seconds| (seconds * 10.0).round() / 10.0)),
                json!(of.event.to_string()),
                json!(of.epsilon),
                json!(of.iteration.map(|it| it.0)),
            ]
        };
        ranked.into_iter().chain(unranked).map(row).collect()
    }

    fn facts(&self) -> String {
        let Summary { started_at, last_event_at, hosts, .. } = &self.summary;
        let rows = self.search.iterations.iter();
        let devices = rows.filter_map(|row| row.device.as_deref()).unique().sorted().join(", ");
        let host = |it: &HostTally| format!("{} ({} results)", it.host, it.results);
        let versions = self.finals.iter().flat_map(|finals| &finals.versions);
        let versions = versions.map(|(name, version)| format!("{name} {version}")).join(", ");
        let facts = [
            ("Begun", started_at.map(|time| time.to_string()).unwrap_or_default()),
            ("Newest result", last_event_at.map(|time| time.to_string()).unwrap_or_default()),
            ("Begun with", format!("metaqnn {}", self.program_version)),
            ("Final trainings with", versions),
            ("Seed", self.seed.to_string()),
            ("Trainer", self.search.trainer.to_owned()),
            ("Epochs at most", self.search.epochs.to_string()),
            ("Hosts", hosts.iter().map(host).join(", ")),
            ("Devices", devices),
        ];
        let facts = facts.iter().filter(|(_, value)| !value.is_empty());
        let entry =
            |(name, value): &(_, String)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value));
        format!("<dl>\n{}</dl>\n", facts.map(entry).format(""))
    }
}

const TOP: &str = "top model";
/// Models that a page shows without its script.
const SHOWN: usize = 50;
/// Each with its class and decimals.
const COLUMNS: [(&str, &str, usize); 11] = [
    ("rank", "number", 0),
    ("architecture", "name", 0),
    ("accuracy, %", "number", 2),
    ("95 %", "number", 2),
    ("layers", "number", 0),
    ("parameters", "number", 0),
    ("MACs", "number", 0),
    ("seconds", "number", 1),
    ("status", "", 0),
    ("epsilon", "number", 2),
    ("iteration", "number", 0),
];

/// As the script of the page makes it.
fn plain_row(values: &[Value; COLUMNS.len()]) -> String {
    fn shown(value: &Value, digits: usize) -> String {
        match value {
            Value::Null => String::new(),
            Value::Array(ends) => ends.iter().map(|end| shown(end, digits)).join(" to "),
            Value::String(text) => escaped(text),
            number => with_commas(decimals(number.as_f64().unwrap_or_default(), digits)),
        }
    }
    let cells = COLUMNS.iter().zip(values).map(|((_, class, digits), value)| {
        format!("<td class=\"{class}\">{}</td>", shown(value, *digits))
    });
    format!("<tr>{}</tr>\n", cells.format(""))
}

/// All searches, one a line.
fn overview(all: &[ReportedSearch]) -> String {
    let line = |(number, of): (usize, &ReportedSearch)| {
        let verdicts = of.answers(all).map(|[verdict, _]| format!("<td>{}</td>", prose(&verdict)));
        format!(
            "<tr><th scope=\"row\"><a href=\"#search-{number}\">{}</a></th><td>{}</td>{}</tr>\n",
            escaped(&of.summary.experiment),
            of.strategy,
            verdicts.concat()
        )
    };
    let questions = QUESTIONS.map(|it| format!("<th scope=\"col\">{it}</th>")).concat();
    format!(
        "<h1>{} searches</h1>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" \
         aria-label=\"All searches\"><table>\n<thead><tr><th scope=\"col\">Search</th><th \
         scope=\"col\">Strategy</th>{questions}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
        all.len(),
        (1..).zip(all).map(line).format("")
    )
}

#[cfg(test)]
mod tests;
