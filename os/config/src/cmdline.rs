//! The kernel command line: `rancher.a.b=v` sets `a: {b: v}`, a bare key means true, `[x,y]` is a
//! list, digits are a number.

use serde_yaml::{Mapping, Value};

/// What the arguments of ours begin with.
const PREFIX: &str = "rancher.";

/// One `rancher.…` argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// As it was written.
    pub text: String,
    keys: Vec<String>,
    value: Option<String>,
}

impl Argument {
    /// The layer it stands for, with its value read as a bool, number or list where it looks like
    /// one.
    pub fn layer(&self) -> Value {
        self.nest(self.value.as_deref().map_or(Value::Bool(true), guess))
    }

    /// The layer it stands for, with its value taken as text: a password may be all digits.
    pub fn layer_as_text(&self) -> Option<Value> {
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

/// All `rancher.…` arguments of a kernel command line, in order; double quotes keep blanks, as for
/// the kernel's own parser (`lib/cmdline.c`).
pub fn arguments(cmdline: &str) -> Vec<Argument> {
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

fn guess(text: &str) -> Value {
    if let Some(list) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let items = list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return Value::Sequence(items.map(guess).collect());
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // `007` is text, or a number where one belongs.
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
    fn values_are_what_they_look_like() {
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
    fn others_are_left_alone() {
        assert_eq!(
            arguments("console=ttyS0 rancherx.a=1 quiet \"rancher.a=1 2\"").len(),
            1
        );
        assert!(arguments("").is_empty());
    }

    #[test]
    fn nonsense_does_not_panic() {
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
