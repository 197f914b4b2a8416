import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';

const value = 'acme_live_the-value-itself';
const secret = new Plaintext(value);

function printed(): string {
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  new Console(stream).log(secret, { secret }, [secret]);
  return text;
}

describe('a plaintext', () => {
  it.each<[string, () => string]>([
    ['a template', () => `${String(secret)}`],
    ['a concatenation', () => 'key: ' + (secret as unknown as string)],
    ['JSON', () => JSON.stringify({ secret, list: [secret] })],
    ['inspect, however deep', () => inspect({ a: { b: { secret } } }, { depth: null, showHidden: true, getters: true })],
    ['inspect without custom texts', () => inspect(secret, { customInspect: false, showHidden: true })],
    ['format', () => format('%s %o %O %j', secret, secret, secret, secret)],
    ['the console', printed],
    ['an error message', () => String(new Error(`cannot write ${String(secret)}`).stack)],
    ['its members', () => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret).map(String), { ...secret }])],
  ])('is not told by %s', (_way, print) => {
    expect(print()).not.toContain('the-value-itself');
  });

  it('is given to whoever asks for it by name', () => {
    expect(secret.reveal()).toBe(value);
  });

  it('says so where it is left out', () => {
    expect(String(secret)).toBe('[redacted]');
  });

  it('does not survive being cloned into another thread or a file', () => {
    expect(JSON.stringify(structuredClone(secret))).not.toContain('the-value-itself');
  });
});
