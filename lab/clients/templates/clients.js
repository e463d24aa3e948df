"use strict";
// Sorts a table by the column whose heading is pressed, downward first, and upward when it is pressed again.
// Without a script the headings are plain words, and the rows stand in the order of the clients.

function valueOf(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
}

function compare(one, other) {
  return typeof one === "number" ? other - one : one.localeCompare(other);
}

function sort(heading) {
  const body = heading.closest("table").tBodies[0];
  const sign = heading.ariaSort === "descending" ? -1 : 1;
  const rows = [...body.rows].sort(
    (one, other) => sign * compare(valueOf(one, heading.cellIndex), valueOf(other, heading.cellIndex)),
  );
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.ariaSort = sign === 1 ? "descending" : "ascending";
  body.append(...rows);
}

for (const heading of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  button.addEventListener("click", () => sort(heading));
  heading.append(button);
}
