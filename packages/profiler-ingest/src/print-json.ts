/** JSON for people: indented by two, lists of numbers filled to the line's width as Biome does. */

const lineWidth = 100;
const numberList = /^( *)(.*?)\[\s+(-?[\d.e+-]+(?:,\s+-?[\d.e+-]+)*)\s+\](,?)$/gm;

export function printJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  const filled = text.replace(
    numberList,
    (_, indent: string, head: string, list: string, comma: string) => {
      const items = list.split(/,\s+/);
      const line = `${indent}${head}[${items.join(', ')}]${comma}`;
      if (line.length <= lineWidth) return line;
      const lines = fill(items, `${indent}  `);
      return `${indent}${head}[\n${lines.join('\n')}\n${indent}]${comma}`;
    },
  );
  return `${filled}\n`;
}

const innermostObject = /^( *)(.*?)\{\n([^{}[\]]*)\n *\}(,?)$/gm;

/** With objects of plain values on one line where they fit, as people write cluster files. */
export function printShortJson(value: unknown): string {
  return printJson(value).replace(
    innermostObject,
    (whole, indent: string, head: string, inner: string, comma: string) => {
      const line = `${indent}${head}{ ${inner.trim().replace(/\n\s*/g, ' ')} }${comma}`;
      return line.length <= lineWidth ? line : whole;
    },
  );
}

function fill(items: readonly string[], indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  items.forEach((item, i) => {
    const word = i === items.length - 1 ? item : `${item},`;
    const gap = line === indent ? '' : ' ';
    if (line !== indent && line.length + gap.length + word.length > lineWidth) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line += gap + word;
  });
  return [...lines, line];
}
