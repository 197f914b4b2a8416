import type { Instant } from '../../../operator/src/domain/time.ts';

/** Something that people, or accidents, do in a year. */
export interface Happening {
  readonly at: Instant;
  readonly do:
    | 'create'
    | 'suspend'
    | 'resume'
    | 'compromise'
    | 'rotate'
    | 'revoke'
    | 'delete'
    /** Somebody edits the spec, or confirms what is held back. */
    | 'edit'
    | 'confirm'
    /** The admission policy is deleted, and made again. */
    | 'policyGone'
    | 'policyBack'
    /** Vault stops answering, or answers no writes, and answers again. */
    | 'outage'
    | 'hang'
    | 'heal'
    /** The authorizers stop reporting use, and report again. */
    | 'blind'
    | 'sighted'
    | 'crash'
    | 'nothing';
  readonly key?: string;
  /** Of an annotation; absent = it is taken away. */
  readonly value?: string;
  /** Of the spec, by an edit. */
  readonly changes?: Readonly<Record<string, unknown>> & { readonly rotation?: object };
  /** A crash comes after the next effect of this name. */
  readonly after?: string;
}

/** The words of a policy, in hours; what is absent is not in the spec. */
export interface Policy {
  /** Absent = the key never expires, unless `expiresAt` says so. */
  readonly after?: number;
  readonly expiresAt?: Instant;
  readonly every?: number;
  readonly beforeExpiry?: number;
  readonly onExpiry?: 'Expire';
  readonly retire: 'AfterOverlap' | 'WhenUnused';
  readonly overlap: number;
  readonly maxOverlap: number;
  readonly window?: { readonly schedule: string; readonly hours: number; readonly timezone: string };
}

/** One of the hundred. */
export interface YearKey {
  readonly name: string;
  /** Which of the mixed policies it has. */
  readonly group: string;
  readonly policy: Policy;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly createdAt: Instant;
  readonly places: readonly ('vault' | 'file')[];
  /** Its workload uses a new value so long after the delivery; absent = nobody ever uses it. */
  readonly switchMs?: number;
  /** What happens to this key alone, in order. */
  readonly happenings: readonly Happening[];
}

const hour = 3_600_000;
export const dayMs = 24 * hour;

interface Group {
  readonly name: string;
  readonly count: number;
  readonly policy: Omit<Policy, 'overlap' | 'maxOverlap' | 'retire'> & Partial<Policy>;
  readonly places: readonly YearKey['places'][number][][];
  /** What the spec says besides the policy. */
  readonly spec?: Readonly<Record<string, unknown>>;
  /** Without a word the workload takes up a new value at once; `never` = nobody uses this key. */
  readonly switchHours?: number | 'never';
  readonly happenings?: (at: (days: number, hours?: number) => Instant, number: number) => readonly Omit<Happening, 'key'>[];
}

const file: Group['places'] = [['file']];
const vault: Group['places'] = [['vault']];
const mixed: Group['places'] = [['vault'], ['file'], ['vault', 'file']];

const groups: readonly Group[] = [
  { name: 'every', count: 14, policy: { every: 90 * 24 }, places: mixed },
  { name: 'used', count: 14, policy: { every: 120 * 24, after: 150 * 24, retire: 'WhenUnused' }, places: mixed },
  {
    name: 'slow',
    count: 4,
    policy: { every: 120 * 24, retire: 'WhenUnused', maxOverlap: 72 },
    places: file,
    switchHours: 25,
  },
  {
    name: 'share',
    count: 8,
    policy: { after: 120 * 24, retire: 'WhenUnused', maxOverlap: 25 },
    places: mixed,
    switchHours: 'never',
  },
  { name: 'before', count: 10, policy: { after: 120 * 24, beforeExpiry: 240, overlap: 12 }, places: mixed },
  {
    name: 'berlin',
    count: 6,
    policy: { every: 60 * 24, window: { schedule: '30 2 * * 0', hours: 4, timezone: 'Europe/Berlin' } },
    places: file,
  },
  {
    name: 'newyork',
    count: 6,
    policy: { every: 44 * 24, after: 70 * 24, window: { schedule: '30 1 * * *', hours: 2, timezone: 'America/New_York' } },
    places: vault,
  },
  {
    name: 'at',
    count: 6,
    policy: {},
    places: mixed,
    // A key that is over is looked at each hour until somebody clears it away.
    happenings: (at, number) => [{ at: at(100 + 20 * number, 5), do: 'delete' }],
  },
  {
    name: 'expire',
    count: 6,
    policy: { after: 100 * 24, onExpiry: 'Expire' },
    places: mixed,
    happenings: (at, number) => [
      ...(number % 2 === 0 ? [{ at: at(100, 5), do: 'rotate', value: 'once more' } as const] : []),
      { at: at(number % 2 === 0 ? 200 : 100, 10), do: 'delete' },
    ],
  },
  { name: 'never', count: 6, policy: {}, places: mixed, spec: { endpoints: ['list'] }, happenings: editsOf },
  {
    name: 'suspended',
    count: 6,
    policy: { every: 90 * 24 },
    places: mixed,
    happenings: (at, number) => [
      { at: at(70 + number), do: 'suspend' },
      { at: at(110 + number), do: 'resume' },
    ],
  },
  {
    name: 'compromised',
    count: 4,
    policy: { every: 90 * 24 },
    places: mixed,
    happenings: (at, number) => [
      { at: at(45 + number), do: 'compromise', value: 'all' },
      { at: at(50), do: 'compromise' },
      // Within the overlap of the rotation before: both versions die.
      { at: at(135.5 + number), do: 'compromise', value: 'all' },
    ],
  },
  {
    name: 'requested',
    count: 4,
    policy: {},
    places: mixed,
    happenings: (at, number) => [
      { at: at(30 + number), do: 'rotate', value: 'one' },
      { at: at(100 + number), do: 'rotate', value: 'two' },
      { at: at(100 + number, 5), do: 'rotate', value: 'three, within the overlap' },
    ],
  },
  {
    name: 'revoked',
    count: 3,
    policy: { every: 90 * 24 },
    places: mixed,
    happenings: (at) => [
      { at: at(130), do: 'revoke' },
      { at: at(130, 5), do: 'delete' },
    ],
  },
  {
    name: 'deleted',
    count: 3,
    policy: { every: 90 * 24 },
    places: mixed,
    happenings: (at) => [{ at: at(200), do: 'delete' }],
  },
];

/** Edits that must gain nothing: one that is invalid, one that is not permitted, one that no policy judged. */
function editsOf(at: (days: number, hours?: number) => Instant, number: number): readonly Omit<Happening, 'key'>[] {
  const [endpoints, more] = [['list'], ['list', 'others']];
  const edit = (days: number, changes: Readonly<Record<string, unknown>>) => ({ at: at(days), do: 'edit', changes }) as const;
  switch (number % 3) {
    case 0:
      return [
        edit(40, { endpoints: more, rotation: { overlap: '10000h' } }),
        edit(41, { endpoints, rotation: { overlap: '24h' } }),
      ];
    case 1:
      return [edit(50, { endpoints: more, accessType: 'Restricted' }), edit(51, { endpoints, accessType: 'Integrations' })];
    default:
      return [edit(141, { endpoints: more }), { at: at(142), do: 'confirm' }];
  }
}

/** The days between which the admission policy is not there: nothing is due in them. */
const policyGone = { from: 147.05, to: 147.9 };

/** A hundred keys of mixed policies, declared over the first ten days. */
export function yearKeys(start: Instant): readonly YearKey[] {
  return groups.flatMap((group, row) =>
    Array.from({ length: group.count }, (_, number) => {
      // No round minutes. Three of a group are due together, each at another place: their passes run side by side.
      const createdAt = start + (row * 977 + Math.floor(number / 3) * 1009 + 13) * 60_000;
      const name = `${group.name}-${number}`;
      const places = group.places[number % group.places.length] ?? ['file'];
      const at = (days: number, hours = 0): Instant => createdAt + Math.round(days * dayMs + hours * hour);
      const policy: Policy = {
        retire: 'AfterOverlap',
        overlap: 24,
        maxOverlap: 168,
        ...group.policy,
        ...(group.name === 'at' ? { expiresAt: at(100 + 20 * number) } : {}),
      };
      return {
        ...{ name, group: group.name, policy, createdAt, places },
        spec: { ...specOf(name, policy, places), ...group.spec },
        ...(group.switchHours === 'never' ? {} : { switchMs: (group.switchHours ?? 0.001) * hour }),
        happenings: (group.happenings?.(at, number) ?? []).map((happening) => ({ ...happening, key: name })),
      };
    }),
  );
}

function specOf(name: string, policy: Policy, places: YearKey['places']): Readonly<Record<string, unknown>> {
  const { after, expiresAt, every, beforeExpiry, onExpiry, retire, overlap, maxOverlap, window } = policy;
  const hours = (value: number | undefined, member: string) => (value === undefined ? {} : { [member]: `${value}h` });
  return {
    displayName: name,
    expiry:
      expiresAt !== undefined
        ? { at: new Date(expiresAt).toISOString().replace('.000', '') }
        : after === undefined
          ? { never: true }
          : { after: `${after}h` },
    rotation: {
      ...hours(every, 'every'),
      ...hours(beforeExpiry, 'beforeExpiry'),
      ...(onExpiry === undefined ? {} : { onExpiry }),
      retireOldKey: retire,
      overlap: `${overlap}h`,
      maxOverlap: `${maxOverlap}h`,
      ...(window === undefined
        ? {}
        : { windows: [{ schedule: window.schedule, duration: `${window.hours}h`, timezone: window.timezone }] }),
    },
    deliverTo: places.map((place) =>
      place === 'vault' ? { name: 'vault', destination: 'prod-vault', path: name } : { name: 'local', secret: { name } },
    ),
  };
}

/** A time in which Vault does not answer. */
export interface YearOutage {
  readonly from: Instant;
  readonly to: Instant;
  /** `hang`: it does not answer writes. */
  readonly do: 'outage' | 'hang';
}

/** When Vault does not answer. */
export function outages(start: Instant): readonly YearOutage[] {
  const at = (days: number, hours: number, what: YearOutage['do'] = 'outage'): YearOutage => ({
    from: start + days * dayMs,
    to: start + days * dayMs + hours * hour,
    do: what,
  });
  return [at(90, 12), at(91.3, 6), at(92.1, 0.5), at(122, 20), at(180, 20, 'hang'), at(240, 5)];
}

/** When the authorizers report nothing. */
export function blindness(start: Instant): { readonly from: Instant; readonly to: Instant } {
  return { from: start + 76 * dayMs, to: start + 78 * dayMs };
}

/** When the process dies: after the next effect of this name. */
const crashes = [
  [5, 'confirmDeliveries'],
  [88, 'mint'],
  [91.2, 'endVersions'],
  [92.5, 'write'],
  [100.5, 'withdraw'],
  [107, 'activate'],
  [121.5, 'bringForward'],
  [160, 'mint'],
  [185, 'applyStatus'],
  [270, 'confirmDeliveries'],
] as const;

/** Everything that happens in the year of these keys. */
export function happeningsOf(keys: readonly YearKey[], start: Instant): readonly Happening[] {
  const blind = blindness(start);
  return [
    ...keys.map((key): Happening => ({ at: key.createdAt, do: 'create', key: key.name })),
    ...keys.flatMap((key) => key.happenings),
    ...outages(start).flatMap(({ from, to, do: what }): readonly Happening[] => [
      { at: from, do: what },
      { at: to, do: 'heal' },
      // Probes come by a clock of their own, which no key's next instant shows.
      { at: to + 16_000, do: 'nothing' },
      { at: to + 50_000, do: 'nothing' },
    ]),
    ...Object.entries({ policyGone: policyGone.from, policyBack: policyGone.to }).flatMap(
      ([what, days]): readonly Happening[] => {
        const at = start + days * dayMs;
        // The gate looks by a clock of its own.
        return [
          { at, do: what as 'policyGone' | 'policyBack' },
          ...[61_000, 122_000].map((ms) => ({ at: at + ms, do: 'nothing' }) as const),
        ];
      },
    ),
    { at: blind.from, do: 'blind' },
    { at: blind.to, do: 'sighted' },
    ...crashes.map(([days, after]): Happening => ({ at: start + days * dayMs, do: 'crash', after })),
  ];
}
