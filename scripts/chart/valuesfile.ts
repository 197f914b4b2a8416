import { stringify } from 'yaml';
import { chartValues, valuesSchema } from './values.ts';

/** The parts of a JSON Schema that are read here. */
interface Node {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
}

const width = 118;

/** `values.yaml`: every value with its default, and what it means as a comment. */
export function valuesFile(): string {
  const { properties = {} } = valuesSchema() as Node;
  return blocks(properties, chartValues.parse({}), '').join('\n');
}

/** The rows of the reference: path, meaning, default. */
export function valueRows(): readonly (readonly [path: string, meaning: string, fallback: string])[] {
  const { properties = {} } = valuesSchema() as Node;
  return rows(properties, chartValues.parse({}), '');
}

function blocks(properties: Readonly<Record<string, Node>>, values: object, indent: string): readonly string[] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) => {
    const node = properties[name] ?? {};
    const comment = wrapped(meaningOf(node), width - indent.length).map((line) => `${indent}# ${line}`);
    const gap = indent === '' ? [''] : [];
    const isGroup = node.properties !== undefined && typeof value === 'object' && value !== null;
    const lines = isGroup
      ? [`${indent}${name}:`, ...blocks(node.properties, value, `${indent}  `)]
      : [`${indent}${name}: ${inline(value)}`];
    return [...comment, ...lines, ...gap];
  });
}

function rows(
  properties: Readonly<Record<string, Node>>,
  values: object,
  parent: string,
): readonly (readonly [string, string, string])[] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]): readonly (readonly [string, string, string])[] => {
    const node = properties[name] ?? {};
    const path = `${parent}${name}`;
    if (node.properties === undefined || typeof value !== 'object' || value === null)
      return [[path, meaningOf(node), inline(value)]];
    return [[path, meaningOf(node), ''], ...rows(node.properties, value, `${path}.`)];
  });
}

function meaningOf({ description = '', enum: words }: Node): string {
  return words === undefined ? description : `${description} One of ${words.join(', ')}.`;
}

function inline(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trimEnd();
}

function wrapped(text: string, most: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
