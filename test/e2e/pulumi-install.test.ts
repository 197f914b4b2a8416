import { ApiCatalog, ApiKey, KeyOwner, Keywright } from '@keywright/pulumi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiKeySpec } from '../builders/pulumispec.ts';
import { Installation } from '../harness/installation.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { Pulumi } from '../harness/pulumi/pulumi.ts';
import { Scene } from '../harness/scene.ts';

// A cluster without a CRD or a namespace of ours.
const plane = await ownControlPlane({ crds: false });
const { kube } = plane;
const { url } = await (await usePostgres()).createDatabase({ migrated: false });
const pulumi = await Pulumi.open(kube);
const scene = new Scene(kube);
let here: Installation;

beforeAll(async () => {
  here = await Installation.open(kube, { createNamespace: false });
});

afterAll(async () => {
  await here.close();
  await kube.close();
  await plane.stop();
});

describe('the component Keywright', () => {
  it('brings a cluster from nothing to a Ready key in one update, with the database URL in no state, and goes again', async () => {
    const namespace = await kube.createNamespace('team');
    const stack = await pulumi.stack('install', async () => {
      const values = { database: { url }, secrets: { all: true } };
      const opts = { dependsOn: new Keywright('keywright', { values, timeout: 90 }) };
      const accessTypes = [{ name: 'Integrations', endpoints: 'All' as const }];
      new ApiCatalog('default', { spec: { key: { prefix: 'shop', environment: 'live' }, accessTypes } }, opts);
      const grants = [{ catalog: 'default', accessTypes: ['*'] }];
      const allowedNamespaces = { all: true };
      new KeyOwner('team', { spec: { type: 'Team', displayName: 'Team', allowedNamespaces, grants } }, opts);
      new ApiKey('billing', { metadata: { namespace }, spec: apiKeySpec }, opts);
    });
    // Nothing of ours is there yet, not even the kinds.
    expect((await stack.preview()).changeSummary).toEqual({ create: 6 });
    await stack.up();
    expect(await scene.verdict(namespace, 'billing')).toBe('True Available');
    expect(pulumi.stored()).not.toContain(new URL(url).password);
    expect((await stack.preview()).changeSummary).toEqual({ same: 6 });
    expect((await stack.refresh()).summary.resourceChanges).toEqual({ same: 6 });
    expect((await stack.destroy()).summary.resourceChanges).toEqual({ delete: 6 });
  });
});
