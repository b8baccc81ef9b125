//! Searches as one HTML page that needs nothing beside it, for readers who were not there: the
//! answer first, then figures, all models, and how they were run.

use itertools::Itertools;
use serde_json::{Value, json};

use super::certificate::{self, marks, percent, time};
use super::figures::{Figure, plot::STYLE};
use super::finals::{FinalResult, Finals, SearchFacts};
use super::iterations::{ArchitectureRecord, Ledger, final_accuracy, ranking};
use super::search::{EarlyStopping, SearchData, mark};
use super::summary::{BestNetwork, HostTally, Summary};
use super::terminal::{LEGEND, decimals, with_commas};
use crate::model::MeasuredError;
use crate::space::{Architecture, Cost, DataShape, Layer, LayerCost, Space};
use crate::storage::Event;

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

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
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

fn with_interval(share: f64, interval: Option<[f64; 2]>) -> String {
    let ends = interval.map(|ends| ends.map(percent).join(" to "));
    percent(share) + &ends.map_or(String::new(), |ends| format!(" (95 %: {ends})"))
}

fn measured(error: &MeasuredError) -> String {
    with_interval(error.error, error.interval())
}

fn accuracy(best: &BestNetwork) -> String {
    with_interval(best.best_validation_accuracy, best.interval)
}

/// A verdict in words, and lines on what it is made of.
type Answer = [String; 2];

const QUESTIONS: [&str; 4] = [
    "How good is it?",
    "What did it cost?",
    "Is it better than random search?",
    "How often was stopping wrong?",
];

impl ReportedSearch<'_> {
    fn answers(&self, all: &[Self]) -> [Answer; 4] {
        [self.quality(), self.cost(), self.against_random(all), self.stopping()]
    }

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
        let figure = |of: &Figure| {
            // The same figure may be there of each search.
            let svg = of.svg.replace(&format!("{}-t", of.name), &format!("{}-{number}-t", of.name));
            let (title, caption) = (escaped(&of.title), prose(&of.caption));
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

    /// The top model, or another one that the certificate judges.
    fn judged(&self, name: &str) -> Option<&FinalResult> {
        self.finals.as_ref()?.results.iter().find(|of| of.name == name)
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

    fn quality(&self) -> Answer {
        let Some(best) = &self.summary.best else {
            return [
                "Not known".to_owned(),
                "No network was judged after its training.".to_owned(),
            ];
        };
        let top = self.judged(TOP);
        let test = top.and_then(|top| top.test.get(&1));
        let validation = top.and_then(|top| top.validation.as_ref());
        let right = validation.map_or(best.best_validation_accuracy, |it| 1.0 - it.error);
        let untested = self.finals.as_ref().map(|finals| finals.untested.as_deref());
        let (verdict, test_error) = match (test, untested) {
            (Some(test), _) => {
                let (error, images) = (measured(test), with_commas(test.images));
                let line = format!("{error}, by {images} images that no choice has seen");
                (percent(test.error) + " test error", line)
            }
            (None, why) => {
                let how = "not measured: `metaqnn finalize DIR` trains the best for long, and \
                           tests them once";
                (percent(right) + " validation accuracy", why.flatten().unwrap_or(how).to_owned())
            }
        };
        let mean = top.and_then(|top| Some((top, top.mean_test_error?, top.test_error_spread?)));
        let mean = mean.map(|(top, mean, spread)| {
            let (mean, spread, count) = (percent(mean), percent(spread), top.test.len());
            format!(
                "That is the first of {count} trainings, as planned before; their mean is {mean}, \
                 standard deviation {spread}."
            )
        });
        let validation = validation.map(|it| {
            let interval = it.interval().map(|[low, high]| [1.0 - high, 1.0 - low]);
            let accuracy = with_interval(1.0 - it.error, interval);
            format!("Validation accuracy after the long training: {accuracy}.")
        });
        let images = self.summary.validation_images;
        let images = images.map_or(String::new(), |it| format!(", by {} images", with_commas(it)));
        let in_search =
            format!("Best validation accuracy in the search: {}{images}.", accuracy(best));
        let lines = [Some(format!("Test error: {test_error}.")), mean, validation, Some(in_search)];
        [verdict, lines.into_iter().flatten().join("\n")]
    }

    fn cost(&self) -> Answer {
        let Ledger { saved_seconds, lost_seconds, .. } = self.summary.seconds;
        let spent = self.summary.seconds.spent();
        let whole = (spent + saved_seconds).max(f64::MIN_POSITIVE);
        let mut details = format!(
            "For {} results, of which {} were stopped early.\nSaved by stopping: about {}, {} of \
             what the search would have taken without.\nLost in trainings without a result: {}.",
            self.summary.results,
            self.summary.counts.of(Event::Stopped),
            self.hours(saved_seconds),
            percent(saved_seconds / whole),
            self.hours(lost_seconds)
        );
        if let Some(Finals { networks, .. }) = &self.finals {
            let repeats = networks.iter().flat_map(|of| &of.repeats).map(|of| of.seconds);
            let seconds = networks.iter().map(|of| of.seconds).chain(repeats).sum();
            details += &format!("\nBesides, the final trainings: {}.", self.hours(seconds));
        }
        [self.hours(spent), details]
    }

    fn hours(&self, seconds: f64) -> String {
        time(seconds, self.summary.uses_accelerator)
    }

    fn is_random(&self) -> bool {
        self.summary.results == self.summary.results_at_random
    }

    /// By the test error where it is known, else by what the searches have found.
    fn against_random(&self, all: &[Self]) -> Answer {
        let Some(best) = &self.summary.best else { return self.quality() };
        let found = |of: &Self| of.hours(of.summary.seconds.spent());
        let has_control = |finals: &&Finals| finals.control.is_some();
        let finals = self.finals.as_ref().filter(has_control);
        let errors = self.judged(TOP).zip(self.judged("control"));
        let errors = errors.and_then(|(top, rival)| Some((top.beside(rival)?, rival.resolved)));
        let control = all.iter().find(|of| of.is_random() && of.conditions == self.conditions);
        let control = control.and_then(|of| Some((of, of.summary.best.as_ref()?)));
        let (is_told, is_better, details) = match (finals.zip(errors), control) {
            _ if self.is_random() => {
                let details = "All networks of this search were drawn at random.".to_owned();
                return ["It is random search".to_owned(), details];
            }
            (Some((finals, ((by, [own, other]), resolved))), _) => {
                let control = certificate::control(finals).unwrap_or_default();
                let [owns, others] = [own, other].map(measured);
                let details = format!("By {by}: {owns} against {others}.\n{control}");
                (resolved, own.error < other.error, details)
            }
            (None, Some((control, rival))) => {
                let details = format!(
                    "Best validation accuracy: {} after {}, against {} of the random search `{}` \
                     after {}.\nAfter long trainings: `metaqnn finalize DIR --control RANDOM`.",
                    accuracy(best),
                    found(self),
                    accuracy(rival),
                    control.summary.experiment,
                    found(control)
                );
                let is_better = best.best_validation_accuracy > rival.best_validation_accuracy;
                (best.is_told_from(rival), is_better, details)
            }
            (None, None) => {
                let how = "At equal cost: `metaqnn finalize DIR --control RANDOM`, RANDOM being a \
                           random search.";
                let lines = [self.after_long_training(), self.beside_random_draws(best)];
                let lines = lines.into_iter().flatten().chain([how.to_owned()]);
                return ["Not measured".to_owned(), lines.collect_vec().join("\n")];
            }
        };
        let (verdict, why) = match (is_told, is_better) {
            (Some(true), true) => ("Yes", "The intervals do not overlap."),
            (Some(true), false) => ("No, it is worse", "The intervals do not overlap."),
            (Some(false), _) => ("Not proven", "The intervals overlap."),
            (None, _) => ("Not proven", "An interval is not known."),
        };
        [verdict.to_owned(), format!("{why} {details}")]
    }

    /// Beside the control from this search, which has cost less.
    fn after_long_training(&self) -> Option<String> {
        let control = self.judged("control")?;
        let (by, [own, other]) = self.judged(TOP)?.beside(control)?;
        let resolved = match control.resolved {
            Some(true) => "do not overlap",
            _ => "overlap",
        };
        let [own, other] = [own, other].map(measured);
        Some(format!(
            "The best network drawn at random in this search, after the same long training, by {by}: \
             {own} against its {other}; the intervals {resolved}."
        ))
    }

    fn beside_random_draws(&self, best: &BestNetwork) -> Option<String> {
        let (random, rival) =
            (self.summary.results_at_random, self.summary.best_at_random.as_ref()?);
        Some(if rival.iteration == best.iteration {
            format!(
                "In the search, the best network is itself one of the {random} drawn at random."
            )
        } else {
            format!(
                "In the search, the best of all has {}, the best of the {random} that were drawn at \
                 random {}.",
                accuracy(best),
                accuracy(rival)
            )
        })
    }

    fn stopping(&self) -> Answer {
        let EarlyStopping { audited, false_stops, stopped, .. } = self.summary.early_stopping;
        let verdict = match (audited, stopped) {
            (1.., _) => format!("{false_stops} of {audited} times"),
            (0, 1..) => "Not measured".to_owned(),
            (0, 0) => "Nothing was stopped".to_owned(),
        };
        [verdict, certificate::stopping(&SearchFacts::of(&self.summary, self.seed))]
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
            let repeat = of.repeat.filter(|&repeat| repeat > 1);
            let repeat = repeat.map_or(String::new(), |repeat| format!(" (repeat {repeat})"));
            [
                json!(of.rank),
                json!(of.architecture.to_owned() + &repeat),
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

/// A column of layers, as wide as their maps.
fn diagram(space: &Space, architecture: &Architecture) -> String {
    let DataShape { size, channels, .. } = space.image;
    let (mut rows, mut top) = (String::new(), 0);
    let mut add = |kind: &str, side: u32, name: &str, facts: &str| {
        let width = 10.0 + 70.0 * f64::from(side) / f64::from(size);
        rows += &format!(
            "<rect class=\"{kind}\" x=\"{:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"26\" \
             rx=\"3\"/><text x=\"96\" y=\"{}\" font-weight=\"600\">{name}</text><text x=\"96\" \
             y=\"{}\" class=\"muted\">{facts}</text>\n",
            45.0 - width / 2.0,
            top + 4,
            top + 15,
            top + 31
        );
        top += 42;
    };
    add("input", size, "Input", &format!("{size} x {size}, channels: {channels}"));
    let costs = space.layer_costs(architecture).into_iter().zip(architecture.dropout());
    for (LayerCost { layer, channels, side, cost }, dropout) in costs {
        let (kind, name) = match layer {
            Layer::Conv { filters, kernel, .. } => {
                ("conv", format!("Convolution {kernel} x {kernel}, {filters} filters"))
            }
            Layer::Pool { kernel, stride } => {
                ("pool", format!("Max pooling {kernel} x {kernel}, stride {stride}"))
            }
            Layer::FullyConnected { width } => {
                ("dense", format!("Fully connected, {width} neurons"))
            }
            Layer::GlobalAveragePool { .. } => ("pool", "Global average pooling".to_owned()),
            Layer::Softmax { classes } => ("softmax", format!("Softmax, {classes} classes")),
        };
        let (side, maps) = match layer {
            Layer::Conv { .. } | Layer::Pool { .. } => (side, format!("{side} x {side} x ")),
            _ => (1, String::new()),
        };
        let dropout = dropout.map(|it| format!(", dropout {:.0} %", 100.0 * it.probability()));
        let (parameters, dropout) = (with_commas(cost.parameters), dropout.unwrap_or_default());
        add(kind, side, &name, &format!("{maps}{channels}, {parameters} parameters{dropout}"));
    }
    format!(
        "<svg viewBox=\"0 0 450 {top}\" role=\"group\" aria-label=\"Its layers\">\n{rows}</svg>\n"
    )
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
