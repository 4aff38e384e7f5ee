// Making elements, and numbers in words. Text from outside only ever becomes textContent or an attribute's value, never
// markup.

/** An element with properties and children; a string child is text. */
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The same in a drawing. */
export function draw(tag, options = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "fill" || name === "stroke") element.style.setProperty(name, value);
    else element.setAttribute(name, typeof value === "number" ? Math.round(value * 100) / 100 : value);
  }
  element.append(...children);
  return element;
}

const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export const count = (value) => plain.format(value);
export const fixed = (value, digits = 3) => value.toFixed(digits).replace("-", "\u2212");
export const short = (value) => (value >= 100 ? count(value) : String(+value.toPrecision(3)));
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

