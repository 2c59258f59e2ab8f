//! A review from beginning to end, in a real browser.

use std::fs;

use super::super::reviewed;
use super::Served;
use super::driver::Browser;
use crate::support::cli::{at_top, task};
use crate::support::scene::Scene;

/// Open a task, and wait until its first file is there.
fn open(browser: &Browser, id: u64) {
    browser.click(&format!("[data-task='{id}']"));
    browser.until(&format!("document.querySelector('#title')?.innerText.startsWith('Task {id},')"));
    browser.until("document.querySelector('#diff')?.dataset.place === '0'");
}

fn open_file(browser: &Browser, place: usize) {
    browser.click(&format!("#list button[data-place='{place}']"));
    browser.until(&format!("document.querySelector('#diff').dataset.place === '{place}'"));
}

/// Carry out what is said; what came of it.
fn carry_out(browser: &Browser) -> String {
    browser.click("#carry");
    browser.until("document.querySelector('#outcome').innerText");
    browser.text("#outcome")
}

#[test]
fn a_hunk_is_accepted_another_is_refused_and_a_line_gets_a_comment() {
    let Some(browser) = Browser::start() else { return };
    let (scene, id) = reviewed();
    let other = task(&scene, "echo nobody wants this > unwanted");
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    open(&browser, id);
    assert_eq!(browser.eval("return location.hash"), "", "the token is not left in the address");
    assert!(browser.text("#list button[data-place='0']").contains("a CI service runs it"));
    open_file(&browser, 1);
    assert_eq!(browser.eval("return document.querySelectorAll('tbody.hunk').length"), 3);
    assert_eq!(browser.text("tr.removed b, tr.removed .code"), "-2");
    browser.click("tbody[data-hunk='mode'] [data-choice=refuse]");
    browser.click("tbody[data-hunk='-1,5 +1,5'] [data-choice=refuse]");
    browser.click("tbody[data-hunk='-27,7 +27,7'] [data-choice=accept]");
    browser.click("button[data-side=new][data-line='30']");
    browser.write(".editing textarea", "spelt like this?");
    browser.click(".editing button");
    browser.write("#message", "only thirty");
    // By keys: the next file is refused, and looked at side by side.
    browser.eval("document.activeElement.blur()");
    browser.keys("jXs");
    browser.until("document.querySelector('#diff').dataset.place === '2' && document.querySelector('table.split')");
    assert!(browser.text("#count").starts_with("accepts 3 of 6 pieces in 3 of 4 files"), "{}", browser.text("#count"));
    // What was said is kept where the review on a terminal keeps it: it outlives the page, the browser and the server.
    browser.until("document.querySelector('#kept').innerText === 'kept'");
    drop((browser, served));
    let sheet = super::super::sheet(&scene, id);
    assert_eq!((&sheet["verdict"], &sheet["message"]), (&"accept".into(), &"only thirty".into()));
    assert_eq!(sheet["comments"][0]["text"], "spelt like this?");
    assert_eq!(sheet["files"][2]["verdict"], "refuse");
    let Some(browser) = Browser::start() else { return };
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    open(&browser, id);
    // The file that comes first is YAML: it has colours, by classes, for styles in a document are forbidden.
    let colour = "return getComputedStyle(document.querySelector('#diff [class^=ink-]')).color";
    assert_ne!(
        browser.eval(colour),
        browser.eval("return getComputedStyle(document.querySelector('#diff td.code')).color")
    );
    open_file(&browser, 1);
    assert_eq!(browser.text("tr.below .comment"), "line 30: spelt like this?Remove");
    let pressed =
        "return [...document.querySelectorAll('[aria-pressed=true][data-choice]')].map((b) => b.dataset.choice).join()";
    assert_eq!(browser.eval(pressed), "refuse,refuse,accept");
    let outcome = carry_out(&browser);
    assert!(outcome.contains("reaches no task") && outcome.contains("a:30: spelt like this?"), "{outcome}");
    assert_eq!(browser.text("#kept"), "", "it was carried out");
    assert!(
        outcome.contains(&format!("the accepted part is attempt {id}.2")) && outcome.contains("folded into main"),
        "{outcome}"
    );
    browser.until(&format!("document.querySelector('#others [data-task=\"{id}\"] .folded')"));
    let a: String = (1..=40).map(|n| if n == 30 { "thirty\n".to_owned() } else { format!("{n}\n") }).collect();
    assert_eq!((scene.read("a"), scene.read("b"), scene.read("c")), (a, "b\n".to_owned(), "new\n".to_owned()));
    assert!(scene.git(&["ls-tree", "HEAD", "a"]).starts_with("100644"));
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "HEAD^2"]), "only thirty");
    open(&browser, other);
    browser.click("input[value=refuse]");
    assert!(carry_out(&browser).contains("discarded"));
    assert_eq!(scene.stands(other), "discarded");
}

#[test]
fn a_task_that_ends_appears_and_can_be_sent_back() {
    let Some(browser) = Browser::start() else { return };
    let scene = Scene::new();
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    browser.until("document.querySelector('#live').innerText === 'live'");
    let gate = scene.path("gate");
    let line = format!(
        "until [ -e '{}' ]; do sleep 0.02; done; cp \"$PLEACH_HANDBACK\"/handback.md told 2>/dev/null || echo first > told",
        gate.display()
    );
    let id = scene.add(&[], &line);
    browser.until(&format!("document.querySelector('#others [data-task=\"{id}\"] .running')"));
    fs::write(&gate, "").unwrap();
    browser.until(&format!("document.querySelector('#open [data-task=\"{id}\"] .ready')"));
    open(&browser, id);
    browser.click("#remark");
    browser.write(".editing textarea", "say it louder");
    browser.click(".editing button");
    browser.click("input[value=send_back]");
    assert!(carry_out(&browser).contains("runs again"));
    scene.ok(&["wait", &id.to_string()]);
    assert!(scene.ok(&["diff", &id.to_string()]).contains("say it louder"));
    browser.until(&format!("document.querySelector('#open [data-task=\"{id}\"] .ready')"));
    // The server goes: the page says so.
    drop(served);
    browser.until("document.querySelector('#live').className === 'off'");
}

/// `docs/pictures/web` asks for this; without the directory it draws nothing.
#[test]
fn pictures_for_the_documents() {
    let Some(dir) = std::env::var_os("PLEACH_TEST_PICTURES") else { return };
    let Some(browser) = Browser::start() else { return };
    let scene = Scene::new();
    let code = |names: [&str; 3]| {
        let [one, two, three] = names;
        format!(
            "pub fn {one}(items: &[Item]) -> u64 {{\n    let mut sum = 0;\n    for item in items {{\n        sum += item.price;\n    }}\n    sum\n}}\n\n\
             pub fn {two}(name: &str) -> String {{\n    format!(\"hello {{name}}\")\n}}\n\n// More of the shop.\n//\n//\n//\n\
             pub fn {three}(items: &[Item]) -> usize {{\n    items.len()\n}}\n"
        )
    };
    scene.write("src/shop.rs", code(["total", "greet", "count"]));
    scene.write(".github/workflows/ci.yml", "on: push\njobs:\n  test:\n    runs-on: ubuntu-24.04\n");
    at_top(&scene, "git add -A; git commit -qm shop");
    let steps = "sed -i 's/sum += item.price;/sum += item.price * u64::from(item.amount);/; s/hello {name}/welcome, {name}/' src/shop.rs; \
                 sed -i 's/push/[push, pull_request]/' .github/workflows/ci.yml; echo '# The shop' > docs.md; \
                 pleach summary 'Count amounts, and greet better.'";
    let id: u64 = scene.ok(&["add", "--name", "amounts", "--", steps]).parse().unwrap();
    scene.ok(&["wait"]);
    let id2 = task(&scene, "sed -i 's/items.len()/items.iter().filter(|item| item.amount > 0).count()/' src/shop.rs");
    scene.ok(&["merge", &id2.to_string()]);
    scene.add(&["--name", "docs"], "echo more > docs2.md");
    scene.ok(&["wait"]);
    let served = Served::new(&scene, &[]);
    browser.go(&served.address);
    browser.click(&format!("[data-task='{id}']"));
    browser.until("document.querySelector('#diff')?.dataset.place === '0'");
    let place = browser.eval("return [...document.querySelectorAll('#list button')].find((b) => b.innerText.includes('shop.rs')).dataset.place");
    open_file(&browser, place.as_str().unwrap().parse().unwrap());
    browser.click("tbody.hunk [data-choice=accept]");
    browser.click("button[data-side=new][data-line='4']");
    browser.write(".editing textarea", "can this overflow?");
    browser.click(".editing button");
    for scheme in ["light", "dark"] {
        browser.eval("document.activeElement.blur(); scrollTo(0, 0)");
        let picture = browser.picture(scheme);
        fs::write(std::path::Path::new(&dir).join(format!("review-web-{scheme}.png.base64")), picture).unwrap();
    }
}
