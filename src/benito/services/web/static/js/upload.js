// The upload form: drop a file, refuse one that is too large before it is sent, edit the text in place, walk the errors.

import { all, one } from "./dom.js";

const form = one("[data-upload]");
const input = one('input[type="file"]', form);
const drop = one("[data-drop]", form);
const limit = Number(form.dataset.limit);
const tooLarge = one("[data-too-large]", form);

function chosen() {
  const file = input.files[0];
  if (!file) return;
  one("[data-chosen]", form).textContent = file.name;
  // The text of the last file stays what is sent, unless another is chosen.
  const editor = one("[data-editor]", form);
  if (editor) editor.disabled = true;
  const over = file.size > limit;
  tooLarge.hidden = !over;
  one("span", tooLarge).textContent = over
    ? `${file.name} has ${(file.size / 1e6).toFixed(1)} MB; a file may have at most ${(limit / 1048576).toFixed(0)} MiB.`
    : "";
  for (const button of all(".submit button", form)) button.disabled = over;
}

input.addEventListener("change", chosen);
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      chosen();
    }
  });
}

one("[data-edit]", form)?.addEventListener("click", (event) => {
  const button = event.currentTarget;
  const editor = one("[data-editor]", form);
  const source = one("[data-source]", form);
  const editing = editor.hidden;
  if (editing) {
    input.value = "";
    editor.disabled = false;
  }
  editor.style.height = `${Math.max(320, source.offsetHeight)}px`;
  editor.hidden = !editing;
  source.hidden = editing;
  button.setAttribute("aria-pressed", String(editing));
  button.lastChild.textContent = editing ? "Show errors" : "Edit here";
  if (editing) editor.focus();
});

const wrong = all(".source li.wrong", form);
let at = -1;
one("[data-next-error]", form)?.addEventListener("click", () => {
  at = (at + 1) % wrong.length;
  wrong[at].focus({ preventScroll: true });
  wrong[at].scrollIntoView({ block: "center", behavior: "smooth" });
});
if (wrong.length) wrong[0].scrollIntoView({ block: "center" });
