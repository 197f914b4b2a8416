import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { PepperFault, PepperRing } from '../../../operator/src/keys/pepper.ts';
import { PepperFile } from '../../../operator/src/keys/pepperfile.ts';
import { FileFault } from '../../../operator/src/watchedfile.ts';

const token = new Plaintext('acme_live_0123456789AB_abcdefghijklmnopqrstuvwxyzABCDEF330Tz5');
const first = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');
const second = Buffer.alloc(40, 7).toString('base64');
const ringText = (current: string, peppers: Record<string, string>): string => JSON.stringify({ current, peppers });
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('the pepper ring', () => {
  test('hashes the whole token with HMAC-SHA-256 under the current pepper', () => {
    const hashed = PepperRing.parse(ringText('a', { a: first })).hash(token);
    expect(hashed.pepperId).toBe('a');
    expect(hex(hashed.hash)).toBe('211129393dedb7b0da0d669298f48f71f29ec1e5b78eda11c75dc1673c41b864');
  });

  test('gives HMAC(pepper, "keywright") as the check value of each pepper', () => {
    const checks = PepperRing.parse(ringText('b', { a: first, b: second })).checks();
    expect(checks.map((entry) => entry.pepperId)).toEqual(['a', 'b']);
    expect(checks.map((entry) => hex(entry.check))[0]).toBe('708919ca7828ce6a47b57b76c1ef41ac85a9ae2c5da06d3cef68381d2eefdc28');
  });

  test('knows a version by the pepper that it was made with, also after another one became the current', () => {
    const version = PepperRing.parse(ringText('a', { a: first })).hash(token);
    expect(PepperRing.parse(ringText('b', { a: first, b: second })).matches(version, token)).toBe(true);
  });

  test('tells a wrong token from a pepper that it does not have', () => {
    const version = PepperRing.parse(ringText('a', { a: first })).hash(token);
    expect(PepperRing.parse(ringText('a', { a: first })).matches(version, new Plaintext('other'))).toBe(false);
    expect(PepperRing.parse(ringText('b', { b: first })).matches(version, token)).toBe('unknown pepper');
  });

  test('a stored hash of another length matches nothing', () => {
    const ring = PepperRing.parse(ringText('a', { a: first }));
    expect(ring.matches({ pepperId: 'a', hash: new Uint8Array(0) }, token)).toBe(false);
    expect(ring.matches({ pepperId: 'a', hash: ring.hash(token).hash.subarray(0, 16) }, token)).toBe(false);
  });

  test.each([
    ['no JSON', '{"current"'],
    ['a list', '[]'],
    ['no current', JSON.stringify({ peppers: { a: first } })],
    ['a current that is not there', ringText('b', { a: first })],
    ['a current that every object has', ringText('constructor', { a: first })],
    ['31 bytes', ringText('a', { a: Buffer.alloc(31).toString('base64') })],
    ['text that is no base64', ringText('a', { a: `${first}!` })],
    ['an empty pepper', ringText('a', { a: '' })],
    ['an id with a space', ringText('a b', { 'a b': first })],
    ['another member', JSON.stringify({ current: 'a', peppers: { a: first }, extra: 1 })],
  ])('refuses %s and quotes nothing of it', (_title, text) => {
    const parse = (): PepperRing => PepperRing.parse(text);
    expect(parse).toThrow(PepperFault);
    expect(parse).not.toThrow(new RegExp(first.slice(0, 20).replace('+', '\\+')));
  });
});

describe('the pepper file', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keywright-pepper-'));
    path = join(folder, 'pepper.json');
    await writeFile(path, ringText('a', { a: first }));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  test('does not open when the database knows another pepper by an id', async () => {
    await expect(PepperFile.open({ path, check: () => Promise.resolve('wrong') })).rejects.toThrow(
      'the pepper "a" is not the one',
    );
  });

  test('does not open when the file is missing', async () => {
    await expect(PepperFile.open({ path: join(folder, 'none'), check: () => Promise.resolve('right') })).rejects.toThrow(
      FileFault,
    );
  });

  test('takes over a pepper that is added while we run', async () => {
    const file = await PepperFile.open({ path, check: () => Promise.resolve('right') });
    expect(await file.file.refresh()).toBe('same');
    await writeFile(path, ringText('b', { a: first, b: second }));
    expect(await file.file.refresh()).toBe('changed');
    expect(file.hash(token).pepperId).toBe('b');
  });

  test('keeps the last good ring when the file breaks, or brings another pepper under a known id', async () => {
    const known = new Map<string, string>();
    const file = await PepperFile.open({
      path,
      check: (id, check) => {
        const before = known.get(id) ?? hex(check);
        known.set(id, before);
        return Promise.resolve(before === hex(check) ? 'right' : 'wrong');
      },
    });
    const version = file.hash(token);
    await writeFile(path, '{"current":');
    await expect(file.file.refresh()).rejects.toThrow(PepperFault);
    await writeFile(path, ringText('a', { a: second }));
    await expect(file.file.refresh()).rejects.toThrow('the pepper "a"');
    expect(file.matches(version, token)).toBe(true);
  });
});
