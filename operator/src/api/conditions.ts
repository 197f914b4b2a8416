import * as z from 'zod';
import type { Reason } from '../domain/reason.ts';
import { mapOf, writtenInstant } from './fields.ts';

/** The condition types of all kinds, with what True means. Rotating, Expiring, Expired, Reconciling and Stalled are abnormal-true. */
export const conditionTypes = {
  Ready: 'Every destination holds some live version, and it would be allowed; on other kinds: the object can be used.',
  Issued: 'A version is live in the store.',
  Delivered: 'Every destination holds the current version.',
  OwnerActive: 'The owner exists with the same UID, is enabled, and may hold this access type.',
  Adopted: 'The current version has been seen in use, and every consumer has rolled out.',
  Rotating: 'A newer version replaces the current one.',
  Expiring: 'The key will expire, and no rotation comes first.',
  Expired: 'The key has expired.',
  Enforced: 'Every member that is set has its effect; only there, as False, while one has none.',
  Reconciling: 'Work towards the declared state is under way.',
  Stalled: 'Nothing moves until a person acts.',
} as const satisfies Record<string, string>;

/** The type of a condition. */
export type ConditionType = keyof typeof conditionTypes;

/** The instant in the condition of an object that nobody has looked at yet: a schema default cannot know the time. */
export const neverTransitioned = '1970-01-01T00:00:00Z';

// Types and reasons are open texts in the CRD: an older CRD must not refuse what a newer operator writes. In TypeScript
// they are the closed lists.
const conditionType = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[A-Z][A-Za-z0-9]*$/) as unknown as z.ZodType<ConditionType, ConditionType>;
const conditionReason = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[A-Z][A-Za-z0-9]*$/) as unknown as z.ZodType<Reason, Reason>;

const conditionSchema = z.strictObject({
  type: conditionType.describe('What the condition is about.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds: True, False or Unknown.'),
  reason: conditionReason.describe('Why, in one word of the vocabulary that conditions, events, logs and metrics share.'),
  message: z.string().max(4096).describe('Why, in a sentence, at most 4096 characters.'),
  observedGeneration: z
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .exactOptional()
    .describe('The metadata.generation that the condition speaks of.'),
  lastTransitionTime: writtenInstant().describe('When the status last changed; 1970-01-01T00:00:00Z before the first look.'),
});

/** One condition, as in every Kubernetes API. It is always applied with all its members. */
export type Condition = Readonly<z.output<typeof conditionSchema>>;

/** The condition of an object that nobody has looked at yet. */
export const pendingCondition: Condition = {
  type: 'Ready',
  status: 'Unknown',
  reason: 'Pending',
  message: 'Waiting for the operator.',
  lastTransitionTime: neverTransitioned,
};

/** `status.conditions` of every kind. */
export function conditionList() {
  return mapOf(conditionSchema, ['type'], { max: 20 })
    .default(() => [pendingCondition])
    .describe('The state in conditions, one per type.');
}
