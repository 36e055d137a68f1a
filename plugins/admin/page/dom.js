// Small helpers: text goes in as text, never as HTML.

export const $ = (selector) => document.querySelector(selector);

// el makes an element. Attributes that are undefined or false are left out.
export function el(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes)) {
    if (v !== undefined && v !== false) e.setAttribute(k, v);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== ""));
  return e;
}

// set changes text only where it differs, so that selections survive.
export function set(e, text) {
  if (e.textContent !== String(text)) e.textContent = text;
}

// show puts a message up, or away when it is empty.
export function show(e, text, kind = "") {
  e.hidden = !text;
  e.dataset.kind = kind;
  set(e, text);
}

// facts fills a list of terms and values, in place.
export function facts(dl, pairs) {
  while (dl.children.length > pairs.length) dl.lastElementChild.remove();
  pairs.forEach(([term, value, hint], i) => {
    const div = dl.children[i] ?? dl.appendChild(el("div", {}, el("dt"), el("dd")));
    set(div.firstElementChild, term);
    set(div.lastElementChild, value);
    div.lastElementChild.title = hint ?? "";
  });
}
