import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

const source = join(import.meta.dirname, '../../../operator/src');

test('an allow is built in one place only: where the last question was answered', () => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const builders = files.filter((file) => readFileSync(join(source, file), 'utf8').includes('new Allow('));
  expect(builders).toEqual(['authorize/decide.ts']);
  expect(readFileSync(join(source, 'authorize/decide.ts'), 'utf8').split('new Allow(')).toHaveLength(2);
});
