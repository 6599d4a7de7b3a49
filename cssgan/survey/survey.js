"use strict";
// The forms work without this script. It plays one video at a time, requires that all videos are played, and submits once.
const videos = [...document.querySelectorAll("video")];
const seen = new Set();
const hint = document.getElementById("hint");
for (const video of videos) {
  video.addEventListener("play", () => { for (const other of videos) if (other !== video) other.pause(); });
  video.addEventListener("ended", () => { seen.add(video); if (seen.size === videos.length) hint.textContent = ""; });
  video.addEventListener("error", () => {
    seen.add(video);
    hint.textContent = "A video cannot be played here. Please reload the page, or try another browser.";
  });
}
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", event => {
    const unseen = form.id === "answers" ? videos.find(video => !seen.has(video)) : undefined;
    if (unseen) {
      event.preventDefault();
      hint.textContent = videos.length > 1 ? "Please play both videos to their end first." : "Please play the video to its end first.";
      unseen.focus();
      return;
    }
    // Disabled after the browser has collected the form fields.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; });
  });
}
// A page restored from the back-forward cache must be able to submit again.
addEventListener("pageshow", event => { if (event.persisted) location.reload(); });
document.querySelector("[role=alert]")?.focus();
