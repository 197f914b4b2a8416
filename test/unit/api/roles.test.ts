import { describe, expect, it } from 'vitest';
import {
  leaseName,
  operatorEventRules,
  operatorOwnRules,
  operatorRoles,
  roleManifests,
  userRoles,
} from '../../../operator/src/api/admission/roles.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly rules: readonly { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
}

const manifests = roleManifests('somewhere') as unknown as readonly Manifest[];
const { cluster, keys, secrets, consumers } = operatorRoles;
const operatorRules = [cluster, keys, secrets, consumers].flatMap(({ rules }) => rules);
const resourcesOf = (rules: readonly { readonly resources: readonly string[] }[]) => rules.flatMap(({ resources }) => resources);

describe('the roles', () => {
  it('are four for users, one for Service Binding and five for the operator', () => {
    expect(manifests.map(({ kind, metadata }) => [kind, metadata.name, metadata.namespace])).toEqual([
      ['ClusterRole', 'keywright-admin', undefined],
      ['ClusterRole', 'keywright-grantor', undefined],
      ['ClusterRole', 'keywright-responder', undefined],
      ['ClusterRole', 'keywright-viewer', undefined],
      ['ClusterRole', 'keywright-operator', undefined],
      ['ClusterRole', 'keywright-operator-keys', undefined],
      ['ClusterRole', 'keywright-operator-secrets', undefined],
      ['ClusterRole', 'keywright-operator-consumers', undefined],
      ['ClusterRole', 'keywright-service-binding', undefined],
      ['Role', 'keywright-operator', 'somewhere'],
    ]);
  });

  it('have no wildcard', () => {
    for (const rule of manifests.flatMap(({ rules }) => rules)) {
      for (const word of [...rule.apiGroups, ...rule.resources, ...rule.verbs]) expect(word).not.toContain('*');
    }
  });

  it('[S2-1] are aggregated to nothing, so that nobody gets one with view, edit or admin', () => {
    for (const { metadata, ...rest } of manifests) {
      expect(Object.keys(metadata.labels ?? {}).filter((label) => label.startsWith('rbac.'))).toEqual([]);
      expect(rest).not.toHaveProperty('aggregationRule');
    }
  });

  it('let nobody but the operator write a status, and nobody at all grant, own or deliver by accident', () => {
    for (const { rules } of userRoles) expect(rules.flatMap(({ resources }) => resources).join()).not.toContain('/status');
    const verbs = [...operatorRules, ...operatorOwnRules].flatMap((rule) => rule.verbs);
    for (const verb of ['grant', 'own', 'deliver', 'revoke', 'rotate', 'bind', 'escalate', 'impersonate']) {
      expect(verbs).not.toContain(verb);
    }
    expect(operatorRules.filter((rule) => rule.verbs.includes('update')).flatMap(({ resources }) => resources)).toEqual([
      'apikeys/finalizers',
    ]);
  });

  it('let the operator touch workloads by a role of their own only, and no more of them than it needs', () => {
    const others = [cluster, keys, secrets].flatMap(({ rules }) => rules);
    expect([...others, ...operatorOwnRules].flatMap(({ apiGroups }) => apiGroups)).not.toContain('apps');
    expect(new Set(consumers.rules.flatMap(({ verbs }) => verbs))).toEqual(new Set(['get', 'patch']));
  });

  it('give the operator no verb on Secrets but by a role of their own, so that an installation without it reads none', () => {
    const others = [cluster, keys, consumers].flatMap(({ rules }) => rules);
    expect(resourcesOf([...others, ...operatorOwnRules, ...operatorEventRules])).not.toContain('secrets');
    expect(resourcesOf(secrets.rules)).toEqual(['secrets']);
  });

  it('bind to single namespaces what is not of the whole cluster', () => {
    expect(resourcesOf(cluster.rules).filter((one) => /apikeys|secrets|events|deployments/.test(one))).toEqual([]);
    expect(resourcesOf(keys.rules)).toEqual(['apikeys', 'apikeys/finalizers', 'apikeys/status', 'events']);
  });

  it('let the operator touch one Lease', () => {
    const touching = operatorOwnRules.filter(({ verbs }) => !verbs.includes('create'));
    expect(touching.map(({ resourceNames }) => resourceNames)).toEqual([[leaseName]]);
  });
});
