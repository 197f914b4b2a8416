import { describe, expect, it } from 'vitest';
import { Echoes } from '../../../operator/src/reconcile/echoes.ts';

describe('the echo of an own status write', () => {
  it('asks for no pass, whether it is heard before or after the answer to the write', () => {
    const echoes = new Echoes();
    echoes.begin('key');
    expect(echoes.hear('key', '7')).toBe(false);
    expect(echoes.end('key', '7')).toBe(false);
    echoes.begin('key');
    expect(echoes.end('key', '9')).toBe(false);
    expect(echoes.hear('key', '9')).toBe(false);
  });

  it('asks for none when it comes as late as in the next pass', () => {
    const echoes = new Echoes();
    echoes.begin('key');
    echoes.end('key', '7');
    echoes.begin('key');
    echoes.hear('key', '7');
    expect(echoes.end('key', undefined)).toBe(false);
  });

  it('is not what somebody else wrote, before, during and after a pass', () => {
    const echoes = new Echoes();
    expect(echoes.hear('key', '5')).toBe(true);
    echoes.begin('key');
    expect(echoes.hear('key', '8')).toBe(false);
    expect(echoes.end('key', '7')).toBe(true);
    expect(echoes.hear('key', '8')).toBe(true);
    echoes.begin('key');
    echoes.hear('key', '9');
    expect(echoes.end('key', undefined)).toBe(true);
  });

  it('is of one key', () => {
    const echoes = new Echoes();
    echoes.begin('key');
    echoes.end('key', '7');
    expect(echoes.hear('other', '7')).toBe(true);
    echoes.forget('key');
    expect(echoes.hear('key', '7')).toBe(true);
  });
});
