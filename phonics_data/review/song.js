"use strict";
// The song view. The state is changed here, kept in the browser while it is not saved, and saved after each change.
const videoId = document.body.dataset.video;
const path = `/api/song/${encodeURIComponent(videoId)}`;
const tab = sessionStorage.getItem("review:tab") ?? Math.random().toString(36).slice(2);
sessionStorage.setItem("review:tab", tab);
const unsavedPrefix = `review:unsaved:${base}:${videoId}:`;
const historyKey = `review:history:${base}:${videoId}`;
const video = byId("video");
const canvas = byId("timeline");
const MAX_HISTORY = 100;

let song = null;
let evidence = { peaks: [], cuts: [], words: [], screen: [] };
let state = { segments: [], dropped: [], complete: false };
let revision = "";
let chosen = -1;
let edge = "start";
let position = 0;
let range = null;
let looping = false;
let view = { start: 0, span: 20 };
let undone = [];
let redone = [];
let saving = false;
let unsaved = false;
let theirs = null;

const ms = seconds => Math.round(seconds * 1000) / 1000;
const toFrame = seconds => ms(Math.round(seconds * song.rate) / song.rate);
const copy = value => JSON.parse(JSON.stringify(value));
const selected = () => state.segments[chosen];
const clean = value => ({ segments: value.segments, dropped: value.dropped, complete: value.complete });
const same = (one, other) => JSON.stringify(clean(one)) === JSON.stringify(clean(other));

// --- saving -------------------------------------------------------------------------------------------------------

function keep() {
  if (unsaved) kept.write(unsavedPrefix + tab, { revision, state: clean(state), at: Date.now() });
  else kept.remove(unsavedPrefix + tab);
  try { sessionStorage.setItem(historyKey, JSON.stringify({ revision, undone, redone })); } catch { undone = undone.slice(-10); }
}

async function save() {
  if (saving || theirs) return;
  saving = true;
  const sent = copy(clean(state));
  let wait = -1;
  try {
    const saved = await request(path, "PUT", { ...sent, revision, reviewer: reviewer() });
    revision = saved.revision;
    unsaved = !same(sent, state);
    if (unsaved) wait = 0;
    else say("Saved.");
    keep();
  } catch (error) {
    if (error.status === 409) conflict(error.value.current);
    else if (error.status >= 400 && error.status < 500) say(`Not saved: ${error.message}`, true);
    else { say(`${error.status ? error.message : "Not saved yet: the server does not answer. The changes are kept in this browser."}`, true); wait = 1500; }
  } finally { saving = false; }
  if (wait >= 0) setTimeout(save, wait);
}

function conflict(current) {
  if (same(current, state)) { revision = current.revision; unsaved = false; keep(); say("Saved."); return; }
  theirs = current;
  byId("conflict").hidden = false;
  say("Not saved: this video changed elsewhere.", true);
  byId("take-theirs").focus();
}

byId("take-theirs").addEventListener("click", () => {
  remember();
  state = copy(clean(theirs));
  ({ revision } = theirs);
  endConflict(false);
});
byId("keep-mine").addEventListener("click", () => { ({ revision } = theirs); endConflict(true); });
function endConflict(isUnsaved) {
  theirs = null;
  byId("conflict").hidden = true;
  unsaved = isUnsaved;
  keep();
  select(Math.min(Math.max(chosen, 0), state.segments.length - 1));
  if (isUnsaved) save();
}

// --- changes ------------------------------------------------------------------------------------------------------

function remember() {
  undone.push(copy({ ...clean(state), chosen }));
  undone = undone.slice(-MAX_HISTORY);
  redone = [];
}

// Runs `action`, which changes the state; `action` returns the segment to select.
function change(text, action) {
  remember();
  const target = action() ?? selected();
  state.segments.sort((one, other) => one.start - other.start || one.end - other.end);
  finish(text, state.segments.indexOf(target));
}

function finish(text, index) {
  unsaved = true;
  keep();
  say(text);
  select(Math.min(Math.max(index, 0), state.segments.length - 1));
  save();
}

function travel(from, to, text) {
  const entry = from.pop();
  if (!entry) { say("Nothing to undo or redo."); return; }
  to.push(copy({ ...clean(state), chosen }));
  state = copy(clean(entry));
  finish(text, entry.chosen);
}

function decide(segment, changes) {
  Object.assign(segment, changes, { decided: true, confidence: 1, evidence: "review" });
  return segment;
}

function isFree(start, except) {
  return !state.segments.some(one => one !== except && ms(one.start) === ms(start));
}

function setTimes(segment, start, end) {
  [start, end] = [ms(Math.max(0, start)), ms(Math.min(end, song.duration))];
  if (!(start < end)) { say("The end must be after the start.", true); return false; }
  if (!isFree(start, segment)) { say("Another segment starts there.", true); return false; }
  if (start === segment.start && end === segment.end) return false;
  change(`${segment.letter}: ${start.toFixed(3)} to ${end.toFixed(3)} s.`, () => decide(segment, { start, end }));
  return true;
}

function moveEdge(step) {
  const segment = selected();
  if (!segment) return;
  const time = toFrame(segment[edge] + step / song.rate);
  if (edge === "start" ? setTimes(segment, time, segment.end) : setTimes(segment, segment.start, time)) seek(time);
}

function snapPoints() {
  const points = [...evidence.cuts];
  for (const [, start, end] of evidence.words) points.push(start, end);
  for (const [, start, end] of evidence.screen) points.push(start, end);
  return [...new Set(points.map(toFrame))].sort((one, other) => one - other);
}

function snapEdge(direction) {
  const segment = selected();
  if (!segment) return;
  const points = snapPoints().filter(point => direction * (point - segment[edge]) > 0.001 && (edge === "start" ? point < segment.end : point > segment.start));
  const time = direction > 0 ? points[0] : points.at(-1);
  if (time === undefined) { say("Nothing to snap to."); return; }
  if (edge === "start" ? setTimes(segment, time, segment.end) : setTimes(segment, segment.start, time)) seek(time);
}

function confirmSegment() {
  const segment = selected();
  if (!segment) return;
  change(`${segment.letter} confirmed.`, () => decide(segment, {}));
  if (chosen < state.segments.length - 1) select(chosen + 1, true);
}

function drop() {
  const segment = selected();
  if (!segment) return;
  const index = chosen;
  remember();
  state.segments.splice(index, 1);
  if (segment.before) state.dropped.push(segment.before);
  finish(`${segment.letter} at ${segment.start.toFixed(2)} s dropped.`, index);
}

function add() {
  let start = toFrame(position);
  while (!isFree(start)) start = toFrame(start + 1 / song.rate);
  const next = state.segments.find(one => one.start > start);
  const length = Math.min(1, Math.max((next ? next.start : song.duration) - start, 0));
  const end = toFrame(Math.min(start + Math.max(length, song.min_frames / song.rate), song.duration));
  if (!(start < end)) { say("There is no room at the end of the video.", true); return; }
  const letter = song.letters.length === 1 ? song.letters : next?.letter ?? state.segments.at(-1)?.letter ?? song.letters[0];
  const segment = { letter, word: "", start, end: ms(end), before: null };
  change(`${letter} added at ${start.toFixed(2)} s: Shift with a letter relabels it, t sets its times.`, () => { state.segments.push(segment); return decide(segment, {}); });
}

function split() {
  const segment = selected();
  const at = toFrame(position);
  if (!segment || !(at > segment.start && at < segment.end)) { say("Move the position inside the segment to split it there.", true); return; }
  if (!isFree(at)) { say("Another segment starts there.", true); return; }
  change(`${segment.letter} split at ${at.toFixed(2)} s.`, () => {
    const second = copy(segment);
    second.start = at;
    state.segments.push(second);
    decide(segment, { end: at });
    return decide(second, {});
  });
}

function join() {
  const segment = selected();
  const next = state.segments[chosen + 1];
  if (!segment || !next) { say("There is no next segment to join with.", true); return; }
  change(`${segment.letter} joined with the next segment.`, () => {
    state.segments.splice(chosen + 1, 1);
    if (next.before && JSON.stringify(next.before) !== JSON.stringify(segment.before)) state.dropped.push(next.before);
    return decide(segment, { end: Math.max(segment.end, next.end), word: segment.word || next.word });
  });
}

function restoreDropped(interval) {
  if (!isFree(interval[1])) { say("Another segment starts there.", true); return; }
  const segment = { letter: interval[0], word: "", start: interval[1], end: interval[2], before: interval };
  change(`${interval[0]} restored.`, () => {
    state.dropped = state.dropped.filter(one => one !== interval);
    state.segments.push(segment);
    return decide(segment, {});
  });
}

function complete() {
  remember();
  state.complete = !state.complete;
  if (state.complete) for (const segment of state.segments) decide(segment, {});
  finish(state.complete ? "Complete: all segments are confirmed, and there are no others." : "No longer complete.", chosen);
}

byId("details").addEventListener("submit", event => {
  event.preventDefault();
  const segment = selected();
  const note = byId("form-note");
  note.textContent = "";
  if (!segment) return;
  const letter = byId("f-letter").value.trim().toUpperCase();
  const word = byId("f-word").value.trim();
  const [start, end] = ["f-start", "f-end"].map(id => Number(byId(id).value.trim().replace(",", ".")));
  if (!/^[A-Z]$/.test(letter)) note.textContent = "Letter: A to Z.";
  else if (word && !/^[\p{L}\p{N}][\p{L}\p{N}_ '’.-]{0,39}$/u.test(word)) note.textContent = "Object word: letters, digits, spaces, apostrophes and hyphens.";
  else if (!(start >= 0 && start < end && end <= song.duration + 0.001)) note.textContent = `Start and end: seconds, start before end, up to ${song.duration.toFixed(2)}.`;
  else if (!isFree(start, segment)) note.textContent = "Another segment starts there.";
  else {
    change(`${letter}: applied.`, () => decide(segment, { letter, word, start: ms(start), end: ms(end) }));
    byId("segments").children[chosen]?.firstChild.focus();
  }
});

// --- playing ------------------------------------------------------------------------------------------------------

function seek(seconds) {
  position = Math.min(Math.max(seconds, 0), song.duration);
  range = null;
  video.pause();
  if (video.readyState) video.currentTime = position;
  showPosition();
}
function playRange(start, end) {
  range = { start: Math.max(0, start), end: Math.min(end, song.duration) };
  video.currentTime = range.start;
  video.play().catch(error => say(`The video does not play: ${error.message}`, true));
}
function tick() {
  if (!video.paused) {
    position = video.currentTime;
    if (range && position >= range.end) {
      if (looping) video.currentTime = range.start;
      else { video.pause(); range = null; }
    }
    showPosition();
  }
  requestAnimationFrame(tick);
}
function showPosition() {
  byId("clock").textContent = `${position.toFixed(3)} s`;
  if (position < view.start || position > view.start + view.span) view.start = Math.max(0, position - view.span / 4);
  draw();
}

async function loadMedia() {
  try {
    const found = await request(`${path}/preview`, "POST", {});
    if (found.state === "ready") { video.src = found.url; byId("media-note").textContent = ""; }
    else if (found.state === "running") { byId("media-note").textContent = "Browsers do not play this file; a preview is being made ..."; setTimeout(loadMedia, 1000); }
    else byId("media-note").textContent = `The video cannot be shown: ${found.detail}`;
  } catch (error) { byId("media-note").textContent = error.message; }
}

// --- showing ------------------------------------------------------------------------------------------------------

function faults(segment, index) {
  const frames = Math.round((segment.end - segment.start) * song.rate);
  const found = [];
  if (frames < song.min_frames) found.push(`${frames} frames: under the minimum of ${song.min_frames}, will be rejected`);
  if (frames > song.max_frames) found.push(`${frames} frames: over the maximum of ${song.max_frames}, will be divided`);
  const next = state.segments[index + 1];
  if (next && next.start < segment.end - 0.001) found.push(`overlaps ${next.letter} by ${(segment.end - next.start).toFixed(2)} s`);
  return found;
}

function select(index, isSeeking = false) {
  chosen = index;
  const segment = selected();
  if (segment && isSeeking) seek(segment.start);
  show();
}

function show() {
  const list = byId("segments");
  const hadFocus = list.contains(document.activeElement);
  list.replaceChildren(...state.segments.map((segment, index) => {
    const marks = faults(segment, index);
    const what = segment.decided ? (segment.before ? "decided" : "added") : `confidence ${segment.confidence.toFixed(2)}`;
    const button = make("button", { type: "button", "data-row": index, className: `${segment.decided ? "decided" : ""} ${marks.length ? "faulty" : ""}` },
      `${segment.letter} ${segment.word}, ${segment.start.toFixed(3)} to ${segment.end.toFixed(3)} s, ${what}`);
    if (marks.length) button.append(make("span", { className: "mark", textContent: ` ${marks.join("; ")}` }));
    if (index === chosen) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => { select(index, true); byId("segments").children[index].firstChild.focus(); });
    return make("li", {}, button);
  }));
  if (hadFocus) list.children[chosen]?.firstChild.focus();
  byId("dropped").replaceChildren(...state.dropped.map(interval => {
    const button = make("button", { type: "button", textContent: "Restore" });
    button.addEventListener("click", () => restoreDropped(interval));
    return make("li", {}, `${interval[0]}, ${interval[1].toFixed(2)} to ${interval[2].toFixed(2)} s `, button);
  }));
  const found = new Set(state.segments.map(one => one.letter));
  const missing = [...song.letters].filter(letter => !found.has(letter)).join("");
  byId("summary").textContent = `${state.segments.length} segments, ${state.segments.filter(one => one.decided).length} decided${missing ? `, missing: ${missing}` : ""}${song.refused && !state.segments.length ? `; refused: ${song.refused}` : ""}`;
  byId("complete").setAttribute("aria-pressed", String(state.complete));
  const segment = selected();
  byId("form-note").textContent = segment ? faults(segment, chosen).join("; ") : "";
  for (const [id, value] of [["f-letter", segment?.letter], ["f-word", segment?.word], ["f-start", segment?.start.toFixed(3)], ["f-end", segment?.end.toFixed(3)]]) {
    byId(id).value = value ?? "";
    byId(id).disabled = !segment;
  }
  draw();
  clearTimeout(show.timer);
  show.timer = setTimeout(showEdges, 120);
}

// The frames on both sides of each edge, at the middle of the time that they are displayed.
function showEdges() {
  const segment = selected();
  const half = 0.5 / song.rate;
  const pictures = [];
  for (const name of segment ? ["start", "end"] : []) {
    for (const [side, time] of [["before", segment[name] - half], ["after", segment[name] + half]]) {
      const at = Math.min(Math.max(time, 0), song.duration);
      const figure = make("figure", { className: name === edge ? "active" : "" },
        make("img", { src: `${base}/frame/${encodeURIComponent(videoId)}?at=${at.toFixed(3)}`, alt: `frame ${side} the ${name}` }),
        make("figcaption", { textContent: `${side} the ${name}, ${at.toFixed(2)} s` }));
      pictures.push(figure);
    }
  }
  byId("edges").replaceChildren(...pictures);
}

const BANDS = { wave: [4, 62], words: [68, 24], screen: [96, 40], segments: [142, 74] };

function draw() {
  if (!song) return;
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale)) { canvas.width = Math.round(width * scale); canvas.height = Math.round(230 * scale); }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, 230);
  const x = seconds => (seconds - view.start) / view.span * width;
  const inView = (start, end) => end >= view.start && start <= view.start + view.span;
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = "#7890b0";
  const [top, height] = BANDS.wave;
  for (let pixel = 0; pixel < width; pixel += 2) {
    const from = Math.floor((view.start + pixel / width * view.span) * 100);
    const to = Math.max(from + 1, Math.floor((view.start + (pixel + 2) / width * view.span) * 100));
    let peak = 0;
    for (let index = from; index < to; index += 1) peak = Math.max(peak, evidence.peaks[index] ?? 0);
    pen.fillRect(pixel, top + height / 2 - peak / 200 * height, 2, Math.max(1, peak / 100 * height));
  }
  pen.fillStyle = "#2850be";
  for (const [text, start, end] of evidence.words) if (inView(start, end)) { pen.fillRect(x(start), BANDS.words[0] + 18, Math.max(2, x(end) - x(start) - 1), 3); pen.fillText(text, x(start), BANDS.words[0] + 14); }
  pen.fillStyle = "#14784a";
  evidence.screen.forEach(([letter, start, end], index) => { if (inView(start, end)) { const y = BANDS.screen[0] + index % 3 * 13; pen.fillRect(x(start), y + 9, Math.max(2, x(end) - x(start)), 3); pen.fillText(letter, x(start), y + 8); } });
  pen.fillStyle = "#d02430";
  for (const cut of evidence.cuts) if (inView(cut, cut)) pen.fillRect(x(cut), 0, 1, 222);
  const [line, tall] = BANDS.segments;
  state.segments.forEach((segment, index) => {
    if (!inView(segment.start, segment.end)) return;
    const [left, wide] = [x(segment.start), Math.max(3, x(segment.end) - x(segment.start))];
    const y = line + (index % 2) * 6;
    pen.fillStyle = segment.decided ? "#bfe3cc" : "#d9dee6";
    pen.fillRect(left, y + (1 - segment.confidence) * (tall - 8), wide, segment.confidence * (tall - 8));
    pen.strokeStyle = faults(segment, index).length ? "#a5231a" : index === chosen ? "#1d57b7" : "#525d6d";
    pen.lineWidth = index === chosen ? 3 : 1;
    pen.strokeRect(left, y, wide, tall - 8);
    pen.fillStyle = "#1d2430";
    pen.font = "bold 15px system-ui, sans-serif";
    pen.fillText(segment.letter, left + 4, y + 18);
    pen.font = "12px system-ui, sans-serif";
    if (wide > 40) pen.fillText(segment.word.slice(0, Math.floor(wide / 8)), left + 4, y + 36);
    if (index === chosen) { pen.fillStyle = "#e39a1c"; pen.fillRect(x(segment[edge]) - 2, y - 4, 5, tall); }
  });
  pen.fillStyle = "#525d6d";
  const step = [0.2, 0.5, 1, 2, 5, 10, 30, 60].find(one => one / view.span * width > 60) ?? 120;
  for (let time = Math.ceil(view.start / step) * step; time < view.start + view.span; time += step) pen.fillText(`${ms(time)} s`, x(time) + 2, 228);
  pen.fillStyle = "#000";
  pen.fillRect(x(position), 0, 2, 222);
}

function zoom(factor) {
  const span = Math.min(Math.max(view.span * factor, 0.5), Math.max(song.duration, 1));
  view = { start: Math.min(Math.max(position - (position - view.start) / view.span * span, 0), Math.max(song.duration - span, 0)), span };
  draw();
}

let drag = null;
const timeAt = event => view.start + (event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth * view.span;
canvas.addEventListener("pointerdown", event => {
  const time = timeAt(event);
  const near = 8 / canvas.clientWidth * view.span;
  if (event.clientY - canvas.getBoundingClientRect().top < BANDS.segments[0]) { seek(time); return; }
  for (const index of [chosen, ...state.segments.keys()]) {
    const segment = state.segments[index];
    const name = segment && ["start", "end"].find(one => Math.abs(segment[one] - time) < near);
    if (name) { edge = name; select(index); drag = { segment, name, start: segment.start, end: segment.end }; canvas.setPointerCapture(event.pointerId); return; }
  }
  const index = state.segments.findIndex(segment => segment.start <= time && time < segment.end);
  if (index >= 0) select(index);
  seek(time);
});
canvas.addEventListener("pointermove", event => {
  if (!drag) return;
  let time = toFrame(timeAt(event));
  const near = 8 / canvas.clientWidth * view.span;
  const point = event.altKey ? undefined : snapPoints().find(one => Math.abs(one - time) < near);
  time = point ?? time;
  if (drag.name === "start" ? time < drag.segment.end : time > drag.segment.start) { drag.segment[drag.name] = time; draw(); }
});
canvas.addEventListener("pointerup", () => {
  if (!drag) return;
  const { segment, name, start, end } = drag;
  const time = segment[name];
  Object.assign(segment, { start, end });
  drag = null;
  if (name === "start") setTimes(segment, time, end); else setTimes(segment, start, time);
  show();
});
canvas.addEventListener("pointercancel", () => { if (drag) Object.assign(drag.segment, { start: drag.start, end: drag.end }); drag = null; draw(); });
canvas.addEventListener("wheel", event => { event.preventDefault(); if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8); else { view.start = Math.min(Math.max(view.start + event.deltaY / 500 * view.span, 0), Math.max(song.duration - view.span, 0)); draw(); } }, { passive: false });
addEventListener("resize", draw);

function go(step) { select(Math.min(Math.max(chosen + step, 0), state.segments.length - 1), true); byId("segments").children[chosen]?.firstChild.focus(); }
function chooseEdge(name) { edge = name; if (selected()) seek(selected()[name]); show(); }
function focusField(id) { if (selected()) { byId(id).focus(); byId(id).select(); } }
function setEdge(name) { const segment = selected(); if (segment) { edge = name; if (name === "start") setTimes(segment, toFrame(position), segment.end); else setTimes(segment, segment.start, toFrame(position)); } }

const keys = {
  n: ["next segment", () => go(1)],
  p: ["previous segment", () => go(-1)],
  " ": ["play, pause", () => { range = null; if (video.paused) video.play().catch(error => say(error.message, true)); else video.pause(); }],
  s: ["play the segment", () => { const one = selected(); if (one) playRange(one.start, one.end); }],
  e: ["play around the edge", () => { const one = selected(); if (one) playRange(one[edge] - 0.6, one[edge] + 0.6); }],
  l: ["loop what is played", () => { looping = !looping; byId("loop").setAttribute("aria-pressed", String(looping)); say(looping ? "Loop on." : "Loop off."); }],
  "[": ["edge: start", () => chooseEdge("start")],
  "]": ["edge: end", () => chooseEdge("end")],
  ArrowLeft: ["move the edge a frame back", () => moveEdge(-1)],
  ArrowRight: ["move the edge a frame on", () => moveEdge(1)],
  "Shift+ArrowLeft": ["move the edge ten frames back", () => moveEdge(-10)],
  "Shift+ArrowRight": ["move the edge ten frames on", () => moveEdge(10)],
  "Ctrl+ArrowLeft": ["snap the edge back to a word, cut or letter on the screen", () => snapEdge(-1)],
  "Ctrl+ArrowRight": ["snap the edge on to a word, cut or letter on the screen", () => snapEdge(1)],
  ",": ["position a frame back", () => seek(toFrame(position - 1 / song.rate))],
  ".": ["position a frame on", () => seek(toFrame(position + 1 / song.rate))],
  "<": ["position a second back", () => seek(position - 1)],
  ">": ["position a second on", () => seek(position + 1)],
  i: ["start of the segment at the position", () => setEdge("start")],
  o: ["end of the segment at the position", () => setEdge("end")],
  "Shift+A...Z": ["relabel the segment with this letter", event => { const one = selected(); if (one && one.letter !== event.key) change(`Relabelled as ${event.key}.`, () => decide(one, { letter: event.key })); }],
  w: ["edit the object word", () => focusField("f-word")],
  t: ["edit start and end (Tab between them, Enter applies, Escape leaves)", () => focusField("f-start")],
  Enter: ["confirm the segment and go to the next", confirmSegment],
  d: ["drop the segment", drop],
  Delete: ["drop the segment", drop],
  a: ["add a segment at the position", add],
  x: ["split the segment at the position", split],
  j: ["join the segment with the next", join],
  c: ["complete: confirm all, no other segments", complete],
  u: ["undo (also Ctrl+Z)", () => travel(undone, redone, "Undone.")],
  r: ["redo (also Ctrl+Y)", () => travel(redone, undone, "Redone.")],
  "+": ["zoom in", () => zoom(0.6)],
  "-": ["zoom out", () => zoom(1 / 0.6)],
  v: ["next video of the queue", () => { if (song.next) location.href = `${base}/song/${encodeURIComponent(song.next)}`; else say("All other videos are complete."); }],
  q: ["queue", () => { location.href = `${base}/`; }],
};

for (const button of document.querySelectorAll("[data-key]")) {
  button.setAttribute("aria-keyshortcuts", button.dataset.key === " " ? "Space" : button.dataset.key);
  button.addEventListener("click", event => keys[button.dataset.key][1](event));
}

// --- start --------------------------------------------------------------------------------------------------------

function unsavedRecords() {
  const found = [];
  for (let index = 0; index < localStorage.length; index += 1) {
    const key = localStorage.key(index);
    const value = key.startsWith(unsavedPrefix) ? kept.read(key) : null;
    if (value?.state?.segments) found.push({ key, ...value });
  }
  return found.sort((one, other) => other.at - one.at);
}

async function start() {
  try { song = await request(path); }
  catch (error) { say(`${error.message} Trying again ...`, true); setTimeout(start, 1500); return; }
  state = copy(clean(song));
  ({ revision } = song);
  byId("title").textContent = song.title ? `${song.title} (${videoId})` : videoId;
  byId("note").textContent = song.note;
  byId("note").hidden = !song.note;
  view.span = Math.min(20, song.duration);
  const [record] = unsavedRecords();
  const history = JSON.parse(sessionStorage.getItem(historyKey) ?? "null");
  if (record) {
    kept.remove(record.key);
    if (!same(record.state, state)) {
      const current = song;
      state = copy(clean(record.state));
      unsaved = true;
      if (history?.revision === record.revision) ({ undone, redone } = history);
      revision = record.revision;
      keep();
      if (record.revision === current.revision) { say("Changes that were not saved are restored."); save(); }
      else conflict(current);
    }
  } else if (history?.revision === revision) ({ undone, redone } = history);
  const wanted = Number(location.hash.slice(1));
  const index = wanted ? state.segments.findIndex(segment => Math.abs(segment.start - wanted) < 0.001) : state.segments.findIndex(segment => !segment.decided);
  select(Math.max(index, state.segments.length ? 0 : -1), true);
  useKeys(keys);
  requestAnimationFrame(tick);
  loadMedia();
  document.body.dataset.ready = "yes";
  try {
    evidence = await request(`${path}/evidence`);
    draw();
    document.body.dataset.evidence = "yes";
  } catch (error) { say(`No timeline: ${error.message}`, true); }
}
video.addEventListener("loadedmetadata", () => { video.currentTime = position; });
video.addEventListener("error", () => { if (video.src) byId("media-note").textContent = "The browser cannot play this video."; });
start();
