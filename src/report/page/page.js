"use strict";
for (const section of document.querySelectorAll(".models")) {
  const { digits, rows } = JSON.parse(section.querySelector("script").textContent);
  const body = section.querySelector("tbody");
  const headings = [...section.querySelectorAll("th")];
  const [filter, count] = [section.querySelector("input"), section.querySelector(".count")];
  const formats = digits.map((places) => new Intl.NumberFormat("en",
    { minimumFractionDigits: places, maximumFractionDigits: places }));
  const shown = (value, column) => {
    if (value === null) return "";
    if (Array.isArray(value)) return value.map((end) => shown(end, column)).join(" to ");
    return typeof value === "number" ? formats[column].format(value) : value;
  };
  const models = rows.map((values) => {
    const line = document.createElement("tr");
    values.forEach((value, column) => {
      line.insertCell().textContent = shown(value, column);
      line.cells[column].className = headings[column].className;
    });
    const text = values.filter((value) => typeof value === "string").join(" ").toLowerCase();
    return { values, line, text };
  });
  // What is not known comes last, whichever way.
  const compared = (one, other, sign) => {
    if (one === null || other === null) return (one === null) - (other === null);
    const [a, b] = [one, other].map((value) => (Array.isArray(value) ? value[0] : value));
    return a < b ? -sign : a > b ? sign : 0;
  };
  const sort = (column, sign) => {
    models.sort((one, other) => compared(one.values[column], other.values[column], sign));
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    body.replaceChildren(...models.map((model) => model.line));
  };
  const choose = () => {
    const words = filter.value.toLowerCase();
    models.forEach((model) => { model.line.hidden = !model.text.includes(words); });
    const found = models.filter((model) => !model.line.hidden).length;
    count.textContent = `${found} of ${models.length} models`;
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () =>
      sort(column, heading.getAttribute("aria-sort") === "ascending" ? -1 : 1));
    heading.append(button);
  });
  filter.addEventListener("input", choose);
  filter.parentElement.hidden = false;
  sort(0, 1);
  choose();
}
