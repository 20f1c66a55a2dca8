//! EventKind the README tells people to type, and what it shows them: its fenced blocks and its inline code.

use regex::Regex;

/// A fenced block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The line of its first line; the first of the README is 1.
    pub line: usize,
    /// EventKind stands behind the fence.
    pub kind: String,
    /// Without the indentation of the fence.
    pub lines: Vec<String>,
}

/// Something to type.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub line: usize,
    /// Without the comment behind it.
    pub text: String,
    /// The lines that are shown below it.
    pub shows: Vec<String>,
}

impl Command {
    fn new(line: usize, text: &str) -> Self {
        let text = match text.split_once(" # ") {
            Some((text, _)) => text,
            None => text,
        };
        let text = text.trim().to_owned();
        Self {
            line,
            text,
            shows: Vec::new(),
        }
    }

    /// EventKind it is called when something is wrong with it.
    pub fn name(&self) -> String {
        format!("README.md:{}: {}", self.line, self.text)
    }

    /// The program, behind `sudo`.
    pub fn program(&self) -> &str {
        let mut words = self.text.split_whitespace().filter(|word| *word != "sudo");
        words.next().unwrap_or_default()
    }
}

impl Block {
    pub fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// The keys of a YAML document that stand at its margin.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let at_margin = |line: &&String| line.starts_with(|first: char| first.is_alphabetic());
        let lines = self.lines.iter().filter(at_margin);
        lines.filter_map(|line| Some(line.split_once(':')?.0))
    }

    /// The commands of a `sh` block, which are its lines, or of a `console` block: lines with a
    /// prompt, and what is shown below each.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            let number = self.line + number;
            match (self.kind.as_str(), line.strip_prefix("$ ")) {
                ("sh", _) if line.is_empty() || line.starts_with('#') => {}
                ("sh", _) => commands.push(Command::new(number, line)),
                (_, Some(line)) => commands.push(Command::new(number, line)),
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
pub fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in readme.lines().enumerate() {
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

/// The inline code; in the first column of a table whose header is a command it goes on from that.
pub fn inline(readme: &str) -> Vec<Command> {
    let mut fenced = false;
    let outside = readme.lines().map(|line| {
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
            Some(command) => Command::new(line + 1, &format!("{command} {words}")),
            None => Command::new(line + 1, &words),
        }
    });
    found.collect()
}

/// The command in the header of the table whose first column this is.
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
