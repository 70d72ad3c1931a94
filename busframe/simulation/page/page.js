"use strict";
const all = document.getElementById("all");
const about = document.getElementById("about");
const everything = document.getElementById("everything");
const detail = document.getElementById("detail");
const copy = document.getElementById("copy");

function shown() {
  return everything && !everything.hidden ? everything : about;
}

function say(event) {
  detail.textContent = event ? event.getAttribute("aria-label") : "";
}

// One stop for the Tab key in each drawing; the arrow keys go on from there.
for (const drawing of [about, everything]) {
  if (!drawing) continue;
  const events = Array.from(drawing.querySelectorAll(".event"));
  if (events.length) (events.find((one) => one.classList.contains("wrong")) || events[0]).setAttribute("tabindex", "0");
  events.forEach((event, index) => {
    event.addEventListener("mouseenter", () => say(event));
    event.addEventListener("focus", () => say(event));
    event.addEventListener("blur", () => say(null));
    event.addEventListener("click", () => event.focus());
    event.addEventListener("keydown", (pressed) => {
      const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: events.length - 1 }[pressed.key];
      if (to === undefined || !events[to]) return;
      pressed.preventDefault();
      event.setAttribute("tabindex", "-1");
      events[to].setAttribute("tabindex", "0");
      events[to].focus();
      events[to].scrollIntoView({ block: "nearest" });
    });
  });
  drawing.addEventListener("mouseleave", () => say(drawing.contains(document.activeElement) ? document.activeElement : null));
}

if (all) {
  all.addEventListener("change", () => {
    everything.hidden = !all.checked;
    about.hidden = all.checked;
    say(null);
  });
}

if (copy) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const code = document.getElementById("replay");
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      // A page from a file may not write to the clipboard everywhere: select it, so that the keyboard can.
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
}
