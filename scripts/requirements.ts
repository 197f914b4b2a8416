// `npm run requirements`: which requirements no test names in its title. Exits 1 only when a title names an unknown id,
// because a requirement may wait for its feature, while a wrong id proves nothing.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { coverage } from './coverage.ts';

const ROOT = join(import.meta.dirname, '..');
const requirementsSchema = z.array(z.strictObject({ id: z.string().regex(/^S\d-\d+$/), text: z.string().min(1) }));

const requirements = requirementsSchema.parse(parse(readFileSync(join(ROOT, 'docs', 'requirements.yaml'), 'utf8')));
const { untested, unknown } = coverage(requirements, readTests());
for (const { id, text } of untested) process.stdout.write(`${id}  ${text}\n`);
for (const { id, file } of unknown) process.stderr.write(`${file} names ${id}, which docs/requirements.yaml does not have\n`);
process.stdout.write(`\n${requirements.length - untested.length} of ${requirements.length} requirements are named by a test\n`);
process.exitCode = unknown.length === 0 ? 0 : 1;

/** All layers, contract suites included; but not the tests of this very script, whose titles are only examples. */
function readTests(): { file: string; text: string }[] {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => /^(unit|contract|integration|e2e)\/.*\.ts$/.test(file) && !file.startsWith('unit/scripts/'))
    .map((file) => ({ file: `test/${file}`, text: readFileSync(join(ROOT, 'test', file), 'utf8') }));
}
