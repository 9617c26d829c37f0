{
  const NEAR = 28; // screen pixels within which a value is told
  const told = document.createElement("div");
  told.className = "told";
  told.setAttribute("role", "status");
  told.hidden = true;
  document.body.append(told);
  let at = null;

  const tell = (circle) => {
    if (circle === at) return;
    at?.classList.remove("at");
    at = circle;
    told.hidden = !circle;
    if (!circle) return;
    circle.classList.add("at");
    told.textContent = circle.said;
    const spot = circle.getBoundingClientRect();
    const width = told.offsetWidth;
    const left = Math.min(Math.max(spot.x + spot.width / 2 - width / 2, 4), document.documentElement.clientWidth - width - 4);
    told.style.left = `${left + scrollX}px`;
    told.style.top = `${Math.max(spot.y - told.offsetHeight - 4, 0) + scrollY}px`;
  };

  const nearest = (circles, event) => {
    let best = null;
    let least = NEAR;
    for (const circle of circles) {
      const box = circle.getBoundingClientRect();
      const away = Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
      if (away < least) [best, least] = [circle, away];
    }
    return best;
  };

  for (const drawing of document.querySelectorAll(".drawing")) {
    const circles = [...drawing.querySelectorAll(".hits circle")];
    if (!circles.length) continue;
    for (const circle of circles) {
      const title = circle.querySelector("title");
      circle.said = title.textContent;
      title.remove(); // the browser's own tip would stand beside ours
    }
    drawing.tabIndex = 0;
    const point = (event) => tell(nearest(circles, event));
    drawing.addEventListener("pointermove", point);
    drawing.addEventListener("pointerdown", point);
    drawing.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tell(null));
    drawing.addEventListener("blur", () => tell(null));
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") tell(null);
      if (!step) return;
      event.preventDefault();
      const place = circles.indexOf(at);
      tell(circles[(place + step + circles.length) % circles.length]);
    });
  }
  document.addEventListener("scroll", () => tell(null), { passive: true });

  const picked = new Set();
  const keys = [...document.querySelectorAll(".key li[data-group]")];
  const show = () => {
    for (const part of document.querySelectorAll('.drawing g[class^="method-"]')) {
      part.classList.toggle("dim", picked.size > 0 && !picked.has(part.classList[0]));
    }
    for (const key of keys) key.firstChild.setAttribute("aria-pressed", picked.has(key.dataset.group));
  };
  for (const key of keys) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Show only the picked methods in all figures";
    button.append(...key.childNodes);
    key.append(button);
    button.addEventListener("click", () => {
      if (!picked.delete(key.dataset.group)) picked.add(key.dataset.group);
      show();
    });
  }
  show();
}
