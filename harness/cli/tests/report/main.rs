//! Tests of the report page in a real browser, generated from the events of a real run
//! (`tests/fixtures/report`).

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod browser;
mod looks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use serde_json::json;

use browser::Browser;
use report::{RunLog, html};

/// The failed trial of the fixture.
const FAILED: &str = "q35::fails-on-purpose";

fn main() -> ExitCode {
    let missing = browser::missing();
    let test = |name: &str, run: fn(PathBuf)| {
        let test = Trial::test(name, move || {
            let folder = tempfile::tempdir()?;
            run(page(folder.path()));
            Ok(())
        });
        match &missing {
            Some(why) => test.with_ignored_flag(true).with_kind(why.clone()),
            None => test,
        }
    };
    let tests = vec![
        test("a_failed_trial_is_found_in_two_clicks", |p| {
            in_page(p, two_clicks)
        }),
        test("every_link_leads_to_what_can_be_seen", |p| {
            in_page(p, links)
        }),
        test("filters_show_what_they_say", |p| in_page(p, filters)),
        test("commands_are_copied", |p| in_page(p, copying)),
        test("commands_name_the_evidence_with_the_machine", |p| {
            in_page(p, machines)
        }),
        test("nothing_leaves_the_page_and_nothing_in_it_runs", |p| {
            in_page(p, alone)
        }),
        test("it_reads_without_scripts", |p| in_page(p, without_scripts)),
        test("it_works_from_the_keyboard", |p| in_page(p, keyboard)),
        test("a_phone_shows_all_of_it", |p| in_page(p, looks::phone)),
        test("it_can_be_read_by_day_and_by_night", |p| {
            in_page(p, looks::schemes)
        }),
    ];
    let mut arguments = Arguments::from_args();
    // A browser uses more than one core.
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// The page of the fixture.
fn page(folder: &Path) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/events.jsonl");
    let page = folder.join("report.html");
    let run_log = RunLog::read(&fixture).unwrap();
    std::fs::write(&page, html(&run_log, &[])).unwrap();
    page
}

fn in_page(page: PathBuf, test: impl AsyncFnOnce(&Browser)) {
    let runtime = harness::runtime::new().unwrap();
    runtime.block_on(async {
        let browser = Browser::open(&page).await;
        test(&browser).await;
        browser.close().await;
    });
}

/// The JavaScript expression of a trial's element.
fn trial(name: &str) -> String {
    format!("document.getElementById('{name}')")
}

const FAILURE: &str = "[id='q35::fails-on-purpose'] .failure pre";

async fn two_clicks(browser: &Browser) {
    assert!(!browser.sees(FAILURE).await);
    browser
        .click(&format!(".attention a[href='#{FAILED}']"))
        .await;
    browser.until(&format!("{}.open", trial(FAILED))).await;
    assert!(browser.sees(FAILURE).await);
    let failure = format!("document.querySelector(\"{FAILURE}\").textContent");
    let failure = browser.eval(&failure).await;
    assert!(failure.as_str().unwrap().contains("moon"));
    // The other way: by the verdict, and by the matrix.
    browser.client.refresh().await.unwrap();
    browser.eval("location.replace('#')").await;
    browser
        .eval(&format!("{}.open = false", trial(FAILED)))
        .await;
    browser.click(".chip.failed").await;
    browser.click(&format!(".matrix a[href='#{FAILED}']")).await;
    browser.until(&format!("{}.open", trial(FAILED))).await;
    assert!(browser.sees(FAILURE).await);
}

async fn links(browser: &Browser) {
    let count = browser
        .eval("document.links.length")
        .await
        .as_u64()
        .unwrap();
    assert!(count > 20, "only {count} links");
    let elsewhere = "[...document.querySelectorAll('a')].map((a) => a.getAttribute('href')).filter((to) => !to.startsWith('#'))";
    assert_eq!(browser.eval(elsewhere).await, json!([]));
    let led = "(() => {
        const close = () => document.querySelectorAll('details').forEach((one) => { one.open = false; });
        window.tried = [];
        const next = (left) => {
            if (!left.length) { window.done = true; return; }
            const [link, ...rest] = left;
            const to = link.getAttribute('href');
            close();
            addEventListener('hashchange', () => setTimeout(() => {
                const target = document.getElementById(decodeURIComponent(to.slice(1)));
                const seen = target && target.checkVisibility() && (target.tagName !== 'DETAILS' || target.open);
                if (!seen) window.tried.push(to);
                history.replaceState(null, '', '#');
                next(rest);
            }), { once: true });
            // Links of an SVG have no click() method.
            link.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
        };
        next([...document.querySelectorAll('a')]);
        return true;
    })()";
    browser.eval(led).await;
    browser.until("window.done === true").await;
    assert_eq!(browser.eval("window.tried").await, json!([]));
}

async fn filters(browser: &Browser) {
    let shown = async || {
        let shown = "[...document.querySelectorAll('.trial')].filter((t) => t.checkVisibility()).map((t) => t.id)";
        let shown = browser.eval(shown).await;
        let names = shown.as_array().unwrap().iter();
        names
            .map(|n| n.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = shown().await;
    assert!(all.len() > 5 && all.iter().any(|name| name == FAILED));
    for verdict in ["failed", "error", "flaky", "known", "passed", "ignored"] {
        browser
            .click(&format!(".chip[data-verdict='{verdict}']"))
            .await;
        let of = "[...document.querySelectorAll('.trial')].filter((t) => t.checkVisibility()).every((t) => t.dataset.verdict === VERDICT)";
        let of = of.replace("VERDICT", &format!("'{verdict}'"));
        assert_eq!(browser.eval(&of).await, json!(true));
        let some = shown().await;
        assert!(
            !some.is_empty() && some.len() < all.len(),
            "{verdict}: {some:?}"
        );
        browser
            .click(&format!(".chip[data-verdict='{verdict}']"))
            .await;
    }
    assert_eq!(shown().await, all);
    browser.click(".chip[data-profile='pc']").await;
    assert!(shown().await.iter().all(|name| name.starts_with("pc::")));
    browser.click(".chip.failed").await;
    assert_eq!(shown().await, ["pc::fails-on-purpose"]);
    browser.click(".chip[data-profile='pc']").await;
    browser.click(".chip.failed").await;
    browser.keys(".filters input", "the MOON q35").await;
    assert_eq!(shown().await, [FAILED]);
    assert!(!browser.sees(".none").await);
    browser.keys(".filters input", " and the sun").await;
    assert!(shown().await.is_empty() && browser.sees(".none").await);
    // A link to a hidden trial shows it.
    browser
        .eval(&format!("location.replace('#{}')", all[0]))
        .await;
    browser
        .until(&format!("{}.checkVisibility()", trial(&all[0])))
        .await;
    assert_eq!(shown().await, all);
}

async fn copying(browser: &Browser) {
    let permissions = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    browser
        .devtools("Browser.grantPermissions", permissions)
        .await;
    browser
        .eval(&format!("location.replace('#{FAILED}')"))
        .await;
    browser.until(&format!("{}.open", trial(FAILED))).await;
    browser.click("[id='q35::fails-on-purpose'] .copy").await;
    let said = "document.querySelector(\"[id='q35::fails-on-purpose'] .copy\").textContent";
    browser.until(&format!("{said} === 'Copied'")).await;
    browser
        .eval("navigator.clipboard.readText().then((text) => { window.copied = text; }) && true")
        .await;
    browser.until("typeof window.copied === 'string'").await;
    let copied = browser.eval("window.copied").await;
    let copied = copied.as_str().unwrap();
    assert!(
        copied.starts_with("cargo harness enter ") && copied.contains("q35-fails-on-purpose"),
        "{copied}"
    );
}

/// The commands shown under a trial, for all its attempts.
async fn commands(browser: &Browser, name: &str) -> Vec<String> {
    let lines = "[...TRIAL.querySelectorAll('.commands code')].map((line) => line.textContent)";
    let lines = browser.eval(&lines.replace("TRIAL", &trial(name))).await;
    serde_json::from_value(lines).unwrap()
}

/// The snapshot of a setup is in another folder than that of the trial. Without a snapshot, the page shows no
/// `enter` command.
async fn machines(browser: &Browser) {
    let evidence = "/home/me/os/target/evidence";
    let setup = commands(browser, "q35::goes-on-from-what-fails").await;
    let folder = format!("{evidence}/q35-setup-fails-1795324193-0");
    assert_eq!(setup[0], format!("cargo harness enter {folder}"));
    assert_eq!(setup[1], format!("cargo harness replay {folder}"));
    let flaky = commands(browser, "q35::flickers").await;
    let enter = format!("cargo harness enter {evidence}/q35-flickers-1795324197-0");
    assert_eq!(flaky[0], enter);
    let entered = flaky.iter().filter(|line| line.contains(" enter "));
    assert_eq!(entered.count(), 1, "{flaky:?}");
    let known = commands(browser, "q35::loses-a-tick").await;
    let folder = format!("{evidence}/q35-loses-a-tick-1795324201-0");
    assert_eq!(known[0], format!("cargo harness replay {folder}"));
    let none = commands(browser, "q35::too-large").await;
    assert_eq!(none.len(), 2, "{none:?}");
    for attempt in ["Attempt 1: failed", "Attempt 2: passed"] {
        let head =
            "[...document.querySelectorAll('.attempt')].some((one) => one.textContent === 'HEAD')";
        let head = head.replace("HEAD", attempt);
        assert_eq!(browser.eval(&head).await, json!(true), "{attempt}");
    }
}

async fn alone(browser: &Browser) {
    browser
        .eval("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        .await;
    browser.until("[...document.images].length > 0").await;
    browser.eval("document.images[0].scrollIntoView()").await;
    browser
        .until("[...document.images].some((image) => image.complete && image.naturalWidth > 0)")
        .await;
    let page = browser.eval("location.href").await;
    let asked = browser
        .log("performance")
        .await
        .into_iter()
        .filter_map(|entry| {
            let message: serde_json::Value =
                serde_json::from_str(entry["message"].as_str()?).ok()?;
            let request = &message["message"];
            // The first tab of the browser requests its own resources.
            let ours = request["params"]["documentURL"] == page;
            let sent = ours && request["method"] == "Network.requestWillBeSent";
            sent.then(|| {
                request["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
        });
    let asked: Vec<String> = asked.filter(|to| !to.starts_with("data:")).collect();
    assert_eq!(asked, [page.as_str().unwrap()]);
    // The fixture's machine says `<script>alert(1)</script>` on its console.
    let said = "[...document.querySelectorAll('.serial')].some((one) => one.textContent.includes('<script>alert(1)</script>'))";
    assert_eq!(browser.eval(said).await, json!(true));
    assert_eq!(browser.eval("document.scripts.length").await, json!(1));
    // An injected script would not run.
    browser.eval("(() => { const own = document.createElement('script'); own.textContent = 'window.ran = 1'; document.body.append(own); return 1; })()").await;
    assert_eq!(browser.eval("window.ran === undefined").await, json!(true));
    let refused = browser.log("browser").await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0]["message"]
            .as_str()
            .unwrap()
            .contains("Content Security Policy")
    );
}

async fn without_scripts(browser: &Browser) {
    browser
        .devtools(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": true }),
        )
        .await;
    browser.client.refresh().await.unwrap();
    assert!(
        !browser.sees(".filters").await,
        "filters that do nothing are shown"
    );
    browser
        .click("[id='q35::fails-on-purpose'] > summary")
        .await;
    assert!(browser.sees(FAILURE).await);
}

async fn keyboard(browser: &Browser) {
    browser.keys("body", "/").await;
    assert_eq!(
        browser.eval("document.activeElement.name").await,
        json!("text")
    );
    browser.keys(".filters input", "fails-on-purpose q35").await;
    assert_eq!(
        browser.eval("document.activeElement.value").await,
        json!("fails-on-purpose q35")
    );
    browser
        .keys(&format!("[id='{FAILED}'] > summary"), "\u{e007}")
        .await;
    browser.until(&format!("{}.open", trial(FAILED))).await;
    browser.keys(".filters input", "\u{e00c}").await;
    assert_eq!(
        browser
            .eval("document.querySelector('.filters input').value")
            .await,
        json!("")
    );
}
