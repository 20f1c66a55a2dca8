//! Settings on the kernel command line: `rancher.a.b=v` sets `a: {b: v}`, a key without a value is
//! true, `[x,y]` is a list, digits are a number.

use serde_yaml::{Mapping, Value};

/// The prefix of arguments that are settings.
const PREFIX: &str = "rancher.";

/// One `rancher.…` argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Argument {
    /// The argument as written.
    pub(crate) text: String,
    /// The path of the key that it sets.
    pub(crate) keys: Vec<String>,
    value: Option<String>,
}

impl Argument {
    /// The argument as a layer. A value that looks like a bool, number or list becomes one.
    pub(crate) fn layer(&self) -> Value {
        self.nest(self.value.as_deref().map_or(Value::Bool(true), typed))
    }

    /// The argument as a layer with its value as text, because a password may be all digits.
    pub(crate) fn layer_as_text(&self) -> Option<Value> {
        self.value
            .as_ref()
            .map(|value| self.nest(Value::String(value.clone())))
    }

    fn nest(&self, value: Value) -> Value {
        self.keys.iter().rev().fold(value, |inner, key| {
            Value::Mapping(Mapping::from_iter([(Value::String(key.clone()), inner)]))
        })
    }
}

/// All `rancher.…` arguments of a kernel command line, in order. Double quotes preserve spaces, as in
/// the kernel's own parser (`lib/cmdline.c`).
pub(crate) fn arguments(cmdline: &str) -> Vec<Argument> {
    words(cmdline)
        .into_iter()
        .filter_map(|word| parse(&word))
        .collect()
}

fn parse(word: &str) -> Option<Argument> {
    let rest = word.strip_prefix(PREFIX)?;
    let (path, value) = match rest.split_once('=') {
        Some((path, value)) => (path, Some(value.to_owned())),
        None => (rest, None),
    };
    let keys = path.split('.').map(str::to_owned).collect();
    Some(Argument {
        text: word.into(),
        keys,
        value,
    })
}

fn words(cmdline: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in cmdline.chars() {
        match letter {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is always one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn typed(text: &str) -> Value {
    if let Some(list) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let items = list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return Value::Sequence(items.map(typed).collect());
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // `007` stays text; the schema converts it if the key is a number.
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Value::from(number),
            _ => Value::String(text.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> String {
        let argument = arguments(text).pop().unwrap();
        serde_yaml::to_string(&argument.layer()).unwrap()
    }

    #[test]
    fn argument_value_gets_the_type_that_it_looks_like() {
        assert_eq!(
            layer("rancher.state.required"),
            "state:\n  required: true\n"
        );
        assert_eq!(layer("rancher.a=12"), "a: 12\n");
        assert_eq!(layer("rancher.a=[x,2]"), "a:\n- x\n- 2\n");
        assert_eq!(layer("rancher.dev=LABEL=X"), "dev: LABEL=X\n");
        assert_eq!(layer("rancher.a=\"b c\""), "a: b c\n");
        assert_eq!(layer("rancher.a=1.10"), "a: '1.10'\n");
        assert_eq!(layer("rancher.a=007"), "a: '007'\n");
    }

    #[test]
    fn arguments_without_the_prefix_are_skipped() {
        assert_eq!(
            arguments("console=ttyS0 rancherx.a=1 quiet \"rancher.a=1 2\"").len(),
            1
        );
        assert!(arguments("").is_empty());
    }

    #[test]
    fn malformed_arguments_do_not_panic() {
        for text in [
            "rancher.",
            "rancher.=",
            "rancher..",
            "rancher.=[",
            "rancher.a.=]",
            "\"rancher.",
        ] {
            for argument in arguments(text) {
                let _ = argument.layer();
                let _ = argument.layer_as_text();
            }
        }
    }
}
