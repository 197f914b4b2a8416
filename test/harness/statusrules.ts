import type { ApiKey, Condition, ConditionType } from '../../operator/src/api/kinds.ts';
import { reasons, type Reason } from '../../operator/src/domain/reason.ts';

/** What each condition may give as its reason when it is True; a condition that is not listed may give any. */
const trueReasons: Readonly<Partial<Record<ConditionType, readonly Reason[]>>> = {
  Ready: ['Available'],
  Issued: ['Minted'],
  Delivered: ['Current'],
  OwnerActive: ['Enabled'],
  Adopted: ['SeenInUse'],
  Rotating: [
    ...(['Scheduled', 'BeforeExpiry', 'Requested', 'Compromise', 'ValueLost', 'OwnerRebound'] as const),
    // What a first version of a resource that was created again replaces, and a restored store or an expiry.
    ...(['Minting', 'StoreBehind', 'Expired'] as const),
  ],
  Expiring: ['Expiring'],
  Expired: ['Expired'],
};

/** What a status must never say, whatever happened: the rules of kstatus, and what one condition says of another. */
export function statusFaults({ metadata, status }: ApiKey): readonly string[] {
  if (status === undefined) return [];
  const { conditions, observedGeneration = 0, currentKey, previousKey } = status;
  const isTrue = (type: ConditionType) => conditions.some((one) => one.type === type && one.status === 'True');
  const rules: readonly (readonly [boolean, string])[] = [
    [isTrue('Reconciling') && isTrue('Stalled'), 'Reconciling and Stalled at once'],
    [observedGeneration > (metadata.generation ?? 0), 'speaks of a generation to come'],
    [new Set(conditions.map(({ type }) => type)).size < conditions.length, 'says one condition twice'],
    [isTrue('Ready') && !isTrue('Issued'), 'Ready without a live version'],
    [isTrue('Ready') && !isTrue('OwnerActive'), 'Ready without an owner'],
    [isTrue('Ready') && isTrue('Expired'), 'Ready and Expired at once'],
    [isTrue('Ready') && currentKey === undefined && previousKey === undefined, 'Ready without a key'],
    [isTrue('Delivered') && currentKey === undefined, 'Delivered without a key'],
    [isTrue('Adopted') && currentKey?.firstUsedAt === undefined, 'Adopted and never used'],
    [currentKey !== undefined && currentKey.id === previousKey?.id, 'one version as current and previous'],
  ];
  return [
    ...rules.flatMap(([isBroken, what]) => (isBroken ? [`the status: ${what}`] : [])),
    ...conditions.flatMap((condition) => conditionFaults(condition, observedGeneration)),
  ];
}

function conditionFaults({ type, status, reason, message, observedGeneration }: Condition, known: number): readonly string[] {
  const rules: readonly (readonly [boolean, string])[] = [
    [!(reason in reasons), 'gives a reason that is not in the list'],
    [status === 'True' && trueReasons[type]?.includes(reason) === false, `is True for ${reason}`],
    [message === '' || /undefined|Infinity|NaN|\[object/.test(message), `says: ${message}`],
    [(observedGeneration ?? 0) > known, 'speaks of a later generation than the status'],
  ];
  return rules.flatMap(([isBroken, what]) => (isBroken ? [`the condition ${type} ${what}`] : []));
}
