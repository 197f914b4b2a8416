import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..', '..');
const page = readFileSync(join(root, 'docs/threat-model.md'), 'utf8');

/** A reference such as `unit/server/callers › a token that is …`: the file, and the beginnings of the titles that it names. */
interface Reference {
  readonly file: string;
  readonly titles: readonly string[];
}

const references: readonly Reference[] = [
  ...page.matchAll(/\b((?:unit|contract|integration|e2e)\/[A-Za-z0-9/-]+) › ([^|]*?)(?=;|\||\n)/g),
].map(([, file = '', titles = '']) => ({
  file,
  titles: titles
    .split(/, (?=[a-z])|…, | › /)
    .map((title) => (title.split('…')[0] ?? '').trim())
    .filter((title) => title.length > 8),
}));

/** The text of a test file, or of all files of a folder of contract suites. */
function sourceOf(file: string): string {
  const path = join(root, 'test', file);
  if (existsSync(`${path}.test.ts`)) return readFileSync(`${path}.test.ts`, 'utf8');
  return readdirSync(path)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(path, name), 'utf8'))
    .join('\n');
}

describe('the threat model', () => {
  it('names a test for each principal', () => {
    expect(references.length).toBeGreaterThan(40);
  });

  it.each(references)('names tests that are there: $file', ({ file, titles }) => {
    const source = sourceOf(file).replaceAll('\\', '');
    for (const title of titles) {
      // A placeholder stands for what a table of cases puts there.
      const fixed = title.split(/%s|\$[a-z]+/)[0]?.trim() ?? '';
      expect(source, title).toContain(fixed);
    }
  });
});
