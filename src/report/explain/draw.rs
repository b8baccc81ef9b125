//! Why a network was drawn: the choices of Q-learning, or the reason of another strategy.

use std::collections::BTreeMap;

use itertools::Itertools;
use serde::Serialize;

use super::Explanation;
use crate::q_learning::Choice;
use crate::report::iterations::ordered_bits;
use crate::report::terminal::{decimals, hanging};
use crate::space::StateTuple;
use crate::storage::{AT_RANDOM, Event};

/// The draw, made again with the Q-table of the first `view` rows of the log.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatedDraw {
    pub epsilon: f64,
    pub view: u64,
    /// Whether one of these rows was blanked by a repair, and the table may have been another.
    pub has_blanks: bool,
    /// What is drawn now.
    pub architecture: String,
    /// Whether that is the architecture of the row.
    pub is_same: bool,
    /// Empty where it is another: nothing is known of the choices then.
    pub choices: Vec<MadeChoice>,
}

#[derive(Debug, Clone, Serialize)]
pub struct MadeChoice {
    pub state: StateTuple,
    pub layer: String,
    pub q_value: f64,
    /// Drawn at random, not one of the greatest Q-values.
    pub at_random: bool,
    /// How many have the greatest Q-value.
    pub equally_best: usize,
    /// Of all legal layers.
    pub q_values: Vec<(String, f64)>,
}

impl MadeChoice {
    pub fn of(choice: &Choice<'_>) -> Self {
        let value_of = |&(_, value): &(_, f64)| value;
        let best = choice.values.iter().map(value_of).fold(f64::NEG_INFINITY, f64::max);
        let taken = choice.values.iter().find(|(action, _)| *action == choice.action);
        Self {
            state: StateTuple::of_state(&choice.state),
            layer: choice.action.to_string(),
            q_value: taken.map_or(f64::NAN, value_of),
            at_random: choice.explores,
            equally_best: choice.values.iter().filter(|(_, value)| *value == best).count(),
            q_values: choice.values.iter().map(|(layer, q)| (layer.to_string(), *q)).collect(),
        }
    }

    /// Two lines or more: the choice, and what else there was, the best first.
    fn text(&self, number: usize, before: &str) -> [String; 2] {
        let side = match self.state.image_size {
            8 => "8 or more",
            4 => "4 to 7",
            _ => "1 to 3",
        };
        let legal = self.q_values.len();
        let how = match (self.at_random, self.equally_best) {
            _ if legal == 1 => "the only legal layer".to_owned(),
            (true, _) => format!("at random, of {legal}"),
            (false, 1) => format!("the best of {legal}"),
            (false, best) if best == legal => format!("drawn from {legal}, all equal"),
            (false, best) => format!("drawn from the {best} best of {legal}, which are equal"),
        };
        let (first, taken) = (format!("{number:>3}  "), quality(self.q_value));
        let choice = format!("after {before}, side {side}: {} {taken}, {how}", self.layer);
        let mut others = BTreeMap::<_, Vec<&str>>::new();
        for (layer, value) in self.q_values.iter().filter(|(layer, _)| *layer != self.layer) {
            // Accuracies, from 0 up; those of a fork may be above 1.
            others.entry(ordered_bits(*value)).or_default().push(layer);
        }
        let group = |(bits, layers): (u64, Vec<&str>)| {
            format!("{} {}", quality(f64::from_bits(bits)), layers.join(" "))
        };
        let others = others.into_iter().rev().map(group).join("; ");
        let others = if others.is_empty() { others } else { hanging("     others: ", &others) };
        [hanging(&first, &choice), others]
    }
}

/// Six decimals: one update moves a Q-value by alpha, often 0.01, of a difference.
pub fn quality(q_value: f64) -> String {
    decimals(q_value, 6)
}

impl Explanation {
    pub(super) fn drawn(&self) -> Vec<String> {
        let first = &self.rows[0];
        let say = |text: &str| vec![hanging("  ", text)];
        if let Some(reason) = &first.strategy {
            let mut text = format!("Strategy `{}`. ", self.strategy) + &why(self.strategy, reason);
            if let Some((number, architecture, reward)) = &self.parent {
                let reward = reward.map(|it| format!(" (reward {})", decimals(it, 4)));
                let reward = reward.unwrap_or_default();
                text += &format!(" Iteration {number} is {architecture}{reward}.");
            }
            return say(&text);
        }
        let Some(draw) = &self.draw else {
            return say(match first.event {
                Event::Imported => "It was not drawn here, but taken over from another search.",
                Event::Void => "Not known: the row of the draw was damaged and is blank.",
                _ => "The log has no reason, and the draw cannot be made again from it.",
            });
        };
        let RepeatedDraw { epsilon, view, architecture, .. } = draw;
        let table = match *epsilon {
            1.0 => "every layer at random, whatever its Q-value".to_owned(),
            _ => format!("each layer at random with probability {epsilon}, else by its Q-value"),
        };
        let rows = format!("of the first {view} rows of the log");
        let mut text = format!("Q-learning at epsilon {epsilon}: {table}. ");
        if draw.has_blanks {
            text += "A repair has blanked rows before it: the Q-values may have been others. ";
        }
        text += &match draw.is_same {
            true => format!(
                "Made again with the Q-table {rows}, the draw gives this architecture, layer by \
                 layer:"
            ),
            false => format!(
                "Made again with the Q-table {rows}, the draw gives another architecture, \
                 {architecture}: the row stands, but which choices led to it is not known here \
                 (another version of the program made it, or rows of the log were repaired)."
            ),
        };
        let before = draw.choices.iter().map(|choice| choice.layer.as_str());
        let before = ["the image"].into_iter().chain(before);
        let choices = draw.choices.iter().zip(before).zip(1..);
        let choices = choices.flat_map(|((choice, before), n)| choice.text(n, before));
        say(&text).into_iter().chain(choices).collect()
    }
}

/// The reason in the log, as a sentence. Reasons that are none of these stand as they are.
fn why(strategy: &str, reason: &str) -> String {
    let edit = |text: &str| match text.strip_prefix("edit of ").and_then(|it| it.split_once(": ")) {
        Some((parent, edit)) => format!("an edit of iteration {parent}: {edit}"),
        None => text.to_owned(),
    };
    if let Some(more) = reason.strip_prefix(AT_RANDOM) {
        return format!("It was drawn at random{more}.");
    }
    if reason.starts_with("edit of ") {
        return format!("It is {}.", edit(reason));
    }
    match strategy {
        "list" | "exhaustive" => format!("It is the first that was free: {reason}."),
        "policy_gradient" => format!("The controller proposed it: {reason} it had learned from."),
        "bayesian" => {
            let (numbers, of) = reason.split_once("; ").unwrap_or((reason, ""));
            let of = if of.is_empty() { String::new() } else { format!(" It is {}.", edit(of)) };
            format!(
                "Of the free networks that were considered it had the greatest expected \
                 improvement on the best: {numbers}.{of}"
            )
        }
        _ => format!("Its reason in the log: {reason}."),
    }
}
