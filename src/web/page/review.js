// The review in a browser. Text is only ever set as text; the one HTML that is taken is a file's change, which the server escapes.
"use strict";

const $ = (id) => document.getElementById(id);
const SHOWN = 300; // files in the list at first, and each time more are asked for

// The token is in the address after `#`; it stays in this tab, and out of the history.
function takeToken() {
  const said = location.hash.slice(1);
  if (said) {
    sessionStorage.setItem("token", said);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token") || "";
}

const token = takeToken();
const app = { board: { tasks: [] }, review: null, file: 0, room: SHOWN, busy: new Set(), settled: null, opened: 0, outcomes: new Map(), asked: 0 };
let view = localStorage.getItem("pleach.view") === "split" ? "split" : "unified";

async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...options.headers };
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error([told.error || `it was answered with ${answer.status}`, told.hint && `hint: ${told.hint}`].filter(Boolean).join("\n"));
}

function element(name, props = {}, ...children) {
  const made = Object.assign(document.createElement(name), props);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function notice(text) {
  $("notice").textContent = text || "";
  $("notice").hidden = !text;
}

// ---- The board, live.

async function follow() {
  for (;;) {
    try {
      const answer = await call("api/events");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
        let end;
        while ((end = text.indexOf("\n\n")) >= 0) {
          const message = text.slice(0, end);
          text = text.slice(end + 2);
          if (message.startsWith("data: ")) take(JSON.parse(message.slice(6)));
        }
      }
      live("ended: `pleach review --web` starts it again", true);
    } catch (error) {
      live(error instanceof TypeError ? "not reached: has `pleach review --web` ended?" : error.message, true);
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

function live(text, off) {
  $("live").textContent = text;
  $("live").className = off ? "off" : "";
}

function take(board) {
  if (board.error) return live(board.error, true);
  app.board = board;
  live(board.paused ? "live; the queue is paused" : "live");
  $("repository").textContent = board.repository || "";
  document.title = `pleach review: ${board.repository || ""}`;
  drawTasks();
  const own = app.review && board.tasks.find((task) => task.id === app.review.task);
  if (own && own.is_open && own.attempt !== app.opened) notice(`Task ${own.id} has another result now, of attempt ${own.attempt}: open it anew.`);
}

const label = (task) => task.name || task.command;

// Rows stay the same elements while the board changes: a click or the focus must not be lost to news.
const rows = new Map();

function taskRow(task) {
  let row = rows.get(task.id);
  if (!row) {
    const [name, state] = [element("span", { className: "name" }), element("span")];
    const button = element("button", { type: "button" }, name, state);
    button.dataset.task = task.id;
    button.addEventListener("click", () => openTask(task.id));
    row = { item: element("li", {}, button), button, name, state };
    rows.set(task.id, row);
  }
  const state = [task.state.replace("_", " "), task.why].filter(Boolean).join(": ");
  const numbers = task.files ? `${task.files} file${task.files === 1 ? "" : "s"} +${task.insertions} −${task.deletions}` : "";
  row.name.textContent = `${task.id} ${label(task)}`;
  row.state.textContent = [state, numbers].filter(Boolean).join(" · ");
  row.state.className = `state ${task.state}`;
  row.button.title = task.line || task.command;
  row.button.setAttribute("aria-current", String(!!app.review && app.review.task === task.id));
  return row.item;
}

function fill(list, items) {
  const is = [...list.children];
  if (is.length !== items.length || items.some((item, at) => item !== is[at])) list.replaceChildren(...items);
}

const nothing = element("li", { textContent: "nothing waits", className: "note" });

function drawTasks() {
  const focused = document.activeElement;
  const open = app.board.tasks.filter((task) => task.is_open).map(taskRow);
  const others = app.board.tasks.filter((task) => !task.is_open).reverse().slice(0, 200).map(taskRow);
  fill($("open"), open.length ? open : [nothing]);
  fill($("others"), others);
  if (document.activeElement !== focused && focused.dataset && focused.dataset.task) focused.focus();
}

// ---- What is said, kept by the server until it is carried out: what `pleach review` on a terminal has, too.

const keyOf = (path) => JSON.stringify(path);

// What was said, from the sheet that is kept.
function loadDraft(review) {
  const kept = review.draft || {};
  const files = {};
  for (const file of kept.files || []) {
    const hunks = (file.hunks || []).filter((hunk) => hunk.verdict).map((hunk) => [hunk.id, hunk.verdict]);
    if (file.verdict || hunks.length) files[keyOf(file.path)] = { verdict: file.verdict || null, hunks: Object.fromEntries(hunks) };
  }
  const { verdict = null, says = "", message = "", comments = [] } = kept;
  return { verdict, rest: kept.others === "refuse", flagged: false, says, message, files, comments };
}

// One at a time and in order; of each result only the newest is sent.
const unkept = new Map();
let timer = 0;
let keeping = null;

function keep() {
  drawCount();
  if (app.settled === app.review.task) return;
  unkept.set(`${app.review.task}.${app.review.tip}`, sheet());
  $("kept").textContent = "\u2026";
  clearTimeout(timer);
  timer = setTimeout(flush, 200);
}

function flush() {
  clearTimeout(timer);
  keeping = keeping || send().finally(() => { keeping = null; });
  return keeping;
}

async function send() {
  for (const [key, said] of unkept) {
    unkept.delete(key);
    const body = JSON.stringify(said);
    try {
      // It arrives also where the page is closed meanwhile; a browser promises that of little text only.
      await call("api/draft", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: body.length < 16000 });
      $("kept").textContent = "kept";
    } catch (error) {
      if (!unkept.has(key)) unkept.set(key, said);
      $("kept").textContent = `not kept: ${error.message}`;
      return;
    }
  }
}

const said = (file) => app.draft.files[keyOf(file.path)] || { verdict: null, hunks: {} };

function say(file, change) {
  const now = said(file);
  app.draft.files[keyOf(file.path)] = { verdict: now.verdict, hunks: { ...now.hunks }, ...change };
  if (!app.draft.verdict) app.draft.verdict = "accept";
  keep();
  drawVerdict();
  drawList();
  decorate();
}

const otherwise = () => (app.draft.rest ? "refuse" : "accept");
const choiceOf = (file, hunk) => said(file).hunks[hunk] || said(file).verdict || otherwise();

function counted() {
  const count = { hunks: 0, taken: 0, files: 0, of: app.review.files.length };
  for (const file of app.review.files) {
    const hunks = file.hunks.length ? file.hunks : [null];
    const taken = hunks.filter((hunk) => choiceOf(file, hunk) === "accept").length;
    count.hunks += hunks.length;
    count.taken += taken;
    count.files += taken > 0 ? 1 : 0;
  }
  return count;
}

// The sheet, as `pleach review --apply` takes it.
function sheet() {
  const { draft, review } = app;
  const files = review.files.filter((file) => draft.files[keyOf(file.path)]).map((file) => ({
    path: file.path,
    verdict: said(file).verdict,
    hunks: Object.entries(said(file).hunks).map(([id, verdict]) => ({ id, verdict })),
  }));
  const made = { task: review.task, attempt: review.attempt, tip: review.tip, verdict: draft.verdict, files, comments: draft.comments };
  if (draft.rest) made.others = "refuse";
  if (draft.says.trim()) made.says = draft.says;
  if (draft.message.trim()) made.message = draft.message;
  return made;
}

// ---- One result.

async function openTask(id) {
  const asked = ++app.asked;
  notice("");
  $("main").setAttribute("aria-busy", "true");
  try {
    const review = await (await call(`api/review/${id}`)).json();
    if (asked !== app.asked) return;
    app.review = review;
    app.draft = loadDraft(review);
    app.settled = null;
    $("kept").textContent = review.draft ? "kept" : "";
    app.opened = app.board.tasks.find((task) => task.id === id)?.attempt;
    app.room = SHOWN;
    app.file = 0;
    drawReview();
  } catch (error) {
    if (asked !== app.asked) return;
    app.review = null;
    $("review").hidden = true;
    $("empty").hidden = false;
    notice(error.message);
  } finally {
    $("main").removeAttribute("aria-busy");
  }
  drawTasks();
}

function drawReview() {
  const { review } = app;
  $("empty").hidden = true;
  $("review").hidden = false;
  $("title").textContent = `Task ${review.task}${review.name ? ` ${review.name}` : ""}, attempt ${review.attempt}`;
  const sum = (key) => review.files.reduce((all, file) => all + file[key], 0);
  $("facts").textContent = `${review.files.length} file${review.files.length === 1 ? "" : "s"}, +${sum("insertions")} −${sum("deletions")}` +
    (review.target ? `, for ${review.target}` : "");
  $("command").textContent = review.command || "";
  $("summary").textContent = review.summary || "";
  $("flags").replaceChildren(...review.flags.map((flag) => element("li", { textContent: `flagged: ${flag}` })));
  document.querySelector(".flagged").hidden = review.flags.length === 0;
  $("filter").value = "";
  drawVerdict();
  drawOutcome();
  drawList();
  openFile(0);
}

function drawVerdict() {
  for (const radio of document.getElementsByName("verdict")) radio.checked = radio.value === app.draft.verdict;
  $("rest").checked = app.draft.rest;
  $("flagged").checked = app.draft.flagged;
  if ($("says").value !== app.draft.says) $("says").value = app.draft.says;
  if ($("message").value !== app.draft.message) $("message").value = app.draft.message;
  drawCount();
}

function drawCount() {
  const { draft } = app;
  const busy = app.busy.has(app.review.task);
  $("carry").disabled = busy || !draft.verdict || app.settled === app.review.task;
  const count = counted();
  $("message").hidden = draft.verdict !== "accept" || count.taken === count.hunks;
  const comments = draft.comments.length ? `; ${draft.comments.length} comment${draft.comments.length === 1 ? "" : "s"}` : "";
  const words = {
    accept: `accepts ${count.taken} of ${count.hunks} pieces in ${count.files} of ${count.of} files` + (app.board.folds ? ", and folds them" : ""),
    refuse: "the result is thrown away, and kept until it is freed",
    send_back: "the task runs again, and is told what you say",
  };
  $("count").textContent = busy ? "carrying out…" : app.settled === app.review.task ? "carried out" : (words[draft.verdict] || "nothing is said yet") + comments;
}

function drawOutcome() {
  const outcome = app.outcomes.get(app.review.task);
  $("outcome").textContent = outcome ? outcome.text : "";
  $("outcome").className = outcome ? outcome.kind : "";
}

async function carryOut() {
  const { review, draft } = app;
  const good = ["folded", "already_folded", "discarded", "pending", "ready", "nothing_to_fold"];
  app.busy.add(review.task);
  app.outcomes.delete(review.task);
  drawCount();
  drawOutcome();
  let outcome;
  try {
    // What is kept later than it was carried out would be there once more.
    await flush();
    const body = JSON.stringify({ reviews: [sheet()], accept_flags: draft.flagged });
    const answer = await call("api/apply", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const { done } = await answer.json();
    const kind = done.every((one) => good.includes(one.result)) ? "good" : "bad";
    outcome = { kind, text: done.map((one) => one.words.trim()).join("\n") };
    if (kind === "good" && app.review === review) {
      app.settled = review.task;
      $("kept").textContent = "";
    }
  } catch (error) {
    outcome = { kind: "bad", text: error.message };
  }
  app.busy.delete(review.task);
  app.outcomes.set(review.task, outcome);
  if (app.review && app.review.task === review.task) {
    drawCount();
    drawOutcome();
  }
}

// ---- The files.

function listed() {
  const wanted = $("filter").value.toLowerCase();
  const all = app.review.files.map((file, place) => ({ file, place }));
  return wanted ? all.filter(({ file }) => file.shown.toLowerCase().includes(wanted)) : all;
}

function glyph(file) {
  const hunks = file.hunks.length ? file.hunks : [null];
  const taken = hunks.filter((hunk) => choiceOf(file, hunk) === "accept").length;
  const isSaid = said(file).verdict || Object.keys(said(file).hunks).length;
  if (!isSaid && !app.draft.rest) return "";
  return taken === hunks.length ? "✓" : taken ? "◐" : "✗";
}

const words = { "✓": "accepted", "◐": "in part", "✗": "refused", "": "" };

function drawList() {
  const all = listed();
  const rows = [];
  let heading = null;
  for (const { file, place } of all.slice(0, app.room)) {
    const cut = file.shown.lastIndexOf("/");
    const dir = file.look_first ? "look at these first" : cut < 0 ? "./" : file.shown.slice(0, cut + 1);
    if (dir !== heading) rows.push(element("li", { className: "dir", textContent: dir }));
    heading = dir;
    const sign = glyph(file);
    const notes = app.draft.comments.filter((comment) => keyOf(comment.path) === keyOf(file.path)).length;
    const button = element("button", { type: "button", title: file.old ? `${file.old} → ${file.shown}` : file.shown },
      element("span", { className: "said", textContent: sign ? `${sign} ` : "" }),
      `${file.mark} ${file.look_first ? file.shown : file.shown.slice(cut + 1)} `,
      element("span", { className: "numbers", textContent: `+${file.insertions} −${file.deletions}${notes ? ` ✎${notes}` : ""}` }),
      file.look_first ? element("span", { className: "why", textContent: file.look_first }) : null);
    button.dataset.place = place;
    button.setAttribute("aria-current", String(place === app.file));
    button.setAttribute("aria-label", [file.change, file.shown, file.look_first, words[sign], `${file.insertions} lines added, ${file.deletions} removed`].filter(Boolean).join(", "));
    button.addEventListener("click", () => openFile(place));
    rows.push(element("li", {}, button));
  }
  $("list").replaceChildren(...rows);
  const left = all.length - app.room;
  $("more").hidden = left <= 0;
  $("more").textContent = `Show more: ${left} files are left`;
}

const fileAddress = (place, from) => {
  const { task, tip } = app.review;
  return `api/review/${task}/${tip}/${place}?view=${view}&from=${from}`;
};

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.querySelector("table");
}

async function openFile(place) {
  const file = app.review.files[place];
  app.file = place;
  const asked = ++app.asked;
  $("view").textContent = view === "split" ? "Unified" : "Side by side";
  for (const button of $("list").querySelectorAll("button")) button.setAttribute("aria-current", String(Number(button.dataset.place) === place));
  if (!file) {
    $("change").hidden = true;
    return;
  }
  $("change").hidden = false;
  $("path").textContent = file.old ? `${file.old} → ${file.shown}` : file.shown;
  $("about").textContent = [file.change, file.modes, file.look_first && `look: ${file.look_first}`, file.unread].filter(Boolean).join("; ");
  $("diff").replaceChildren();
  if (file.hunks.length) {
    $("diff").textContent = "…";
    try {
      const table = parsed(await (await call(fileAddress(place, 0))).text());
      if (asked !== app.asked) return;
      $("diff").replaceChildren(table);
    } catch (error) {
      if (asked !== app.asked) return;
      $("diff").textContent = error.message;
    }
  } else if (!file.unread) {
    $("diff").textContent = "there are no lines to show";
  }
  $("diff").dataset.place = place;
  decorate();
}

async function more(button) {
  const place = app.file;
  button.disabled = true;
  try {
    const table = parsed(await (await call(fileAddress(place, button.dataset.from))).text());
    if (place !== app.file) return;
    button.closest("tbody").replaceWith(...table.tBodies);
    decorate();
  } catch (error) {
    button.disabled = false;
    button.textContent = error.message;
  }
}

// Choices and comments, onto what is drawn.
function decorate() {
  const file = app.review.files[app.file];
  if (!file) return;
  const press = (group, choice) => {
    for (const button of group.querySelectorAll("[data-choice]")) button.setAttribute("aria-pressed", String(button.dataset.choice === choice));
  };
  press($("whole"), said(file).verdict);
  for (const hunk of $("diff").querySelectorAll("tbody.hunk")) {
    press(hunk, said(file).hunks[hunk.dataset.hunk]);
    hunk.classList.toggle("refused", choiceOf(file, hunk.dataset.hunk) === "refuse");
  }
  for (const old of document.querySelectorAll(".remarked")) old.remove();
  const paths = [keyOf(file.path), keyOf(file.old_path)];
  app.draft.comments.forEach((comment, index) => {
    if (paths.includes(keyOf(comment.path))) place(commentBox(comment, index), comment.line, comment.side || "new", "remarked");
  });
}

function lineButton(line, side) {
  return $("diff").querySelector(`button[data-side="${side}"][data-line="${line}"]`);
}

// Put something below a line, or above all for the whole file.
function place(what, line, side, name) {
  const button = line && lineButton(line, side);
  if (!button) {
    what.classList.add(name);
    $("remarks").append(what);
    return;
  }
  const row = button.closest("tr");
  const cell = element("td", { colSpan: row.closest("table").classList.contains("split") ? 4 : 3 }, what);
  let after = row;
  while (after.nextElementSibling && after.nextElementSibling.classList.contains("below")) after = after.nextElementSibling;
  after.after(element("tr", { className: `below ${name}` }, cell));
}

function commentBox(comment, index) {
  const where = comment.line ? `line ${comment.line}${comment.side === "old" ? " before" : ""}: ` : "whole file: ";
  const box = element("div", { className: "comment" }, where, comment.text);
  const drop = element("button", { type: "button", textContent: "Remove" });
  drop.setAttribute("aria-label", `remove the comment on ${where.slice(0, -2)}`);
  drop.addEventListener("click", () => {
    app.draft.comments.splice(index, 1);
    keep();
    drawList();
    decorate();
  });
  box.append(drop);
  return box;
}

function edit(line, side) {
  for (const open of document.querySelectorAll(".editing")) open.remove();
  const file = app.review.files[app.file];
  const area = element("textarea", { rows: 3 });
  area.setAttribute("aria-label", line ? `comment on line ${line}` : "comment on the file");
  const close = () => {
    for (const open of document.querySelectorAll(".editing")) open.remove();
    (line && lineButton(line, side))?.focus();
  };
  const save = () => {
    const text = area.value.trim();
    if (text) {
      const comment = { path: side === "old" && file.old_path ? file.old_path : file.path, text };
      if (line) comment.line = line;
      if (side === "old") comment.side = "old";
      app.draft.comments.push(comment);
      keep();
    }
    close();
    drawList();
    decorate();
  };
  const ok = element("button", { type: "button", textContent: "Keep" });
  ok.addEventListener("click", save);
  const cancel = element("button", { type: "button", textContent: "Cancel" });
  cancel.addEventListener("click", close);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  place(element("div", { className: "editor" }, area, ok, cancel), line, side, "editing");
  area.focus();
}

// ---- What is clicked and typed.

const toggled = (now, choice) => (now === choice ? null : choice);

function chooseHunk(id, choice) {
  const file = app.review.files[app.file];
  const hunks = { ...said(file).hunks, [id]: toggled(said(file).hunks[id], choice) };
  if (!hunks[id]) delete hunks[id];
  say(file, { hunks });
}

function chooseFile(choice) {
  const file = app.review.files[app.file];
  if (file) say(file, { verdict: toggled(said(file).verdict, choice), hunks: {} });
}

$("diff").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.choice) chooseHunk(button.closest("tbody").dataset.hunk, button.dataset.choice);
  else if (button.dataset.from) more(button);
  else if (button.dataset.line) edit(Number(button.dataset.line), button.dataset.side);
});
$("whole").addEventListener("click", (event) => event.target.dataset.choice && chooseFile(event.target.dataset.choice));
$("remark").addEventListener("click", () => edit(null, "new"));
$("view").addEventListener("click", switchView);
$("more").addEventListener("click", () => { app.room += SHOWN; drawList(); });
$("filter").addEventListener("input", () => { app.room = SHOWN; drawList(); });
$("verdict").addEventListener("submit", (event) => { event.preventDefault(); carryOut(); });
$("verdict").addEventListener("input", () => {
  const chosen = [...document.getElementsByName("verdict")].find((radio) => radio.checked);
  Object.assign(app.draft, { verdict: chosen ? chosen.value : null, rest: $("rest").checked, flagged: $("flagged").checked });
  Object.assign(app.draft, { says: $("says").value, message: $("message").value });
  keep();
  drawList();
  decorate();
});

function switchView() {
  view = view === "split" ? "unified" : "split";
  localStorage.setItem("pleach.view", view);
  if (app.review) openFile(app.file);
}

function step(by) {
  const all = listed();
  const at = all.findIndex(({ place }) => place === app.file);
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  if (next) openFile(next.place);
}

function stepHunk(by) {
  const heads = [...$("diff").querySelectorAll(".at")];
  const now = document.activeElement.closest?.("tbody.hunk");
  const at = heads.findIndex((head) => head.closest("tbody") === now);
  heads[at < 0 ? (by > 0 ? 0 : heads.length - 1) : Math.min(Math.max(at + by, 0), heads.length - 1)]?.focus();
}

function stepLine(by) {
  const lines = [...$("diff").querySelectorAll("button[data-line]")];
  const at = lines.indexOf(document.activeElement);
  const row = document.activeElement.closest?.("tr");
  let next = at + by;
  while (at >= 0 && lines[next] && lines[next].closest("tr") === row) next += by;
  (at < 0 ? lines[0] : lines[next])?.focus();
}

function stepTask(by) {
  const open = app.board.tasks.filter((task) => task.is_open);
  const at = open.findIndex((task) => app.review && task.id === app.review.task);
  const next = open[at < 0 ? 0 : at + by];
  if (next) openTask(next.id);
}

function choose(choice, isFile) {
  const hunk = document.activeElement.closest?.("tbody.hunk");
  if (!isFile && hunk) chooseHunk(hunk.dataset.hunk, choice);
  else chooseFile(choice);
}

const keys = {
  j: () => step(1), k: () => step(-1), n: () => stepHunk(1), p: () => stepHunk(-1),
  a: () => choose("accept"), x: () => choose("refuse"), A: () => choose("accept", true), X: () => choose("refuse", true),
  ArrowDown: () => stepLine(1), ArrowUp: () => stepLine(-1), s: switchView, "/": () => $("filter").focus(),
  c: () => {
    const { line, side } = document.activeElement.dataset || {};
    edit(line ? Number(line) : null, side || "new");
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, dialog")) return;
  if (event.key === "?") $("help").showModal();
  else if (event.key === "]" || event.key === "[") stepTask(event.key === "]" ? 1 : -1);
  else if (keys[event.key] && app.review && (!event.key.startsWith("Arrow") || event.target.closest("#diff"))) keys[event.key]();
  else return;
  event.preventDefault();
});

addEventListener("pagehide", () => { if (unkept.size) flush(); });

if (token) follow();
else live("open the address that `pleach review --web` printed: the token is in it", true);
