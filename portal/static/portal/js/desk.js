// Comfort only: copying, the colour scheme, and where the focus goes. Every page works without this file; what needs
// it is hidden until it has run, and what only those without script need is hidden by it.
(() => {
  const root = document.documentElement;
  const said = document.getElementById("said"); // its data has the words
  const say = (words) => { said.textContent = words; };

  const show = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme; else delete root.dataset.theme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === (theme || "auto")));
    }
  };

  const arrange = (within) => {
    for (const part of within.querySelectorAll("[data-needs-script]")) part.hidden = false;
    if (window.htmx) for (const part of within.querySelectorAll("[data-without-script]")) part.hidden = true;
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const label = button.querySelector("[data-label]");
    const before = label.dataset.label || label.textContent;
    label.dataset.label = before;
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      label.textContent = said.dataset.copied;
      say(said.dataset.copiedSaid);
      setTimeout(() => { label.textContent = before; }, 4000);
    } catch {
      getSelection().selectAllChildren(source);
      label.textContent = said.dataset.selected;
      say(said.dataset.selectedSaid);
    }
  };

  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* private window */ }
  show(stored);
  arrange(document);
  document.querySelector("[data-focus]")?.focus();

  document.addEventListener("click", ({ target }) => {
    const choice = target.closest("[data-theme-choice]");
    if (choice) {
      try { localStorage.setItem("theme", choice.dataset.themeChoice); } catch { /* lasts for this page */ }
      show(choice.dataset.themeChoice);
    }
    const copied = target.closest("[data-copy]");
    if (copied) copy(copied);
    target.closest("[data-close]")?.closest(".toast")?.remove();
  });

  // One box for all of a list; and a form of a long act, which goes on by itself. Both are links and buttons as well.
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-chooses]")) return;
    for (const box of document.querySelectorAll(`input[form="${target.dataset.chooses}"]`)) box.checked = target.checked;
  });
  const rest = document.querySelector("[data-goes-on]");
  if (rest) setTimeout(() => rest.requestSubmit(), 500);

  // A secret that comes twice is a secret that was lost once: such a form is sent once, however often one presses.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, 15000);
  });

  // What was wrong with a field is no longer true once it is changed.
  document.addEventListener("input", ({ target }) => {
    const field = target.closest(".field, fieldset");
    const error = field?.querySelector(":scope > .error");
    if (!error) return;
    error.remove();
    for (const input of field.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  });

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    arrange(document);
    if (detail.target.id === "problems") detail.target.focus();
  });
  document.addEventListener("htmx:sendError", () => {
    say(said.dataset.away);
  });
  document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.target?.setAttribute("aria-busy", "true"));
  document.addEventListener("htmx:afterRequest", ({ detail }) => detail.target?.removeAttribute("aria-busy"));
})();
