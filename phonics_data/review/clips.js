"use strict";
// A grid of the clips of one letter; the clip under the pointer or the focus plays.
const PAGE = 60;
const letter = new URLSearchParams(location.search).get("letter") ?? "";
let clips = [];
let first = 0;
let undone = [];
let redone = [];
const grid = byId("grid");
const visible = () => clips.slice(first, first + PAGE);
const what = clip => ({ video_id: clip.video_id, letter: clip.letter, start: clip.start, end: clip.end });

async function load(focus = 0) {
  try {
    const found = await request(`/api/clips?letter=${encodeURIComponent(letter)}`);
    clips = found.clips;
    if (first >= clips.length) first = Math.max(0, first - PAGE);
    byId("letter-name").textContent = letter || "all letters";
    const all = Object.values(found.letters).reduce((sum, count) => sum + count, 0);
    byId("letters").replaceChildren(...["", ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].map(name => {
      const link = make("a", { href: `?letter=${name}`, textContent: name ? `${name} ${found.letters[name] ?? 0}` : `all ${all}` });
      if (name === letter) link.setAttribute("aria-current", "page");
      return link;
    }));
    draw();
    grid.children[Math.min(focus, grid.children.length - 1)]?.focus();
  } catch (error) { say(error.message, true); }
}

function draw() {
  const page = visible();
  byId("range").textContent = page.length ? `${first + 1} to ${first + page.length} of ${clips.length}, the least certain first` : "none";
  grid.replaceChildren(...page.map(clip => {
    const text = `${clip.letter} ${clip.word} · ${clip.video_id} ${clip.start.toFixed(2)} s · ${clip.decided ? "confirmed" : clip.confidence.toFixed(2)}`;
    const picture = make("img", { className: "poster", loading: "lazy", alt: "", src: `${base}/frame/${clip.video_id}?at=${((clip.start + clip.end) / 2).toFixed(3)}` });
    const item = make("li", { tabIndex: 0, className: clip.decided ? "decided" : "", "aria-label": text }, picture, make("div", { textContent: text }));
    item.addEventListener("mouseenter", () => play(item, clip));
    item.addEventListener("focus", () => play(item, clip));
    item.addEventListener("mouseleave", () => { if (document.activeElement !== item) stop(item); });
    item.addEventListener("blur", () => stop(item));
    return item;
  }));
}

const addresses = new Map();
async function address(video_id) {
  if (!addresses.has(video_id)) {
    const found = await request(`/api/song/${video_id}/preview`, "POST", {});
    if (found.state === "running") { say("A preview of this video is being made."); return null; }
    if (found.state === "failed") { say(found.detail, true); return null; }
    addresses.set(video_id, found.url);
  }
  return addresses.get(video_id);
}

async function play(item, clip) {
  if (item.querySelector("video")) return;
  item.dataset.wanted = "yes";
  let url;
  try { url = await address(clip.video_id); } catch (error) { say(error.message, true); return; }
  if (!url || item.dataset.wanted !== "yes" || item.querySelector("video")) return;
  const video = make("video", { src: `${url}#t=${clip.start}`, playsInline: true, "aria-label": "" });
  video.addEventListener("loadedmetadata", () => { video.currentTime = clip.start; });
  // The event "timeupdate" comes only four times a second; the clip would show the one after it.
  const loop = () => {
    if (!video.isConnected) return;
    if (!video.seeking && (video.currentTime >= clip.end - 0.02 || video.currentTime < clip.start - 0.1)) video.currentTime = clip.start;
    requestAnimationFrame(loop);
  };
  requestAnimationFrame(loop);
  item.querySelector(".poster").replaceWith(video);
  // Browsers allow sound only after a first click or key; without it the clip plays muted.
  video.play().catch(() => { video.muted = true; video.play().catch(() => {}); });
}

function stop(item) {
  item.dataset.wanted = "";
  const video = item.querySelector("video");
  const index = [...grid.children].indexOf(item);
  if (!video || index < 0) return;
  const clip = visible()[index];
  video.pause();
  video.replaceWith(make("img", { className: "poster", alt: "", src: `${base}/frame/${clip.video_id}?at=${((clip.start + clip.end) / 2).toFixed(3)}` }));
  video.removeAttribute("src");
  video.load();
}

const index = () => [...grid.children].indexOf(document.activeElement);

async function decide(action, chosen, name = "") {
  if (!chosen.length) { say("Select a clip first (Tab, or arrow keys).", true); return; }
  const at = Math.max(index(), 0);
  try {
    const done = await request("/api/decide", "POST", { action, letter: name, clips: chosen.map(what), reviewer: reviewer() });
    undone.push(done);
    redone = [];
    await load(action === "keep" && chosen.length === 1 ? at : at);
    say(`${{ keep: "Confirmed", drop: "Dropped", relabel: `Relabelled as ${name}` }[action]}: ${chosen.length}. Saved.${done.missing.length ? ` Changed meanwhile, not done: ${done.missing.join(", ")}.` : ""}`, done.missing.length > 0);
  } catch (error) { say(error.message, true); }
}

async function restore(from, to, side, other) {
  const entry = from.pop();
  if (!entry) { say("Nothing to undo or redo."); return; }
  try {
    for (const [number, song] of entry[side].entries()) {
      const saved = await request(`/api/song/${song.video_id}`, "PUT", { ...song, revision: entry[other][number].revision, reviewer: reviewer() });
      entry[side][number] = { ...song, revision: saved.revision };
    }
    to.push(entry);
    await load(Math.max(index(), 0));
    say("Done. Saved.");
  } catch (error) { say(error.status === 409 ? "Another page or person changed this video since; it was left as it is." : error.message, true); }
}
const undo = () => restore(undone, redone, "before", "changed");
const redo = () => restore(redone, undone, "changed", "before");
const selected = () => (index() >= 0 ? [visible()[index()]] : []);
function move(step) { grid.children[Math.min(Math.max(index() + step, 0), grid.children.length - 1)]?.focus(); }
function turn(step) { first = Math.min(Math.max(first + step * PAGE, 0), Math.max(0, Math.floor((clips.length - 1) / PAGE) * PAGE)); draw(); grid.children[0]?.focus(); }
const perRow = () => Math.max(1, Math.round(grid.clientWidth / (grid.children[0]?.offsetWidth + 8 || grid.clientWidth)));

useKeys({
  ArrowRight: ["next clip", () => move(1)],
  ArrowLeft: ["previous clip", () => move(-1)],
  ArrowDown: ["clip below", () => move(perRow())],
  ArrowUp: ["clip above", () => move(-perRow())],
  Enter: ["confirm the clip", () => decide("keep", selected())],
  d: ["drop the clip", () => decide("drop", selected())],
  "Shift+A...Z": ["relabel the clip with this letter", event => decide("relabel", selected(), event.key)],
  a: ["confirm all clips that are shown", () => decide("keep", visible())],
  u: ["undo (also Ctrl+Z)", undo],
  r: ["redo (also Ctrl+Y)", redo],
  "]": ["next page of clips", () => turn(1)],
  "[": ["previous page of clips", () => turn(-1)],
  o: ["open the clip's video", () => { const [clip] = selected(); if (clip) location.href = `${base}/song/${clip.video_id}#${clip.start}`; }],
  q: ["queue", () => { location.href = `${base}/`; }],
});
byId("confirm-all").addEventListener("click", () => decide("keep", visible()));
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("previous").addEventListener("click", () => turn(-1));
byId("following").addEventListener("click", () => turn(1));
addEventListener("pageshow", () => load());
