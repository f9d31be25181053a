// Runs before the first paint, so that a chosen scheme never flashes in the other one.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* private window: the system's scheme */ }
})();
