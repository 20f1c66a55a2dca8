//! The positions of keys and values in the text of a document.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A value in the text.
#[derive(Debug)]
pub(crate) struct Node {
    /// The bytes of the value. A list or mapping in block style ends with its last value; a block scalar
    /// begins after its `|` or `>`.
    pub(crate) bytes: Range<usize>,
    pub(crate) kind: Kind,
    /// The number of the value's anchor, or of the anchor that an alias refers to; 0 if there is none.
    pub(crate) anchor: usize,
}

/// The kind of a value.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A plain or quoted scalar.
    Plain,
    /// A block scalar after `|` or `>`.
    Block,
    /// An alias, `*NAME`.
    Alias,
    /// A list; `flow` if it is in brackets.
    Sequence { flow: bool, items: Vec<Node> },
    /// A mapping; `flow` if it is in braces. The entries are in order.
    Mapping { flow: bool, entries: Vec<Entry> },
}

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The bytes of the key.
    pub(crate) key: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// The root value of a document. Returns `None` if the document has no values, or if it uses syntax
    /// that the parser of positions does not support.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let starts = char_starts(text);
        let mut parser = Events {
            text,
            starts,
            parser: Parser::new_from_str(text),
        };
        loop {
            let (event, bytes) = parser.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) => (),
                Event::StreamEnd | Event::DocumentEnd => return None,
                first => return parser.node(&first, bytes),
            }
        }
    }

    /// The entry of a key, if this is a mapping that contains it.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Mapping { entries, .. } => entries.iter().find(|entry| entry.name == name),
            _ => None,
        }
    }

    /// The first byte of the key at a path, or of its nearest parent in the text.
    pub(crate) fn position(&self, path: &[String]) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        match &self.kind {
            Kind::Mapping { .. } => {
                let entry = self.entry(first)?;
                Some(entry.value.position(rest).unwrap_or(entry.key.start))
            }
            Kind::Sequence { items, .. } => {
                let item = items.get(first.parse::<usize>().ok()?)?;
                Some(item.position(rest).unwrap_or(item.bytes.start))
            }
            _ => None,
        }
    }

    /// The bytes of all scalars and keys, in order.
    pub(crate) fn scalars(&self) -> Vec<Range<usize>> {
        match &self.kind {
            Kind::Sequence { items, .. } => items.iter().flat_map(Self::scalars).collect(),
            Kind::Mapping { entries, .. } => entries
                .iter()
                .flat_map(|entry| [vec![entry.key.clone()], entry.value.scalars()].concat())
                .collect(),
            _ => vec![self.bytes.clone()],
        }
    }
}

/// The byte offset of each character, and of the end: the parser reports positions in characters.
fn char_starts(text: &str) -> Vec<usize> {
    let starts = text.char_indices().map(|(byte, _)| byte);
    starts.chain([text.len()]).collect()
}

struct Events<'a> {
    text: &'a str,
    starts: Vec<usize>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Range<usize>)> {
        let (event, span) = self.parser.next_event()?.ok()?;
        Some((event, self.bytes(&span)))
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let byte = |index: usize| self.starts.get(index).copied().unwrap_or(self.text.len());
        byte(span.start.index())..byte(span.end.index())
    }

    /// Reads the value that begins with an event.
    fn node(&mut self, first: &Event<'a>, bytes: Range<usize>) -> Option<Node> {
        match first {
            Event::Scalar(_, style, anchor, _) => Some(Node {
                anchor: *anchor,
                ..self.scalar(*style, bytes)
            }),
            Event::Alias(anchor) => Some(Node {
                bytes,
                kind: Kind::Alias,
                anchor: *anchor,
            }),
            Event::SequenceStart(anchor, _) => self.sequence(bytes, *anchor),
            Event::MappingStart(anchor, _) => self.mapping(bytes, *anchor),
            _ => None,
        }
    }

    fn scalar(&self, style: ScalarStyle, bytes: Range<usize>) -> Node {
        let text = self.text.get(bytes.clone()).unwrap_or_default();
        // The parser reports the end only after it has read past it.
        let (kind, length) = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => (Kind::Block, text.trim_end().len()),
            ScalarStyle::SingleQuoted => (Kind::Plain, quoted(text, '\'', '\'')),
            ScalarStyle::DoubleQuoted => (Kind::Plain, quoted(text, '"', '\\')),
            ScalarStyle::Plain => (Kind::Plain, text.trim_end().len()),
        };
        Node {
            bytes: bytes.start..bytes.start + length,
            kind,
            anchor: 0,
        }
    }

    fn sequence(&mut self, start: Range<usize>, anchor: usize) -> Option<Node> {
        let flow = self.text[start.start..].starts_with('[');
        let mut items = Vec::new();
        loop {
            let (event, bytes) = self.next()?;
            if event == Event::SequenceEnd {
                let last = items.last().map(|item: &Node| item.bytes.end);
                return Some(Node {
                    bytes: start.start..end(flow, &bytes, last, &start),
                    kind: Kind::Sequence { flow, items },
                    anchor,
                });
            }
            items.push(self.node(&event, bytes)?);
        }
    }

    fn mapping(&mut self, start: Range<usize>, anchor: usize) -> Option<Node> {
        let flow = self.text[start.start..].starts_with('{');
        let mut entries = Vec::new();
        loop {
            let (event, key) = self.next()?;
            match event {
                Event::MappingEnd => {
                    let last = entries.last().map(|entry: &Entry| entry.value.bytes.end);
                    return Some(Node {
                        bytes: start.start..end(flow, &key, last, &start),
                        kind: Kind::Mapping { flow, entries },
                        anchor,
                    });
                }
                Event::Scalar(name, ..) => {
                    let name = name.into_owned();
                    let (event, bytes) = self.next()?;
                    let value = self.node(&event, bytes)?;
                    entries.push(Entry { name, key, value });
                }
                _ => return None,
            }
        }
    }
}

/// The length of a quoted scalar with its quotes; `escape` escapes the next character.
fn quoted(text: &str, quote: char, escape: char) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|&(_, next)| next);
        if letter == escape && (escape != quote || next == Some(quote)) {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    text.len()
}

/// The end of a list or mapping: the closing bracket, or the end of the last value in block style,
/// because the parser reports the end of a block only at the next token.
fn end(flow: bool, close: &Range<usize>, last: Option<usize>, start: &Range<usize>) -> usize {
    if flow {
        close.start + 1
    } else {
        last.unwrap_or(start.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the value at a path.
    fn at<'a>(text: &'a str, path: &str) -> &'a str {
        let root = Node::of(text).unwrap();
        let value = path
            .split('.')
            .fold(&root, |node, key| &node.entry(key).unwrap().value);
        &text[value.bytes.clone()]
    }

    #[test]
    fn value_bytes_match_the_text_of_the_value() {
        let text = "# é\na: x y  # c\nb: 'q' # d\nl: |-\n  one\n   two\n\n# e\nm: # f\n  - p\n  - q # g\n\nn: {o: [1, 2], r: }\ns:\nt:\n  u: 1\n# end\n";
        assert_eq!(at(text, "a"), "x y");
        assert_eq!(at(text, "b"), "'q'");
        assert_eq!(at(text, "l"), "one\n   two");
        assert_eq!(at(text, "m"), "- p\n  - q");
        assert_eq!(at(text, "n"), "{o: [1, 2], r: }");
        assert_eq!(at(text, "n.o"), "[1, 2]");
        assert_eq!(at(text, "s"), "");
        assert_eq!(at(text, "t"), "u: 1");
    }

    #[test]
    fn text_without_values_has_no_nodes() {
        for text in ["", "# only this\n", "a: [", "---\n", "\t"] {
            assert!(
                Node::of(text).is_none_or(|node| node.bytes.is_empty()),
                "{text:?}"
            );
        }
    }
}
