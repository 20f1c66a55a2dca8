use std::path::Path;

use super::{Wanted, for_account, judge};
use machine::Output;
use scenario::TextExpectation;

fn output(exit: i32, stdout: &str, stderr: &str) -> Output {
    Output {
        exit: Some(exit),
        stdout: stdout.into(),
        stderr: stderr.into(),
        ..Output::default()
    }
}

fn judged(yaml: &str, exit: i64, output: &Output) -> Result<(), String> {
    let expected: TextExpectation = serde_yaml::from_str(yaml).unwrap();
    let wanted = Wanted {
        exit,
        stdout: Some(&expected),
        stderr: None,
    };
    judge::output(wanted, output, Path::new("snapshots")).map_err(|failure| failure.render())
}

#[test]
fn equals_ignores_one_trailing_newline() {
    judged("equals: tea", 0, &output(0, "tea\n", "")).unwrap();
    judged("equals: \"tea\\n\"", 0, &output(0, "tea", "")).unwrap();
    judged("equals: tea", 0, &output(0, "tea\n\n", "")).unwrap_err();
}

#[test]
fn text_must_meet_all_expectations() {
    let good = output(0, "green tea\nblack tea\n", "");
    judged(
        "{matches: '^black', contains: [green, tea], lacks: coffee}",
        0,
        &good,
    )
    .unwrap();
    let why = judged("{matches: '^tea'}", 0, &good).unwrap_err();
    assert!(why.contains("stdout does not match /^tea/"), "{why}");
    let why = judged("{contains: [tea, milk]}", 0, &good).unwrap_err();
    assert!(why.contains("stdout does not contain `milk`"), "{why}");
    let why = judged("{lacks: [black]}", 0, &good).unwrap_err();
    assert!(
        why.contains("stdout contains `black`, expected it not to"),
        "{why}"
    );
}

#[test]
fn output_fails_on_an_unexpected_exit_status_or_signal() {
    let why = judged("{contains: tea}", 0, &output(3, "tea", "")).unwrap_err();
    assert!(
        why.contains("ended with exit status 3, expected exit status 0"),
        "{why}"
    );
    judged("{contains: tea}", 3, &output(3, "tea", "")).unwrap();
    let killed = Output {
        signal: Some("KILL".into()),
        ..output(0, "tea", "")
    };
    let why = judged("{contains: tea}", 0, &killed).unwrap_err();
    assert!(why.contains("ended with signal KILL"), "{why}");
}

#[test]
fn for_account_quotes_the_command_for_sudo() {
    use scenario::Account;
    let command = for_account("echo 'a b'", Account::Root);
    assert_eq!(command, r"sudo -n sh -c 'echo '\''a b'\'''");
    assert_eq!(for_account("id", Account::Login), "id");
}
