"use strict";
// Rows of a manifest to accept or reject. The row with the focus asks for its title, length and picture.
let rows = [];
let chosen = 0;
let undone = [];
let redone = [];
const body = document.querySelector("#candidates tbody");
const filter = byId("filter-state");
const details = new Map();
const shown = () => rows.filter(row => filter.value === "" || (filter.value === "left" ? !row.decision : row.decision === filter.value));
const values = row => ({ decision: row.decision, reason: row.reason, kind: row.kind, letters: row.letters, language: row.language });
const length = seconds => (seconds ? `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, "0")}` : "");

function progress(value) {
  byId("progress").textContent = `${value.all} candidates: ${value.accepted} accepted, ${value.rejected} rejected, ${value.left} left`;
}

function draw() {
  const list = shown();
  chosen = Math.min(Math.max(chosen, 0), Math.max(list.length - 1, 0));
  body.replaceChildren(...list.map((row, index) => {
    const found = details.get(row.video_id);
    const picture = found?.thumbnail ? make("img", { className: "thumb", alt: "", src: `${base}/thumbnail/${row.video_id}` }) : make("div", { className: "thumb" });
    const title = row.title || found?.title || row.video_id;
    const name = row.url ? make("a", { href: row.url, target: "_blank", rel: "noreferrer noopener", textContent: title }) : make("span", { textContent: title });
    const about = [row.channel || found?.channel, row.note, found?.state === "failed" ? `not available: ${found.text}` : found?.text].filter(Boolean).join(" · ");
    const kind = make("select", { "aria-label": `kind of ${title}` }, ...["alphabet", "letter", "range"].map(one => new Option(one, one)));
    kind.value = row.kind;
    const letters = make("input", { value: row.letters, size: 10, maxLength: 26, "aria-label": `letters of ${title}` });
    const language = make("input", { value: row.language, size: 5, maxLength: 40, "aria-label": `language of ${title}` });
    const reason = make("input", { value: row.reason, size: 14, maxLength: 200, "aria-label": `reason to reject ${title}`, placeholder: "reason" });
    reason.setAttribute("list", "reasons");
    reason.addEventListener("keydown", event => { if (event.key === "Enter") { event.preventDefault(); decide(row, { decision: "reject", reason: reason.value.trim() }); } });
    for (const [field, input] of [["kind", kind], ["letters", letters], ["language", language]]) {
      input.addEventListener("change", () => decide(row, { [field]: field === "letters" ? input.value.trim().toUpperCase() : input.value.trim() }, false));
    }
    const accept = make("button", { type: "button", textContent: "Accept", "aria-pressed": String(row.decision === "accept") });
    accept.addEventListener("click", () => decide(row, { decision: "accept", reason: "" }));
    const reject = make("button", { type: "button", textContent: "Reject", "aria-pressed": String(row.decision === "reject") });
    reject.addEventListener("click", () => { if (reason.value.trim()) decide(row, { decision: "reject", reason: reason.value.trim() }); else { reason.focus(); say("Give a reason, then press Enter."); } });
    const line = make("tr", { tabIndex: 0, className: row.decision === "reject" ? "rejected" : "", "aria-label": `${title}, ${row.decision || "left"}` },
      make("td", {}, picture), make("td", {}, name, make("div", { textContent: about })), make("td", { className: "n", textContent: length(row.seconds ?? found?.seconds) }),
      make("td", {}, kind), make("td", {}, letters), make("td", {}, language), make("td", {}, accept, " ", reject, " ", reason));
    if (index === chosen) line.setAttribute("aria-current", "true");
    line.addEventListener("focus", () => { if (chosen !== index) { body.children[chosen]?.removeAttribute("aria-current"); chosen = index; line.setAttribute("aria-current", "true"); } ask(row); });
    return line;
  }));
}

function redraw() {
  const had = body.contains(document.activeElement) && document.activeElement.tagName === "TR";
  const isEditing = isTyping(document.activeElement);
  if (isEditing) return;
  draw();
  if (had) body.children[chosen]?.focus();
}

async function ask(row) {
  const known = details.get(row.video_id);
  if (known && known.state !== "waiting") return;
  if (known?.asking) return;
  details.set(row.video_id, { state: "waiting", asking: true });
  try {
    const found = await request(`/api/candidates/${row.video_id}/details`, "POST", {});
    details.set(row.video_id, found);
    if (found.state === "waiting") setTimeout(() => ask(row), 1000);
    else redraw();
  } catch (error) { details.delete(row.video_id); say(error.message, true); }
}

async function decide(row, changes, isNext = true) {
  const before = values(row);
  if (await send(row, { ...before, ...changes })) {
    undone.push({ video_id: row.video_id, before, after: values(row) });
    redone = [];
    if (isNext && filter.value === "") chosen += 1;
    draw();
    body.children[chosen]?.focus();
  }
}

async function send(row, wanted) {
  try {
    const found = await request(`/api/candidates/${row.video_id}`, "PUT", { ...wanted, revision: row.revision, reviewer: reviewer() });
    Object.assign(row, found.row);
    progress(found.progress);
    say("Saved.");
    return true;
  } catch (error) {
    if (error.status === 409) { Object.assign(row, error.value.current); draw(); say("Another page or person decided on this video; their decision is shown. Decide again to change it.", true); }
    else say(error.status ? `Not saved: ${error.message}` : "Not saved: the server does not answer. Try again when it is back.", true);
    return false;
  }
}

async function travel(from, to, side) {
  const entry = from.pop();
  if (!entry) { say("Nothing to undo or redo."); return; }
  const row = rows.find(one => one.video_id === entry.video_id);
  if (await send(row, entry[side])) {
    to.push(entry);
    draw();
    chosen = Math.max(shown().indexOf(row), 0);
    body.children[chosen]?.focus();
  } else from.push(entry);
}

const current = () => shown()[chosen];
function go(step) { chosen = Math.min(Math.max(chosen + step, 0), shown().length - 1); draw(); body.children[chosen]?.focus(); }
useKeys({
  n: ["next candidate", () => go(1)],
  p: ["previous candidate", () => go(-1)],
  y: ["accept", () => { if (current()) decide(current(), { decision: "accept", reason: "" }); }],
  x: ["reject: type the reason, Enter saves it", () => body.children[chosen]?.querySelector("input[list]").focus()],
  k: ["kind", () => body.children[chosen]?.querySelector("select").focus()],
  l: ["letters", () => body.children[chosen]?.querySelectorAll("input")[0].focus()],
  o: ["open the video's page in a new tab", () => body.children[chosen]?.querySelector("a")?.click()],
  c: ["clear the decision", () => { if (current()) decide(current(), { decision: "", reason: "" }, false); }],
  u: ["undo (also Ctrl+Z)", () => travel(undone, redone, "before")],
  r: ["redo (also Ctrl+Y)", () => travel(redone, undone, "after")],
});
filter.addEventListener("change", () => { chosen = 0; draw(); body.children[0]?.focus(); });
async function load() {
  try {
    const found = await request("/api/candidates");
    rows = found.rows;
    progress(found.progress);
    chosen = Math.max(shown().findIndex(row => !row.decision), 0);
    draw();
    body.children[chosen]?.focus();
    document.body.dataset.ready = "yes";
  } catch (error) { say(error.message, true); }
}
addEventListener("pageshow", load);
