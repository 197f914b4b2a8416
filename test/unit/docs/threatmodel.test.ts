import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..', '..');
const page = readFileSync(join(root, 'docs/threat-model.md'), 'utf8');
/** Sections about no principal. */
const general = ['Promises', 'Assets', 'What is trusted'];

/** A test that the page names: a file under `test/`, and the titles in it; no titles = the whole file. */
interface Reference {
  readonly text: string;
  readonly file: string;
  readonly titles: readonly string[];
}

interface Section {
  readonly name: string;
  /** The last column of each row. */
  readonly cells: readonly string[];
  readonly prose: string;
}

const sections: readonly Section[] = page
  .split(/^## /m)
  .slice(1)
  .map((text) => {
    const [name = '', ...lines] = text.split('\n');
    const rows = lines.filter((line) => line.startsWith('|')).map((line) => line.split('|').slice(1, -1));
    // The first two of a table are its head.
    const cells = rows.slice(2).map((row) => (row.at(-1) ?? '').trim());
    return { name, cells, prose: lines.filter((line) => !line.startsWith('|')).join(' ') };
  });
const principals = sections.filter(({ name }) => !general.includes(name));

const isFile = /^(unit|contract|integration|e2e)\//;
/** What is no test: nothing stops it, or a benchmark measures it. */
const isNone = /^(–|`npm run bench -- [a-z]+`)$/;

/** `file › title …, title; title; file`: an entry without a file is about the one before. */
function referencesOf(cell: string): readonly Reference[] {
  let file = '';
  return cell.split(/; */).flatMap((text) => {
    if (isNone.test(text)) return [];
    const parts = text.split(' › ').map((part) => part.trim());
    if (isFile.test(text)) file = parts.shift() ?? '';
    return [{ text, file, titles: parts.flatMap((part) => part.split(/…, */)).map((title) => title.replace(/ *…$/, '').trim()) }];
  });
}

const inProse = sections.flatMap(({ prose }) =>
  [...prose.replaceAll(/\s+/g, ' ').matchAll(/\((\w+\/[^()]* › [^()]*)\)/g)].flatMap(([, text = '']) => referencesOf(text)),
);
const inRows = principals.flatMap(({ cells }) => cells.flatMap(referencesOf));

/** The text of a test file, or of all files of a folder of contract suites; a plan is a file of its own. */
function sourceOf(file: string): string {
  const path = join(root, 'test', file);
  const found = [`${path}.test.ts`, `${path}.yaml`].find(existsSync);
  if (found !== undefined) return readFileSync(found, 'utf8');
  if (!statSync(path).isDirectory()) throw new Error(`no test file: ${file}`);
  return readdirSync(path)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(path, name), 'utf8'))
    .join('\n');
}

/** First arguments of `it(`, `test(` and `describe(`, and of what `.each(…)` gives; rows of a table whose title they fill. */
function titlesOf(source: string): readonly string[] {
  const literal = /(['"`])((?:\\.|(?!\1)[^\\])*)\1/.source;
  const calls = new RegExp(`(?:\\b(?:it|test|describe)(?:\\.[a-z]+)*|\\))\\(\\s*${literal}`, 'gs');
  // A row names the case that '%s' stands for.
  const rows = new RegExp(`^\\s*\\[\\s*${literal}`, 'gms');
  return [...source.matchAll(calls), ...source.matchAll(rows)].map(([, , title = '']) => title.replaceAll('\\', ''));
}

describe('the threat model', () => {
  it.each(principals)('has a row with a test for each principal: $name', ({ cells }) => {
    expect(cells.flatMap(referencesOf).length).toBeGreaterThan(0);
    for (const cell of cells) expect(cell).not.toBe('');
  });

  it('knows whoever can write one of our kinds, and whoever may get a login', () => {
    const names = principals.map(({ name }) => name);
    for (const kind of ['KeyDestination', 'ApiCatalog', 'KeyOwner', 'KeyOwnerGroup'])
      expect(names.filter((name) => name.startsWith('Author of') && name.endsWith(` ${kind}`))).toHaveLength(1);
    expect(names).toEqual(
      expect.arrayContaining(["Writer of ApiKeys without Keywright's verbs", 'Stolen token of the operator']),
    );
  });

  it.each([...inRows, ...inProse])('names tests that are there: $text', ({ file, titles }) => {
    expect(file).toMatch(isFile);
    const known = titlesOf(sourceOf(file));
    for (const title of titles) {
      // A placeholder stands for what a table of cases puts there; what is left must say something.
      expect(title.replaceAll(/%[a-z]|\$[a-zA-Z.]+/g, '').trim().length, title).toBeGreaterThan(8);
      expect(
        known.filter((one) => one.includes(title)),
        title,
      ).not.toEqual([]);
    }
  });
});
