//! Tests the readability of the page.

use serde_json::json;

use super::browser::Browser;

const OPEN_ALL: &str =
    "document.querySelectorAll('details').forEach((one) => { one.open = true; })";

/// On the smallest common phone, no content exceeds the right edge.
pub(crate) async fn phone(browser: &Browser) {
    browser.resize(360, 740, true).await;
    for open in ["true", OPEN_ALL] {
        browser.eval(open).await;
        let width = browser.eval("document.documentElement.scrollWidth").await;
        let beyond = "[...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > 361 && !one.closest('.wide, .serial, pre')).map((one) => one.outerHTML.slice(0, 120))";
        assert_eq!(width, json!(360), "{:?}", browser.eval(beyond).await);
    }
    let small = "[...document.querySelectorAll('.chip, .cell, .trial > summary')].filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 32).length";
    assert_eq!(browser.eval(small).await, json!(0), "too small for a thumb");
}

/// Visible texts whose contrast is below the 4.5 of WCAG.
const FAINT: &str = "(() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (one) => {
        for (; one; one = one.parentElement) {
            const [r, g, b, a = 1] = channels(getComputedStyle(one).backgroundColor);
            if (a > 0) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const faint = new Set();
    for (const one of document.body.querySelectorAll('*')) {
        const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!text || !one.checkVisibility() || ['SCRIPT', 'title'].includes(one.tagName)) continue;
        const [a, b] = [light(channels(getComputedStyle(one).color)), light(behind(one))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.add(`${one.tagName}.${one.getAttribute('class')} ${contrast.toFixed(2)}`);
    }
    return [...faint];
})()";

const BACKGROUND: &str =
    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]";

pub(crate) async fn schemes(browser: &Browser) {
    browser.eval(OPEN_ALL).await;
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        assert_eq!(browser.eval(FAINT).await, json!([]), "{scheme}");
        backgrounds.push(browser.eval(BACKGROUND).await.as_u64().unwrap());
    }
    assert!(
        backgrounds[0] > 200 && backgrounds[1] < 60,
        "{backgrounds:?}"
    );
}
