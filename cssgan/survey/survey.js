"use strict";
// The forms work without this script. It lets one video play at a time, asks that all be seen, and sends a form once.
const films = [...document.querySelectorAll("video")];
const seen = new Set();
const hint = document.getElementById("hint");
for (const film of films) {
  film.addEventListener("play", () => { for (const other of films) if (other !== film) other.pause(); });
  film.addEventListener("ended", () => { seen.add(film); if (seen.size === films.length) hint.textContent = ""; });
  film.addEventListener("error", () => {
    seen.add(film);
    hint.textContent = "A video cannot be played here. Please load the page again, or try another browser.";
  });
}
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", event => {
    const unseen = form.id === "answers" ? films.find(film => !seen.has(film)) : undefined;
    if (unseen) {
      event.preventDefault();
      hint.textContent = films.length > 1 ? "Please play both videos to their end first." : "Please play the video to its end first.";
      unseen.focus();
      return;
    }
    // After the browser has gathered the fields.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; });
  });
}
// A page that comes back from the browser's memory must be able to send again.
addEventListener("pageshow", event => { if (event.persisted) location.reload(); });
document.querySelector("[role=alert]")?.focus();
