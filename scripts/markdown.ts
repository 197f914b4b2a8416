/** A text as a cell of a table: a `|` would end it. */
export const cell = (text: string) => text.replaceAll('|', '\\|');

/** A table; a row has as many cells as the head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
}

/** A value as a block of JSON. */
export function jsonBlock(value: object): readonly string[] {
  return ['```json', JSON.stringify(value, null, 2), '```'];
}
