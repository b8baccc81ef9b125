//! The architecture as text: `[C(64,3,1), C(64,3,1), D(1,1), P(2,2), SM(10)]`.
//!
//! The reference's grammar; layers that it parses and never uses (`NIN`, `BN`, `S{...}`) are
//! readable and outside the search space. White space means nothing.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::architecture::{Architecture, DropoutMark, SpaceError};
use super::layer::Layer;
use super::params::Space;
use super::state::State;

/// The name of the architecture in every file.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marked = |(layer, mark): (&Layer, Option<DropoutMark>)| match mark {
            Some(mark) => format!("{layer}, {mark}"),
            None => layer.to_string(),
        };
        let layers: Vec<_> = self.layers().iter().zip(self.dropout()).map(marked).collect();
        write!(f, "[{}]", layers.join(", "))
    }
}

impl Space {
    /// Reads an architecture, with its own dropout marks or with none.
    pub fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let (layers, marks): (Vec<_>, Vec<_>) = read(text)?.into_iter().unzip();
        let architecture = self.architecture(layers)?;
        if marks.iter().any(Option::is_some) && marks != architecture.dropout() {
            return Err(SpaceError::WrongDropout { expected: architecture.to_string() });
        }
        Ok(architecture)
    }

    /// The state that the beginning of an architecture leads to; dropout marks are skipped.
    pub fn parse_prefix(&self, text: &str) -> Result<State, SpaceError> {
        let layers: Vec<_> = read(text)?.into_iter().map(|(layer, _)| layer).collect();
        self.walk(&layers)?.1.ok_or_else(|| SpaceError::Illegal {
            layer: *layers.last().expect("a walk that terminates has layers"),
            depth: layers.len() as u32,
            why: "nothing follows the softmax",
        })
    }
}

/// Each layer with the mark after it.
pub(super) fn read(text: &str) -> Result<Vec<(Layer, Option<DropoutMark>)>, SpaceError> {
    let all: Vec<_> = text.chars().enumerate().collect();
    let end = all.len();
    let rest: Vec<_> = all.into_iter().filter(|(_, c)| !c.is_whitespace()).collect();
    let mut reader = Reader { rest: rest.into_iter().peekable(), end };
    let mut found = Vec::new();
    reader.expect('[', "expected `[`")?;
    if !reader.next_is(']') {
        reader.entry(&mut found)?;
        while reader.next_is(',') {
            reader.entry(&mut found)?;
        }
        reader.expect(']', "expected `,` or `]`")?;
    }
    match reader.rest.peek() {
        None => Ok(found),
        Some(_) => Err(reader.unreadable("expected nothing after `]`")),
    }
}

/// Characters with their positions, without white space.
struct Reader {
    rest: Peekable<IntoIter<(usize, char)>>,
    end: usize,
}

impl Reader {
    fn next_is(&mut self, wanted: char) -> bool {
        self.rest.next_if(|&(_, next)| next == wanted).is_some()
    }

    fn take_while(&mut self, is_wanted: impl Fn(&char) -> bool) -> String {
        let next = || self.rest.next_if(|(_, next)| is_wanted(next)).map(|(_, next)| next);
        std::iter::from_fn(next).collect()
    }

    fn expect(&mut self, wanted: char, reason: &'static str) -> Result<(), SpaceError> {
        if self.next_is(wanted) { Ok(()) } else { Err(self.unreadable(reason)) }
    }

    fn unreadable(&mut self, reason: &'static str) -> SpaceError {
        let position = self.rest.peek().map_or(self.end, |&(at, _)| at) + 1;
        SpaceError::Unreadable { position, reason }
    }

    fn entry(&mut self, found: &mut Vec<(Layer, Option<DropoutMark>)>) -> Result<(), SpaceError> {
        let name = self.take_while(char::is_ascii_uppercase);
        match name.as_str() {
            "" => return Err(self.unreadable("expected a layer such as `C(64,3,1)`")),
            "BN" | "S" | "NIN" => return Err(SpaceError::NotInSpace(name)),
            _ => {}
        }
        let layer = match (name.as_str(), self.numbers()?.as_slice()) {
            ("C", &[filters, kernel, stride]) => Layer::Conv { filters, kernel, stride },
            ("P", &[kernel, stride]) => Layer::Pool { kernel, stride },
            ("FC", &[width]) => Layer::FullyConnected { width },
            ("GAP", &[classes]) => Layer::GlobalAveragePool { classes },
            ("SM", &[classes]) => Layer::Softmax { classes },
            ("D", &[position, total]) => {
                let Some((_, mark @ None)) = found.last_mut() else {
                    let mark = format!("D({position},{total}) without a layer");
                    return Err(SpaceError::NotInSpace(mark));
                };
                *mark = Some(DropoutMark { position, total });
                return Ok(());
            }
            ("C" | "P" | "FC" | "GAP" | "SM" | "D", _) => {
                return Err(self.unreadable("the layer before has a wrong number of numbers"));
            }
            _ => return Err(self.unreadable("the layer before has an unknown name")),
        };
        found.push((layer, None));
        Ok(())
    }

    fn numbers(&mut self) -> Result<Vec<u32>, SpaceError> {
        self.expect('(', "expected `(`")?;
        let mut numbers = Vec::new();
        while numbers.is_empty() || self.next_is(',') {
            let digits = self.take_while(char::is_ascii_digit);
            let number = digits.parse();
            numbers.push(number.map_err(|_| self.unreadable("expected a number below 2^32"))?);
        }
        self.expect(')', "expected `,` or `)`")?;
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::{DataShape, SpaceParams};
    use super::*;
    use proptest::prelude::*;

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    #[test]
    fn white_space_means_nothing() {
        let spread = " [ C ( 64 , 3,1 ),\tP(2, 2) ,D(1,1), SM(1 0) ] ";
        assert_eq!(
            space().parse(spread).unwrap().to_string(),
            "[C(64,3,1), P(2,2), D(1,1), SM(10)]"
        );
    }

    #[test]
    fn marks_may_be_absent_and_must_not_be_wrong() {
        let own = "[C(64,3,1), C(64,3,1), D(1,1), SM(10)]";
        assert_eq!(space().parse("[C(64,3,1), C(64,3,1), SM(10)]").unwrap().to_string(), own);
        assert_eq!(
            space().parse("[C(64,3,1), D(1,1), C(64,3,1), SM(10)]"),
            Err(SpaceError::WrongDropout { expected: own.into() })
        );
    }

    #[test]
    fn errors_say_where_and_why() {
        let message = |text| space().parse(text).unwrap_err().to_string();
        assert_eq!(
            message("C(64,3,1)"),
            "architecture is not readable at character 1: expected `[`"
        );
        assert_eq!(
            message("[C(64,3), SM(10)]"),
            "architecture is not readable at character 9: the layer before has a wrong number of \
             numbers"
        );
        assert_eq!(message("[BN, SM(10)]"), "`BN` is not in the search space");
        assert_eq!(message("[S{[C(64,3,1)], [P(2,2)]}, SM(10)]"), "`S` is not in the search space");
        assert_eq!(message("[C(64,3,1)]"), "the last layer is not `SM(10)`");
        assert_eq!(
            message("[C(65,3,1), SM(10)]"),
            "`C(65,3,1)` cannot be layer 1 (the search space has no such layer)"
        );
        assert_eq!(
            message("[C(64,3,1), P(2,2), P(2,2), SM(10)]"),
            "`P(2,2)` cannot be layer 3 (a pooling may not follow a pooling)"
        );
        assert_eq!(
            message("[SM(10), SM(10)]"),
            "`SM(10)` cannot be layer 2 (nothing follows the softmax)"
        );
        assert!(message("[C(99999999999,3,1)]").contains("below 2^32"));
    }

    #[test]
    fn a_prefix_leads_to_its_state() {
        let state = space().parse_prefix("[C(64,3,1), P(2,2)]").unwrap();
        assert_eq!((state.depth, state.size), (2, 16));
        assert_eq!(space().parse_prefix("[]").unwrap(), space().start());
        assert!(space().parse_prefix("[SM(10)]").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\](),CPFGASMDBN{}0-9 é]{0,60}") {
            let _ = space().parse(&text);
        }

        #[test]
        fn an_architecture_with_any_text_put_in_is_read_or_refused(
            at in any::<prop::sample::Index>(), text in "\\PC{0,20}",
        ) {
            let mut changed = "[C(64,3,1), P(2,2), D(1,2), FC(128), D(2,2), SM(10)]".to_owned();
            changed.insert_str(at.index(changed.len()), &text);
            let _ = space().parse(&changed);
            let _ = space().parse_prefix(&changed);
        }

        #[test]
        fn what_is_printed_is_read_back(choices in prop::collection::vec(0usize..100, 13)) {
            let space = space();
            let (mut layers, mut state) = (Vec::new(), Some(space.start()));
            for choice in choices {
                let Some(here) = state else { break };
                let legal = space.legal_actions(&space.key(&here));
                let action = legal[choice % legal.len()];
                layers.push(action);
                state = space.next(&here, action);
            }
            if state.is_none() {
                let architecture = space.architecture(layers).unwrap();
                prop_assert_eq!(space.parse(&architecture.to_string()).unwrap(), architecture);
            }
        }
    }
}
