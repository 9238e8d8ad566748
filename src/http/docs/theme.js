// Switches between the light and the dark theme. Runs before the first paint, so that the page does not flash.
{
  const KEY = "signet.theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const systemTheme = () => (system.matches ? "dark" : "light");

  // Browsers throw if the user has disabled storage.
  function storedTheme() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  let theme;
  function show(next) {
    theme = next;
    for (const name of ["light", "dark"]) {
      document.documentElement.classList.toggle(`${name}-mode`, name === theme);
    }
    const button = document.querySelector("button.theme");
    if (button) {
      button.textContent = theme === "dark" ? "Light theme" : "Dark theme";
      button.hidden = false;
    }
  }
  const restore = () => show(storedTheme() ?? systemTheme());

  function toggle() {
    show(theme === "dark" ? "light" : "dark");
    try {
      // The theme of the system is not stored, so that the page follows the system again.
      if (theme === systemTheme()) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // The theme then applies until the page is closed.
    }
  }

  restore();
  system.addEventListener("change", restore);
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelector("button.theme").addEventListener("click", toggle);
    restore();
  });
  // A page that the browser kept in memory may have an older theme than the page that the user left.
  addEventListener("pageshow", ({ persisted }) => persisted && restore());
}
