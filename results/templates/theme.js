"use strict";
{
  const root = document.documentElement;
  const remembered = (value) => {
    try {
      return value === undefined ? localStorage.getItem("pacbench-theme") : localStorage.setItem("pacbench-theme", value);
    } catch {
      return null; // a browser may keep nothing for pages from disk
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "theme";
  const show = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    show();
  });
  system.addEventListener("change", show);
  document.querySelector("header").prepend(button);
  show();
}
