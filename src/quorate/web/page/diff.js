// Which lines of two texts differ: the longest common subsequence of their lines.

const MOST = 400; // lines of each text that are compared

/** Lines of both texts as [mark, text]: " " in both, "-" only in the first, "+" only in the second. */
export function compare(one, two) {
  const a = one.split("\n").slice(0, MOST), b = two.split("\n").slice(0, MOST);
  const width = b.length + 1, common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
    common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1 : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
  }
  const lines = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i++]]);
      j++;
    }
    else if (j < b.length && (i >= a.length || common[i * width + j + 1] > common[(i + 1) * width + j])) lines.push(["+", b[j++]]);
    else lines.push(["-", a[i++]]);
  }
  return lines;
}
