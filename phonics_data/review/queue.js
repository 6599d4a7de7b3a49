"use strict";
let videos = [];
let shown = [];
const filters = { letter: byId("filter-letter"), source: byId("filter-source"), state: byId("filter-state") };

const STATES = {
  "": () => true,
  left: video => !video.complete,
  unseen: video => !video.seen,
  changed: video => video.decided + video.dropped > 0,
  refused: video => video.refused !== "",
  missing: video => video.missing !== "",
  complete: video => video.complete,
};

function draw() {
  const letter = filters.letter.value;
  shown = videos.filter(video => STATES[filters.state.value](video)
    && (!letter || video.letters.includes(letter) || video.missing.includes(letter))
    && (!filters.source.value || video.source === filters.source.value));
  const rows = shown.map(video => {
    const state = video.complete ? "complete" : video.refused ? `refused: ${video.refused}` : video.decided + video.dropped ? "changed" : video.seen ? "seen" : "";
    const link = make("a", { href: `${base}/song/${encodeURIComponent(video.video_id)}`, textContent: video.title || video.video_id });
    const number = value => make("td", { className: "n", textContent: value });
    return make("tr", {}, make("td", {}, link, video.title ? ` ${video.video_id}` : ""), number(video.clips), number(video.decided),
      number(video.lowest === null ? "" : video.lowest.toFixed(2)), make("td", { textContent: video.missing }),
      number(video.worth.toFixed(1)), make("td", { textContent: [state, video.note].filter(Boolean).join("; ") }));
  });
  document.querySelector("#videos tbody").replaceChildren(...rows);
  say(`${shown.length} of ${videos.length} videos`);
}

async function load() {
  try {
    const queue = await request("/api/queue");
    videos = queue.videos;
    const done = queue.progress;
    byId("progress").textContent = `${done.videos} videos: ${done.seen} seen, ${done.changed} changed, ${done.complete} complete, ${done.videos - done.complete} left; ${done.decided} of ${done.clips} clips decided`;
    byId("bar").value = done.clips ? done.decided / done.clips : 0;
    for (const [name, values] of [["letter", [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]], ["source", [...new Set(videos.map(video => video.source))].sort()]]) {
      const select = filters[name];
      while (select.options.length > 1) select.remove(1);
      for (const value of values) select.add(new Option(value, value));
      select.value = kept.read(`review:filter-${name}`) ?? "";
      if (select.selectedIndex < 0) select.value = "";
    }
    draw();
  } catch (error) { say(error.message, true); }
}

for (const [name, select] of Object.entries(filters)) {
  select.addEventListener("change", () => { kept.write(`review:filter-${name}`, select.value); draw(); });
}
const links = () => [...document.querySelectorAll("#videos a")];
function focusRow(step) {
  const all = links();
  const at = all.indexOf(document.activeElement);
  all[Math.min(Math.max(at + step, 0), all.length - 1)]?.focus();
}
useKeys({
  n: ["next video", () => focusRow(1)],
  p: ["previous video", () => focusRow(-1)],
  Enter: ["open the video that has the focus, or the first", () => (links().includes(document.activeElement) ? document.activeElement : links()[0])?.click()],
  g: ["clips by letter", () => { location.href = `${base}/clips`; }],
  f: ["filters", () => filters.state.focus()],
});
addEventListener("pageshow", load);
