"use strict";
// Copies a configuration. A page opened from a file may lack navigator.clipboard, or be refused; then
// a selection and the old command do it, and if that is refused too, the text is left selected.
const SAY_FOR_MS = 2500;

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    done = false;
  }
  area.remove();
  return done;
}

function unfold(element) {
  for (let around = element; around; around = around.parentElement) {
    if (around instanceof HTMLDetailsElement) around.open = true;
  }
}

function leaveSelected(element) {
  unfold(element);
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(element) {
  const text = element.textContent;
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    if (copyBySelection(text)) return "Copied";
  }
  leaveSelected(element);
  return "Selected below: press Ctrl+C";
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  const label = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    const said = await copy(document.getElementById(button.dataset.copies));
    button.focus();
    button.textContent = said;
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = label; }, SAY_FOR_MS);
  });
}

// What explains the page must not be missing on paper; the evidence stays as its reader has folded it.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.story-rest, details.legend")) details.open = true;
});
