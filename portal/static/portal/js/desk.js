// Comfort only: copying, the colour scheme, and where the focus goes. Every page works without this file; what needs
// it is hidden until it has run, and what only those without script need is hidden by it.
(() => {
  const root = document.documentElement;
  const said = document.getElementById("said");
  const say = (words) => { if (said) said.textContent = words; };

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
      label.textContent = "Copied";
      say("Copied to the clipboard.");
      setTimeout(() => { label.textContent = before; }, 4000);
    } catch {
      getSelection().selectAllChildren(source);
      label.textContent = "Selected: press Ctrl C";
      say("Selected. Press Ctrl and C to copy.");
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

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    arrange(document);
    if (detail.target.id === "problems") detail.target.focus();
  });
  document.addEventListener("htmx:sendError", () => {
    say("Keydesk does not answer. What is shown may be old. Check the connection and try again.");
  });
  document.addEventListener("htmx:beforeRequest", ({ detail }) => detail.target?.setAttribute("aria-busy", "true"));
  document.addEventListener("htmx:afterRequest", ({ detail }) => detail.target?.removeAttribute("aria-busy"));
})();
