//! Extracts commands and their output from the READMEs: fenced blocks and inline code.

use regex::Regex;

/// A README of the tree.
pub(crate) struct Readme {
    /// Its path in the tree.
    file: &'static str,
    text: String,
}

impl Readme {
    pub(crate) fn read(file: &'static str) -> Self {
        let path = harness::project::find().root().join(file);
        let text = std::fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("cannot read {file}: {error}"));
        Self { file, text }
    }
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// The path of its README.
    pub file: &'static str,
    /// The number of its first line in the README, from 1.
    pub line: usize,
    /// The info string of the fence.
    pub kind: String,
    /// The lines without the indentation of the fence.
    pub lines: Vec<String>,
}

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    /// The path of its README.
    pub file: &'static str,
    /// The number of its line in the README, from 1.
    pub line: usize,
    /// The command without a trailing comment.
    pub text: String,
    /// The output that is shown below it.
    pub shows: Vec<String>,
}

impl Command {
    fn new(file: &'static str, line: usize, text: &str) -> Self {
        let text = match text.split_once(" # ") {
            Some((text, _)) => text,
            None => text,
        };
        let text = text.trim().to_owned();
        Self {
            file,
            line,
            text,
            shows: Vec::new(),
        }
    }

    /// Its place and its text, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}: {}", self.file, self.line, self.text)
    }

    /// The program, without `sudo`.
    pub(crate) fn program(&self) -> &str {
        let mut words = self.text.split_whitespace().filter(|word| *word != "sudo");
        words.next().unwrap_or_default()
    }
}

impl Block {
    /// Its place, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// A name for the generated scenario: `readme-os-12` for line 12 of `os/README.md`.
    pub(crate) fn id(&self) -> String {
        let folder = self.file.trim_end_matches("README.md").replace('/', "-");
        format!("readme-{folder}{}", self.line)
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// The top-level keys of a YAML document.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let at_margin = |line: &&String| line.starts_with(|first: char| first.is_alphabetic());
        let lines = self.lines.iter().filter(at_margin);
        lines.filter_map(|line| Some(line.split_once(':')?.0))
    }

    /// The commands of a block: each line of a `sh` block, or the lines with a prompt of a `console` block with
    /// their output.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            let number = self.line + number;
            match (self.kind.as_str(), line.strip_prefix("$ ")) {
                ("sh", _) if line.is_empty() || line.starts_with('#') => {}
                ("sh", _) => commands.push(Command::new(self.file, number, line)),
                (_, Some(line)) => commands.push(Command::new(self.file, number, line)),
                (_, None) => {
                    if let Some(command) = commands.last_mut() {
                        command.shows.push(line.clone());
                    }
                }
            }
        }
        commands
    }
}

/// The fenced blocks.
pub(crate) fn blocks(readme: &Readme) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in readme.text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        open = match (open, fence) {
            (Some((block, _)), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some((mut block, indent)), None) => {
                block
                    .lines
                    .push(line.get(indent..).unwrap_or("").to_owned());
                Some((block, indent))
            }
            (None, Some(kind)) => {
                let indent = line.len() - line.trim_start().len();
                let block = Block {
                    file: readme.file,
                    line: number + 2,
                    kind: kind.trim().to_owned(),
                    lines: Vec::new(),
                };
                Some((block, indent))
            }
            (None, None) => None,
        };
    }
    blocks
}

/// The inline code. In the first column of a table whose header is a command, the code is appended to the
/// header.
pub(crate) fn inline(readme: &Readme) -> Vec<Command> {
    let mut fenced = false;
    let outside = readme.text.lines().map(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fence || fenced { "" } else { line }
    });
    let lines: Vec<&str> = outside.collect();
    let text = lines.join("\n");
    let code = Regex::new("`([^`]+)`").expect("it is a regular expression");
    let found = code.captures_iter(&text).map(|found| {
        let code = found.get(1).expect("it has one group");
        let before = &text[..code.start()];
        let line = before.matches('\n').count();
        let column = code.start() - before.rfind('\n').map_or(0, |end| end + 1);
        let words = code.as_str().replace('\n', " ");
        match above(&lines, line, column) {
            Some(command) => Command::new(readme.file, line + 1, &format!("{command} {words}")),
            None => Command::new(readme.file, line + 1, &words),
        }
    });
    found.collect()
}

/// The command in the header of the table, if the position is in the first column.
fn above<'a>(lines: &[&'a str], line: usize, column: usize) -> Option<&'a str> {
    let row = lines[line].strip_prefix('|')?;
    let header = lines[..line]
        .iter()
        .rev()
        .take_while(|row| row.starts_with('|'))
        .last()?;
    let command = header.strip_prefix("| `")?.split_once('`')?.0;
    let is_first = column <= row.find(" |")?;
    (is_first && command.contains(' ')).then_some(command)
}
