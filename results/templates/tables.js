{
  const FILTERED_FROM = 8;
  const written = (cell) => {
    const found = /^[~+]?([−-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)/.exec(cell.textContent);
    return found ? Number(found[1].replace("−", "-").replaceAll(",", "")) : null;
  };
  const number = (cell) => (cell.dataset.v === undefined ? written(cell) : Number(cell.dataset.v));

  const sort = (table, heads, column) => {
    const head = heads[column];
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const numeric = head.classList.contains("number");
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const cell = row.cells[column];
      return [numeric ? number(cell) : cell.textContent, row];
    });
    keyed.sort(([x], [y]) => {
      if (x === null || y === null) return (x === null) - (y === null);
      return direction * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
    });
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };

  const filter = (table, wanted, count) => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.text ??= [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => row.text.includes(word));
      shown += !row.hidden;
    }
    const all = table.tBodies[0].rows.length;
    count.textContent = words.length ? `${shown} of ${all} lines` : `${all} lines`;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, heads, column));
    });
    if (table.tBodies[0].rows.length < FILTERED_FROM) continue;
    const tools = document.createElement("div");
    tools.className = "tools";
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "Filter lines by words";
    input.setAttribute("aria-label", `Filter the table ${table.getAttribute("aria-label")}`);
    const count = document.createElement("span");
    count.setAttribute("aria-live", "polite");
    input.addEventListener("input", () => filter(table, input.value, count));
    tools.append(input, count);
    table.parentElement.before(tools);
    filter(table, "", count);
  }
}
