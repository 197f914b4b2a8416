import { describe, expect, it } from 'vitest';
import { bans, checks, maxEntries } from '../../../operator/src/api/admission/checks.ts';
import { fieldRoles } from '../../../operator/src/api/admission/permissions.ts';
import { admissionPolicy, admissionPolicyBinding, admissionPolicyName } from '../../../operator/src/api/admission/policy.ts';
import { probeMessage } from '../../../operator/src/api/admission/probe.ts';
import { variables } from '../../../operator/src/api/admission/variables.ts';
import { kindTable } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import { toStructural } from '../../../operator/src/api/structural.ts';

interface Validation {
  readonly expression: string;
  readonly messageExpression: string;
  readonly message: string;
  readonly reason: string;
}
interface Policy {
  readonly spec: {
    readonly failurePolicy: string;
    readonly validations: readonly Validation[];
    readonly matchConditions?: unknown;
  };
}

const policy = admissionPolicy() as unknown as Policy;
const properties = toStructural(kindTable.ApiKey.spec)['properties'] as Readonly<Record<string, { readonly maxItems?: number }>>;
const expressions = [...variables.map(({ expression }) => expression), ...checks.map(({ when }) => when)].join('\n');

describe('the admission policy', () => {
  it('looks at every field of the spec, and at no other', () => {
    expect(Object.keys(fieldRoles).sort()).toEqual(Object.keys(properties).sort());
    for (const field of Object.keys(properties)) expect(expressions).toMatch(new RegExp(`object\\.spec\\.\\??${field}\\b`));
  });

  it('looks at every annotation that asks for something', () => {
    for (const name of Object.values(annotations)) expect(expressions).toContain(`variables.annotations[?'${name}'] != `);
  });

  it('has a check for every entry that the schema lets in', () => {
    expect([properties['deliverTo']?.maxItems, properties['consumers']?.maxItems]).toEqual([maxEntries, maxEntries]);
    for (let at = 0; at < maxEntries; at += 1) {
      expect(checks.filter(({ name }) => name.startsWith(`variables.deliveries[${at}]`))).toHaveLength(2);
      expect(checks.filter(({ name }) => name.startsWith(`variables.consumers[${at}]`))).toHaveLength(1);
    }
  });

  it('asks the authorizer at most twice in an expression, and 28 times for one key, which is what the server can afford', () => {
    const asked = policy.spec.validations.map(({ expression }) => expression.split('.check(').length - 1);
    expect(Math.max(...asked)).toBe(2);
    // Of the two checks for an entry of deliverTo one is asked; the one for bookkeeping only when no other is.
    expect(asked.reduce((sum, one) => sum + one, 0) - maxEntries - 1).toBeLessThanOrEqual(28);
  });

  it('exempts nobody, and refuses when it cannot decide', () => {
    expect(policy.spec).toMatchObject({ failurePolicy: 'Fail' });
    expect(policy.spec.matchConditions).toBeUndefined();
    for (const { expression } of policy.spec.validations) expect(expression).not.toContain('userInfo');
    expect(admissionPolicyBinding()).toMatchObject({
      metadata: { name: admissionPolicyName },
      spec: { policyName: admissionPolicyName, validationActions: ['Deny'] },
    });
    expect(admissionPolicyBinding()).not.toHaveProperty('spec.matchResources');
  });

  it('names the missing verb in every refusal, after the one that answers the probe', () => {
    const [probe, ...others] = policy.spec.validations;
    // The API server reports only the first of several refusals.
    expect(probe).toEqual({ expression: '!variables.isProbe', reason: 'Invalid', message: probeMessage });
    expect(others).toHaveLength(checks.length + bans.length);
    for (const { expression } of others) expect(expression).toMatch(/^variables\.isProbe \|\| /);
    for (const [at, { message, messageExpression, reason }] of others.slice(0, checks.length).entries()) {
      const verb = `"${checks[at]?.verb ?? ''}"`;
      expect([message, messageExpression, reason]).toEqual([
        expect.stringContaining(verb),
        expect.stringContaining(verb),
        'Forbidden',
      ]);
    }
  });
});
