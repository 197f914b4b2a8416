import * as z from 'zod';
import { namespacePattern, setOf } from './fields.ts';
import { atMostOneOf } from './rules.ts';
import { withRules } from './rule.ts';

const labelKey = () =>
  z
    .string()
    .min(1)
    .max(317)
    .regex(/^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/, {
      error: 'must be a label key',
    });
const labelValue = () =>
  z
    .string()
    .max(63)
    .regex(/^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/, { error: 'must be a label value' });

const labelSelector = z.strictObject({
  matchLabels: z
    .record(z.string(), labelValue())
    .refine((labels) => Object.keys(labels).length <= 20, { error: 'must not hold more than 20 labels' })
    .meta({ maxProperties: 20 })
    .exactOptional()
    .describe('Labels that a namespace must have, at most 20.'),
  matchExpressions: z
    .array(
      z.strictObject({
        key: labelKey().describe('The label that the requirement is about.'),
        operator: z
          .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
          .describe('How the label is compared: In, NotIn, Exists or DoesNotExist.'),
        values: setOf(labelValue(), { max: 50 }).exactOptional().describe('The values for In and NotIn, at most 50.'),
      }),
    )
    .max(20)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .exactOptional()
    .describe('Requirements that a namespace must meet, all of them, at most 20.'),
});

const namespaceName = () =>
  z.string().min(1).max(63).regex(new RegExp(namespacePattern), { error: 'must be the name of a namespace' });

const names = () => setOf(namespaceName()).exactOptional().describe('Namespaces by name, at most 200.');
const selector = () => labelSelector.exactOptional().describe('Namespaces by their labels; an empty selector means all of them.');

/** Which namespaces may use an owner or a destination. Nothing set = none. */
export function allowedNamespaces() {
  const all = z.literal(true).exactOptional().describe('true = every namespace.');
  return withRules(z.strictObject({ names: names(), selector: selector(), all }), [atMostOneOf(['names', 'selector', 'all'])]);
}

/** Which namespaces keys of an access type may live in. */
export function restrictedNamespaces() {
  return withRules(z.strictObject({ names: names(), selector: selector() }), [atMostOneOf(['names', 'selector'])]);
}

/** The selection of namespaces by name, label or altogether. Nothing set = none. */
export type NamespaceSelection = z.output<ReturnType<typeof allowedNamespaces>>;
