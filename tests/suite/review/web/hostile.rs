//! What a task can leave to hurt or to tire whoever reads it, in a real browser.

use serde_json::json;

use super::Served;
use super::driver::Browser;
use crate::support::cli::{at_top, task};
use crate::support::scene::Scene;

/// Every file of a task, opened one after another: its heading, what is told of it, and its lines.
fn all(browser: &Browser, id: u64) -> String {
    browser.click(&format!("[data-task='{id}']"));
    browser.until("document.querySelector('#diff')?.dataset.place === '0'");
    let count = browser.eval("return document.querySelectorAll('#list button').length").as_u64().unwrap();
    let mut seen = String::new();
    for place in 0..count {
        browser.click(&format!("#list button[data-place='{place}']"));
        browser.until(&format!("document.querySelector('#diff').dataset.place === '{place}'"));
        seen += &browser.text("#change");
        seen.push('\n');
    }
    seen
}

#[test]
fn nothing_that_a_task_left_acts_or_hides() {
    let Some(browser) = Browser::start() else { return };
    let scene = Scene::new();
    at_top(&scene, "seq 1 30 > moved; echo x > turns; ln -s old-place link; git add -A; git commit -qm base");
    let pwn = "<img src=x onerror=\\\"window.pwned=1\\\"><script>window.pwned=1</script>";
    let script = format!(
        r#"printf '%s\n' "{pwn}" > page.html
printf 'a\342\200\256b\342\200\213c\033[31mred\033[0m\377\n' > odd
printf 'x' > "<img src=x onerror=window.pwned=1>"
printf 'x' > "$(printf 'na\342\200\256me\033[31m')"
printf '\000\001' > binary
chmod +x turns; ln -sfn ../new-place link
git mv moved "new name"; sed -i 's/^30$/thirty/' "new name"
pleach summary "{pwn}"; git add -A; git commit -qm "{pwn}""#
    );
    let id = task(&scene, &script);
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    let seen = all(&browser, id);
    for part in [
        "<script>window.pwned=1</script>",
        "a\\u{202e}b\\u{200b}c\\u{1b}[31mred\\u{1b}[0m\\xff",
        "<img src=x onerror=window.pwned=1>",
        "na\\u{202e}me\\u{1b}[31m",
        "it is no text: 0 bytes before, 2 after",
        "mode 100644 \u{2192} 100755",
        "it was a symbolic link to old-place and is a symbolic link to ../new-place",
        "moved \u{2192} new name",
        "thirty",
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains(['\u{202e}', '\u{200b}', '\u{1b}']), "{seen}");
    assert_eq!(browser.eval("return typeof window.pwned"), "undefined");
    assert_eq!(
        browser.eval("return document.querySelectorAll('img, script:not([src=\"review.js\"]), iframe').length"),
        0
    );
    assert!(browser.text("#summary").contains("<script>") && browser.text("#command").contains("<script>"));
    // A script that got in all the same would not run.
    let tried = "const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s); return typeof window.pwned";
    assert_eq!(browser.eval(tried), "undefined");
    // Names that are no plain text are said back as they are.
    browser.eval("document.querySelector('#rest').click()");
    browser.until("document.querySelector('#rest').checked");
    let place = browser.eval(
        "return [...document.querySelectorAll('#list button')].find((b) => b.title.includes('202e')).dataset.place",
    );
    browser.click(&format!("#list button[data-place='{}']", place.as_str().unwrap()));
    browser.click("#whole [data-choice=accept]");
    browser.click("#carry");
    browser.until("document.querySelector('#outcome').innerText");
    assert!(browser.text("#outcome").contains("folded into main"), "{}", browser.text("#outcome"));
    assert!(scene.git(&["ls-tree", "--name-only", "HEAD"]).contains("na\\342\\200\\256me\\033[31m"));
}

#[test]
fn ten_thousand_files_and_a_hundred_megabytes_can_be_looked_at() {
    let Some(browser) = Browser::start() else { return };
    let scene = Scene::new();
    let id = task(
        &scene,
        "mkdir many large; (cd many && seq 1 10000 | split -l 1 -a 4 - f); \
         for n in 1 2 3 4 5 6 7 8 9 10 11 12 13; do \
         yes 'eighty letters and a number make one line of this, and there are many of these 1' | head -c 8000000 > large/$n; done; \
         yes 'this one is larger than anybody reads' | head -c 9000000 > large/whole",
    );
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    browser.click(&format!("[data-task='{id}']"));
    browser.until("document.querySelector('#facts').innerText.startsWith('10014 files')");
    assert_eq!(browser.eval("return document.querySelectorAll('#list button').length"), json!(300));
    browser.click("#more");
    browser.until("document.querySelectorAll('#list button').length === 600");
    browser.write("#filter", "large/1");
    browser.until("document.querySelectorAll('#list button').length === 5");
    browser.click("#list button[aria-label*='large/13']");
    browser.until("document.querySelectorAll('tr.line').length === 2000");
    browser.click("button[data-from]");
    browser.until("document.querySelectorAll('tr.line').length === 4000");
    assert_eq!(browser.eval("return document.querySelectorAll('tbody.hunk .head').length"), json!(1));
    browser.eval("document.querySelector('#filter').value = ''");
    browser.write("#filter", "large/w");
    browser.until("document.querySelectorAll('#list button').length === 1");
    browser.click("#list button");
    browser.until(
        "document.querySelector('#about').innerText.includes('too large to be shown: 0 bytes before, 9000000 after')",
    );
    browser.eval("document.querySelector('#filter').value = ''");
    browser.write("#filter", "many/fzz");
    browser.until("document.querySelector('#filter').value === 'many/fzz'");
}
