import type { Schema } from '../structural.ts';
import { operatorPolicy, operatorPolicyBinding, operatorPolicyName } from './operatorpolicy.ts';
import { admissionPolicy, admissionPolicyBinding, admissionPolicyName } from './policy.ts';

/** Whether the API server enforces the admission policy of this version on every ApiKey. */
export type AdmissionInspection =
  | {
      readonly kind: 'inForce';
      /**
       * `<policy.uid>:<policy.generation>:<binding.uid>:<binding.generation>`. The API server sets all four, and raises a
       * generation with each edit of a spec: an equal identity means that neither object was edited or re-created between
       * two look-ups.
       */
      readonly identity: string;
    }
  | {
      readonly kind: 'notInForce';
      /** One sentence without a full stop that names the object and the field. */
      readonly why: string;
    };

/**
 * Judges the live ValidatingAdmissionPolicy and its binding by their content, as the API server returns them; undefined stands
 * for an object that does not exist. Fails closed: a member that this version does not generate counts as a deviation, even if it
 * is harmless. Annotations and labels of the two do not matter.
 */
export function inspectAdmission(policy: unknown, binding: unknown): AdmissionInspection {
  return inspectPair(keyPolicy, policy, binding);
}

/**
 * The same for the policy that limits the operator's own account, in the cluster of an operator that runs in this namespace. It
 * only limits what a stolen token can do.
 */
export function inspectOperatorPolicy(operatorNamespace: string, policy: unknown, binding: unknown): AdmissionInspection {
  return inspectPair({ ...ownPolicy, policy: operatorPolicy(operatorNamespace) }, policy, binding);
}

/** The expected policy and binding. */
interface Expected {
  readonly name: string;
  /** What the two do; completes "does not …". */
  readonly purpose: string;
  readonly policy: Schema;
  readonly binding: Schema;
}

const keyPolicy: Expected = {
  name: admissionPolicyName,
  purpose: 'protect every ApiKey',
  policy: admissionPolicy(),
  binding: admissionPolicyBinding(),
};
const ownPolicy: Omit<Expected, 'policy'> = {
  name: operatorPolicyName,
  purpose: "limit the operator's account as it should",
  binding: operatorPolicyBinding(),
};

function inspectPair(expected: Expected, policy: unknown, binding: unknown): AdmissionInspection {
  const seen = [
    inspectObject(expected, 'ValidatingAdmissionPolicy', policy, (spec) => policyDeviation(expected, spec)),
    inspectObject(expected, 'ValidatingAdmissionPolicyBinding', binding, (spec) => bindingDeviation(expected, spec)),
  ];
  const why = seen.flatMap((one) => ('why' in one ? [one.why] : []))[0];
  if (why !== undefined) return { kind: 'notInForce', why };
  return { kind: 'inForce', identity: seen.flatMap((one) => ('identity' in one ? [one.identity] : [])).join(':') };
}

const identityPattern = /^([^:]+):([0-9]+):([^:]+):([0-9]+)$/;

/**
 * Whether the policy was in force all the time between two identities that were each found in force. The API server sets uid and
 * generation, keeps the uid until the object is deleted, and adds exactly one to the generation with each change of the spec. So an
 * object of the same uid whose generation is the same, or greater by one, has had no other spec than the two that were judged:
 * from the first one to the second there was one write, which replaced the one by the other.
 */
export function isContinuation(before: string, after: string): boolean {
  const [old, next] = [before, after].map((identity) => identityPattern.exec(identity));
  if (old === undefined || next === undefined || old === null || next === null) return false;
  const hasOneStep = (at: 1 | 3): boolean => old[at] === next[at] && [0, 1].includes(Number(next[at + 1]) - Number(old[at + 1]));
  return hasOneStep(1) && hasOneStep(3);
}

type Deviation = (spec: unknown) => string | undefined;

function inspectObject(
  expected: Expected,
  kind: string,
  live: unknown,
  deviationOf: Deviation,
): { readonly why: string } | { readonly identity: string } {
  const named = `the ${kind} ${expected.name}`;
  if (!isObject(live)) return { why: `${named} does not exist` };
  const metadata = isObject(live['metadata']) ? live['metadata'] : {};
  const { name, uid, generation, deletionTimestamp } = metadata;
  if (name !== expected.name) return { why: `${named} cannot be judged: metadata.name is ${shown(name)}` };
  if (!isAbsent(deletionTimestamp)) return { why: `${named} is being deleted: metadata.deletionTimestamp is set` };
  if (typeof uid !== 'string' || uid === '') return { why: `${named} cannot be judged: metadata.uid is missing` };
  if (typeof generation !== 'number') return { why: `${named} cannot be judged: metadata.generation is missing` };
  const deviation = deviationOf(live['spec']);
  return deviation === undefined
    ? { identity: `${uid}:${generation}` }
    : { why: `${named} does not ${expected.purpose}: ${deviation}` };
}

function policyDeviation({ policy }: Expected, spec: unknown): string | undefined {
  return difference(policy['spec'], spec, 'spec');
}

/** A binding may have more actions than Deny, and may say explicitly that it applies to everything. */
function bindingDeviation({ binding }: Expected, spec: unknown): string | undefined {
  const { validationActions, matchResources, ...rest } = isObject(spec) ? spec : {};
  const { validationActions: _, ...expected } = binding['spec'] as Schema;
  const deviation = difference(expected, rest, 'spec');
  if (deviation !== undefined) return deviation;
  if (!Array.isArray(validationActions) || !validationActions.includes('Deny')) return 'spec.validationActions lacks "Deny"';
  if (isAbsent(matchResources)) return undefined;
  return difference({ matchPolicy: 'Equivalent' }, matchResources, 'spec.matchResources');
}

/** The first member that differs, in one clause. The server fills in empty selectors, which say the same as none. */
function difference(expected: unknown, actual: unknown, path: string): string | undefined {
  if (isAbsent(expected) || isAbsent(actual)) return absenceDifference(expected, actual, path);
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (expected.length !== actual.length) return `${path} has ${actual.length} entries instead of ${expected.length}`;
    return firstDefined(expected.keys(), (at) => difference(expected[at], actual[at], `${path}[${at}]`));
  }
  if (isObject(expected) && isObject(actual)) {
    const members = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    return firstDefined(members, (member) => difference(expected[member], actual[member], `${path}.${member}`));
  }
  if (expected === actual) return undefined;
  if (isShort(expected) && isShort(actual)) return `${path} is ${shown(actual)} instead of ${shown(expected)}`;
  return `${path} is not what this version of Keywright generates`;
}

function absenceDifference(expected: unknown, actual: unknown, path: string): string | undefined {
  if (isAbsent(expected) && isAbsent(actual)) return undefined;
  return isAbsent(actual) ? `${path} is missing` : `${path} must not be set`;
}

function firstDefined<Item, Result>(items: Iterable<Item>, of: (item: Item) => Result | undefined): Result | undefined {
  for (const item of items) {
    const result = of(item);
    if (result !== undefined) return result;
  }
  return undefined;
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** For the API server a missing list, an empty one and an empty selector mean the same. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

const longestShown = 40;

/** A value, shortened to fit a sentence: the expressions are pages long. */
function isShort(value: unknown): boolean {
  return JSON.stringify(value).length <= longestShown;
}

function shown(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, longestShown);
}
