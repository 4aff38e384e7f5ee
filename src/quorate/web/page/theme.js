"use strict";
// Light or dark before anything is drawn: the user's choice, else the system's.
(() => {
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let own = null;
    try { own = localStorage.getItem("quorate-theme"); } catch { /* Storage may be forbidden. */ }
    document.documentElement.dataset.theme = own ?? (prefers.matches ? "dark" : "light");
  };
  prefers.addEventListener("change", apply);
  apply();
})();
