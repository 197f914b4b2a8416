import { admissionPolicy, admissionPolicyBinding } from '../../../operator/src/api/admission/policy.ts';

/** An object that a case edits in place. */
export interface Editable {
  metadata: Record<string, unknown>;
  spec: Record<string, unknown>;
}

/** The policy and its binding. */
export interface Pair {
  readonly policy: Editable;
  readonly binding: Editable;
}

/** One edit of the pair. */
export interface Edit {
  readonly title: string;
  readonly edit: (pair: Pair) => void;
}

/** An edit after which not every write of an ApiKey is judged by our policy. */
export interface Weakening extends Edit {
  /** What the sentence names. */
  readonly says: string;
}

/** Our objects, as they are applied; a copy at each call. */
export function appliedPair(): Pair {
  return { policy: structuredClone(admissionPolicy()) as never, binding: structuredClone(admissionPolicyBinding()) as never };
}

/** Our objects with what Kubernetes 1.37 adds to them: a test on the API server compares. */
export function livePair(): Pair {
  const pair = appliedPair();
  Object.assign(pair.policy.metadata, { uid: 'uid-p', generation: 1, creationTimestamp: '2026-11-21T00:00:00Z' });
  Object.assign(pair.binding.metadata, { uid: 'uid-b', generation: 3, creationTimestamp: '2026-11-21T00:00:00Z' });
  Object.assign(constraints(pair), { namespaceSelector: {}, objectSelector: {} });
  return pair;
}

/** Edits that change nothing. */
export const spelledOut: readonly Edit[] = [
  { title: 'a binding that audits besides', edit: ({ binding }) => void (binding.spec['validationActions'] = ['Deny', 'Audit']) },
  {
    title: 'a binding that says it applies everywhere',
    edit: ({ binding }) =>
      void (binding.spec['matchResources'] = { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} }),
  },
  {
    title: 'labels and annotations of others',
    edit: ({ policy, binding }) => {
      for (const { metadata } of [policy, binding]) Object.assign(metadata, { annotations: { a: 'b' }, labels: { c: 'd' } });
    },
  },
  { title: 'an empty list of conditions', edit: ({ policy }) => void (policy.spec['matchConditions'] = []) },
];

const constraints = ({ policy }: Pair) => policy.spec['matchConstraints'] as Record<string, unknown>;
const rule = (pair: Pair) => (constraints(pair)['resourceRules'] as Record<string, unknown>[])[0] ?? {};
const validations = ({ policy }: Pair) => policy.spec['validations'] as Record<string, unknown>[];
const variablesOf = ({ policy }: Pair) => policy.spec['variables'] as Record<string, unknown>[];
const served = { matchLabels: { served: 'yes' } };
const ruleOf = (resources: readonly string[]) => [
  { apiGroups: ['keywright.dev'], apiVersions: ['*'], operations: ['*'], resources, scope: '*' },
];

/** Edits of a rule of the constraints, by the member and what it is afterwards. */
const narrowedRules: readonly (readonly [string, unknown])[] = [
  ['operations', ['CREATE']],
  ['operations', ['UPDATE', 'DELETE']],
  ['apiGroups', ['example.com']],
  ['apiVersions', ['v1']],
  ['resources', ['apikeys/status']],
  ['resourceNames', ['one']],
  ['scope', 'Cluster'],
];

/** Every way that we know in which objects of our names protect less, or something else. */
export const weakenings: readonly Weakening[] = [
  {
    title: 'failurePolicy Ignore',
    edit: ({ policy }) => void (policy.spec['failurePolicy'] = 'Ignore'),
    says: 'spec.failurePolicy is "Ignore" instead of "Fail"',
  },
  {
    title: 'a condition that exempts somebody',
    edit: ({ policy }) =>
      void (policy.spec['matchConditions'] = [{ name: 'not-me', expression: "request.userInfo.username != 'mallory'" }]),
    says: 'spec.matchConditions must not be set',
  },
  {
    title: 'a namespaceSelector of the policy',
    edit: (pair) => void (constraints(pair)['namespaceSelector'] = served),
    says: 'spec.matchConstraints.namespaceSelector must not be set',
  },
  {
    title: 'an objectSelector of the policy',
    edit: (pair) => void (constraints(pair)['objectSelector'] = served),
    says: 'spec.matchConstraints.objectSelector must not be set',
  },
  {
    title: 'an exempt resource',
    edit: (pair) => void (constraints(pair)['excludeResourceRules'] = ruleOf(['apikeys'])),
    says: 'spec.matchConstraints.excludeResourceRules must not be set',
  },
  {
    title: 'matchPolicy Exact',
    edit: (pair) => void (constraints(pair)['matchPolicy'] = 'Exact'),
    says: 'spec.matchConstraints.matchPolicy is "Exact" instead of "Equivalent"',
  },
  ...narrowedRules.map(([member, value]) => ({
    title: `${member} ${JSON.stringify(value)}`,
    edit: (pair: Pair) => void (rule(pair)[member] = value),
    says: `spec.matchConstraints.resourceRules[0].${member}`,
  })),
  {
    title: 'a parameter kind',
    edit: ({ policy }) => void (policy.spec['paramKind'] = { apiVersion: 'v1', kind: 'ConfigMap' }),
    says: 'spec.paramKind must not be set',
  },
  {
    title: 'one validation less',
    edit: (pair) => void validations(pair).pop(),
    says: 'spec.validations has ',
  },
  {
    title: 'one validation more',
    edit: (pair) => void validations(pair).push({ expression: 'true' }),
    says: 'spec.validations has ',
  },
  {
    title: 'another expression',
    edit: (pair) => void Object.assign(validations(pair)[1] ?? {}, { expression: 'true' }),
    says: 'spec.validations[1].expression',
  },
  {
    title: 'an expression with one more character',
    edit: (pair) =>
      void Object.assign(validations(pair)[0] ?? {}, { expression: `${String(validations(pair)[0]?.['expression'])} ` }),
    says: 'spec.validations[0].expression',
  },
  {
    title: 'another variable',
    edit: (pair) => void Object.assign(variablesOf(pair)[0] ?? {}, { expression: 'false' }),
    says: 'spec.variables[0].expression',
  },
  {
    title: 'another policy altogether',
    edit: ({ policy }) => {
      policy.spec['variables'] = [];
      policy.spec['validations'] = [{ expression: 'true' }];
    },
    says: 'spec.variables is missing',
  },
  {
    title: 'a binding that only audits',
    edit: ({ binding }) => void (binding.spec['validationActions'] = ['Audit']),
    says: 'the ValidatingAdmissionPolicyBinding keywright does not protect every ApiKey: spec.validationActions lacks "Deny"',
  },
  {
    title: 'a binding that only warns',
    edit: ({ binding }) => void (binding.spec['validationActions'] = ['Warn', 'Audit']),
    says: 'spec.validationActions lacks "Deny"',
  },
  {
    title: 'a binding to another policy',
    edit: ({ binding }) => void (binding.spec['policyName'] = 'other'),
    says: 'spec.policyName is "other" instead of "keywright"',
  },
  {
    title: 'a namespaceSelector of the binding',
    edit: ({ binding }) => void (binding.spec['matchResources'] = { namespaceSelector: served }),
    says: 'spec.matchResources.',
  },
  {
    title: 'an objectSelector of the binding',
    edit: ({ binding }) => void (binding.spec['matchResources'] = { matchPolicy: 'Equivalent', objectSelector: served }),
    says: 'spec.matchResources.objectSelector must not be set',
  },
  {
    title: 'a binding to other resources',
    edit: ({ binding }) => void (binding.spec['matchResources'] = { resourceRules: ruleOf(['keyowners']) }),
    says: 'spec.matchResources.',
  },
  {
    title: 'a binding that exempts a resource',
    edit: ({ binding }) => void (binding.spec['matchResources'] = { excludeResourceRules: ruleOf(['apikeys']) }),
    says: 'spec.matchResources.',
  },
  {
    title: 'parameters of the binding',
    edit: ({ binding }) => void (binding.spec['paramRef'] = { name: 'x', parameterNotFoundAction: 'Allow' }),
    says: 'spec.paramRef must not be set',
  },
];
