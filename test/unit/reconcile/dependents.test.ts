import { describe, expect, it } from 'vitest';
import { Dependents } from '../../../operator/src/reconcile/dependents.ts';

describe('dependents', () => {
  it('are the keys that named something when they were last looked at, and no others', () => {
    const dependents = new Dependents();
    dependents.record('a/one', ['ApiCatalog/default', 'KeyOwner/team']);
    dependents.record('a/two', ['ApiCatalog/default', 'KeyOwner/other']);
    expect([...dependents.of('ApiCatalog/default')].sort()).toEqual(['a/one', 'a/two']);
    expect(dependents.of('KeyOwner/team')).toEqual(['a/one']);
    expect(dependents.of('KeyOwner/default')).toEqual([]);
  });

  it('forget what a key named before', () => {
    const dependents = new Dependents();
    dependents.record('a/one', ['KeyOwner/team']);
    dependents.record('a/one', ['KeyOwner/other']);
    expect(dependents.of('KeyOwner/team')).toEqual([]);
    expect(dependents.of('KeyOwner/other')).toEqual(['a/one']);
    dependents.forget('a/one');
    expect(dependents.of('KeyOwner/other')).toEqual([]);
  });
});
