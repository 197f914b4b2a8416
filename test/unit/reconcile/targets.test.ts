import { describe, expect, it } from 'vitest';
import type { KeyDestination } from '../../../operator/src/api/kinds.ts';
import { resolveTargets } from '../../../operator/src/reconcile/targets.ts';
import { observed } from '../../builders/observed.ts';
import { destinationSpec } from '../../builders/world.ts';

const namespace = { name: 'payments', labels: {} };
const destination: KeyDestination = {
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'KeyDestination',
  metadata: { name: 'prod-vault', uid: 'vault-uid', resourceVersion: '1', finalizers: ['keywright.dev/finalizer'] },
  spec: destinationSpec(),
};

function resolve(deliverTo: object, found: KeyDestination | undefined = destination) {
  return resolveTargets(observed({ spec: { deliverTo } }).resource, namespace, { findDestination: () => found })[0];
}

const toVault = [{ name: 'vault', destination: 'prod-vault' }];

describe('a target', () => {
  it('in a destination is its template filled with namespace and name, or the path of the entry', () => {
    expect(resolve(toVault)).toEqual({
      name: 'vault',
      location: { destinationUid: 'vault-uid', path: 'secret/keywright/payments/billing' },
      place: expect.stringContaining('{"vault":{"address":') as unknown,
    });
    expect(resolve([{ ...toVault[0], path: 'jobs/nightly' }])?.location?.path).toBe('secret/keywright/payments/jobs/nightly');
  });

  it('that is a Secret needs no destination', () => {
    const secret = resolveTargets(
      observed({ spec: { deliverTo: [{ name: 'local', secret: { name: 'a.b' } }] } }).resource,
      namespace,
      { findDestination: () => undefined },
    );
    expect(secret).toEqual([{ name: 'local', location: { destinationUid: 'secret', path: 'payments/a.b' } }]);
  });

  it('that is a Secret where the operator may deliver none is refused, and keeps its place', () => {
    const { resource } = observed({ spec: { deliverTo: [{ name: 'local', secret: { name: 'billing' } }] } });
    const open = (secretNamespaces: readonly string[] | undefined) =>
      resolveTargets(resource, namespace, { findDestination: () => undefined, secretNamespaces })[0];
    const location = { destinationUid: 'secret', path: 'payments/billing' };
    const message = 'local: this operator delivers no Secrets to namespace payments';
    for (const closed of [[], ['elsewhere']]) {
      expect(open(closed)).toEqual({
        name: 'local',
        location,
        blocked: { kind: 'stalled', reason: 'NotPermitted', message },
      });
    }
    for (const opened of [undefined, ['elsewhere', 'payments']]) expect(open(opened)).toEqual({ name: 'local', location });
  });

  it('whose destination is missing waits for it, and names it', () => {
    const target = resolveTargets(observed({ spec: { deliverTo: toVault } }).resource, namespace, {
      findDestination: () => undefined,
    })[0];
    expect(target?.location).toBeUndefined();
    expect(target?.blocked).toMatchObject({ kind: 'waiting', reason: 'DestinationNotFound' });
    expect(target?.blocked?.message).toContain('prod-vault');
  });

  it('whose destination does not allow the namespace keeps its place, so that what is there stays known', () => {
    const target = resolve(toVault, { ...destination, spec: destinationSpec({ allowedNamespaces: { names: ['elsewhere'] } }) });
    expect(target?.location).toBeDefined();
    expect(target?.blocked).toMatchObject({ kind: 'stalled', reason: 'NotPermitted' });
  });

  it('whose destination is being deleted gets nothing new', () => {
    const metadata = { ...destination.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
    expect(resolve(toVault, { ...destination, metadata })?.blocked).toMatchObject({
      kind: 'waiting',
      reason: 'DestinationNotFound',
    });
  });

  it('cannot climb out of its template, whatever the names are', () => {
    const { resource } = observed({ spec: { deliverTo: toVault } });
    for (const name of ['..', 'a/../../other', '%2e%2e']) {
      const named = { ...resource, metadata: { ...resource.metadata, name } };
      const [target] = resolveTargets(named, namespace, { findDestination: () => destination });
      expect(target?.location).toBeUndefined();
      expect(target?.blocked).toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
    }
  });
});
