//! The positions of keys and values in the text of a YAML document.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// A range of bytes in a text.
type Bytes = Range<usize>;

/// The byte ranges of paths in the format of serde (`steps[0].ssh.run`).
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashMap<String, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Bytes,
    value: Bytes,
}

/// Why a text is not a valid document.
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) span: Bytes,
}

/// A collection whose end event has not been seen yet.
struct Open {
    path: String,
    inside: Inside,
}

enum Inside {
    Sequence(usize),
    Mapping(Option<(String, Bytes)>),
}

impl Index {
    pub(super) fn of(text: &str) -> Result<Self, SyntaxError> {
        let lines = Lines::of(text);
        let mut index = Self::default();
        let mut open = Vec::new();
        let mut flow = 0_usize;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let start = lines.byte(error.marker());
                SyntaxError {
                    message: error.info().to_owned(),
                    span: start..start,
                }
            })?;
            let bytes = lines.bytes(&span);
            refuse_question_mark(text, &event, &bytes, &mut flow)?;
            index.add(&event, bytes, &mut open)?;
        }
        Ok(index)
    }

    /// The range of the key of `path`, or of its nearest parent.
    pub(super) fn key(&self, path: &str) -> Bytes {
        self.nearest(path).map_or(0..0, |place| place.key.clone())
    }

    /// The range of the value at `path`, or of the nearest parent's key.
    pub(super) fn value(&self, path: &str) -> Bytes {
        match self.places.get(path) {
            Some(place) => place.value.clone(),
            None => self.key(path),
        }
    }

    fn nearest(&self, path: &str) -> Option<&Place> {
        std::iter::successors(Some(path), |path| shorter(path))
            .find_map(|path| self.places.get(path))
    }

    fn add(&mut self, event: &Event, span: Bytes, open: &mut Vec<Open>) -> Result<(), SyntaxError> {
        match event {
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
            }
            Event::Scalar(word, ..) => {
                if let Some(Open {
                    path,
                    inside: Inside::Mapping(key @ None),
                }) = open.last_mut()
                {
                    self.refuse_duplicate(&join(path, word), word, &span)?;
                    *key = Some((word.to_string(), span));
                } else {
                    self.place(span, open);
                }
            }
            Event::Alias(_) => {
                self.place(span, open);
            }
            Event::SequenceStart(..) => {
                let path = self.place(span, open);
                open.push(Open {
                    path,
                    inside: Inside::Sequence(0),
                });
            }
            Event::MappingStart(..) => {
                let path = self.place(span, open);
                open.push(Open {
                    path,
                    inside: Inside::Mapping(None),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Records a node and returns its path.
    fn place(&mut self, value: Bytes, open: &mut [Open]) -> String {
        let (path, key) = match open.last_mut() {
            None => (String::new(), value.clone()),
            Some(Open {
                path,
                inside: Inside::Sequence(next),
            }) => {
                *next += 1;
                (format!("{path}[{}]", *next - 1), value.clone())
            }
            Some(Open {
                path,
                inside: Inside::Mapping(key),
            }) => {
                let (word, at) = key.take().unwrap_or_else(|| ("?".into(), value.clone()));
                (join(path, &word), at)
            }
        };
        self.places.insert(path.clone(), Place { key, value });
        path
    }

    fn refuse_duplicate(&self, path: &str, word: &str, span: &Bytes) -> Result<(), SyntaxError> {
        if self.places.contains_key(path) {
            return Err(SyntaxError {
                message: format!("duplicate key `{word}`"),
                span: span.clone(),
            });
        }
        Ok(())
    }
}

/// Refuses a `?` in a plain scalar of a flow collection. YAML 1.2 allows it; libyaml and PyYAML, which
/// parse YAML 1.1, treat it as a key indicator.
fn refuse_question_mark(
    text: &str,
    event: &Event,
    span: &Bytes,
    flow: &mut usize,
) -> Result<(), SyntaxError> {
    match event {
        Event::SequenceStart(..) | Event::MappingStart(..) => {
            let opens = text[span.start..].starts_with(['{', '[']);
            *flow += usize::from(opens || *flow > 0);
        }
        Event::SequenceEnd | Event::MappingEnd => *flow = flow.saturating_sub(1),
        Event::Scalar(word, ScalarStyle::Plain, ..) if *flow > 0 && word.contains('?') => {
            return Err(SyntaxError {
                message:
                    "`?` in an unquoted word between braces or brackets, which other YAML parsers \
                refuse; hint: put the word in quotes"
                        .into(),
                span: span.clone(),
            });
        }
        _ => {}
    }
    Ok(())
}

/// The path of the parent.
fn shorter(path: &str) -> Option<&str> {
    let end = path.rfind(['.', '[']).unwrap_or(0);
    (!path.is_empty()).then(|| &path[..end])
}

fn join(path: &str, word: &str) -> String {
    if path.is_empty() {
        word.to_owned()
    } else {
        format!("{path}.{word}")
    }
}

/// The offsets of lines: the parser counts lines and characters, other code counts bytes.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    fn byte(&self, at: &Marker) -> usize {
        let line = at.line().saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices()
            .nth(at.col())
            .map_or(self.text.len(), |(byte, _)| start + byte)
    }

    /// The bytes of the first line of a node, which is enough for an error.
    fn bytes(&self, span: &Span) -> Bytes {
        let start = self.byte(&span.start);
        let end = self.byte(&span.end).max(start);
        let line = self.text[start..end].lines().next().unwrap_or_default();
        start..start + line.trim_end().len()
    }
}
