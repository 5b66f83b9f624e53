// What scrolls can be reached and scrolled by keyboard: the width of a page decides what does.
const SCROLLS = "article table.table, .cell_output .output, .bd-article .highlight pre, div.math, mjx-container";

function name(box) {
  const heading = box.closest("section")?.querySelector("h1, h2, h3");
  return `scrolls: ${(heading?.textContent || document.title).replace("#", "").trim()}`;
}

function sizeUp() {
  for (const box of document.querySelectorAll(".comparison-scroll")) {
    box.classList.remove("fits");
    box.classList.toggle("fits", box.scrollWidth <= box.clientWidth);
  }
  for (const box of document.querySelectorAll(SCROLLS)) {
    const wide = box.scrollWidth > box.clientWidth + 1;
    if (wide && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      if (!(box instanceof HTMLTableElement)) {
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", name(box));
      }
    }
  }
}

window.addEventListener("load", sizeUp);
window.addEventListener("resize", sizeUp);
