import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PartMissing } from '../harness/binaries.ts';
import { noteUse } from '../harness/parts.ts';
import { which } from '../harness/process.ts';
import { playground, startCommand, startStandalone, type Playground, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

if (which('script') === undefined) throw new PartMissing('no terminal: the program `script` (util-linux) is missing');

let place: Playground;
let program: Standalone;

/** In a terminal window of this size, with a keyboard. */
function startIn(columns: number, rows: number): Standalone {
  const words = [...startCommand, '--manifests', place.manifests, '--data', place.data, '--port', '0'];
  const line = `stty cols ${columns} rows ${rows}; exec ${words.map((word) => `'${word}'`).join(' ')}`;
  return startStandalone({ command: ['script', '-qefc', line, '/dev/null'], cwd: place.dir, hasKeyboard: true });
}

/** The lines of the picture that was drawn last. */
function lastPicture(): readonly string[] {
  return (program.output().split('\u001B[0J').at(-1) ?? '').split('\r\n');
}

beforeEach(async () => {
  await noteUse('PostgreSQL 18.4 (embedded), a terminal');
  place = playground();
});
afterEach(async () => {
  await program.killAll();
  await place.remove();
});

it('draws the table over itself without a wrapped row at 80 columns, and leaves a clean screen on Ctrl-C', async () => {
  program = startIn(80, 24);
  await until(() => lastPicture().filter((line) => /^default\/\S+ +True +Available/.test(line)).length === 2, {
    what: 'the table',
    deadlineMs: 30_000,
  });
  for (const line of lastPicture().filter((one) => /^(NAME|default)/.test(one)))
    expect(line.length, line).toBeLessThanOrEqual(80);
  rmSync(join(place.manifests, 'newsletter-tests.yaml'));
  await until(() => !lastPicture().some((line) => line.startsWith('default/newsletter-tests')), {
    what: 'the row to go',
    deadlineMs: 30_000,
  });
  expect(lastPicture().some((line) => line.startsWith('default/billing-sync'))).toBe(true);
  program.type('\u0003');
  expect(await program.ended).toEqual({ code: 0, signal: null });
  expect(program.output()).toMatch(/stopped; the next start goes on from here\r\n$/);
  // No other screen, no hidden cursor: nothing that would have to be taken back, also after a kill.
  expect(program.output()).not.toContain('\u001B[?');
});

it('stops when Ctrl-C comes while it starts, and with its window', async () => {
  program = startIn(120, 40);
  await program.says('starting the database');
  program.type('\u0003');
  expect((await program.ended).code).toBe(0);
  await until(() => place.isDeserted(), { what: 'the end of the database' });
  program = startIn(120, 40);
  await program.says('/v1/verify answers');
  expect(await place.isDeserted()).toBe(false);
  // The terminal itself goes: what ran in it gets a hang-up.
  await program.killAll();
  await until(() => place.isDeserted(), { what: 'the end of everything' });
});
