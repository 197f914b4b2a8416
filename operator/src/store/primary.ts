import type { Instant } from '../domain/time.ts';

/** What one host of the database's URL says of itself. */
export type HostView =
  | { readonly kind: 'silent' }
  /** In recovery: it follows a primary. */
  | { readonly kind: 'standby'; readonly heartbeatAt?: Instant }
  | {
      readonly kind: 'primary';
      /** Each promotion begins a greater one; 0 = the server does not say. */
      readonly timeline: number;
      /** When the operator wrote last, by the clock of the server that it wrote to. */
      readonly heartbeatAt?: Instant;
      /** The same, by this server's clock, in milliseconds. */
      readonly heartbeatAgeMs?: number;
    };

/** What all hosts of the URL say of the one that is used. */
export interface PrimarySurvey {
  /** How many hosts the URL names. */
  readonly hosts: number;
  /** How many of them answered. */
  readonly answered: number;
  /** Another host shows that the one in use is not the primary any more. */
  readonly superseded: boolean;
  /** How long ago the operator wrote to the host in use, in milliseconds; absent = it never did, or the host is silent. */
  readonly heartbeatAgeMs?: number;
}

/** Another server's heartbeat must be so much newer: replication and two clocks differ by less. In milliseconds. */
const newerByMs = 15_000;

/** The host to use: of those that accept writes the one of the latest promotion; of equals the first. `undefined` = none. */
export function choosePrimary(views: readonly HostView[]): number | undefined {
  let best: { readonly index: number; readonly timeline: number } | undefined;
  for (const [index, view] of views.entries()) {
    if (view.kind === 'primary' && (best === undefined || view.timeline > best.timeline))
      best = { index, timeline: view.timeline };
  }
  return best?.index;
}

/** Judges the host in use by what all of them say. */
export function surveyOf(views: readonly HostView[], inUse: number): PrimarySurvey {
  const own = views[inUse] ?? { kind: 'silent' };
  const age = own.kind === 'primary' ? own.heartbeatAgeMs : undefined;
  return {
    hosts: views.length,
    answered: views.filter((view) => view.kind !== 'silent').length,
    superseded: own.kind === 'standby' || (own.kind === 'primary' && views.some((view) => isNewer(view, own))),
    ...(age === undefined ? {} : { heartbeatAgeMs: Math.max(age, 0) }),
  };
}

function isNewer(view: HostView, own: Extract<HostView, { kind: 'primary' }>): boolean {
  if (view.kind === 'silent') return false;
  if (view.kind === 'primary' && view.timeline > own.timeline) return true;
  // A standby that has seen a later heartbeat follows another primary.
  return view.heartbeatAt !== undefined && view.heartbeatAt - (own.heartbeatAt ?? -Infinity) > newerByMs && view !== own;
}

/** `auto`: by heartbeat or by majority, with several hosts. `on`: by heartbeat alone. `off`: nothing is asked. */
export type HeartbeatRule = 'auto' | 'on' | 'off';

/**
 * How long from the survey on, in milliseconds, the host in use counts as the primary; `undefined` = the survey does not show
 * that it is one.
 *
 * The heartbeat shows that the operator writes there. Where it is missing, the operator may be down, which must stop nobody: then
 * the majority of the hosts decides. Whoever reaches most of them would see a promotion among them. One host alone says nothing,
 * and is believed by `auto`: what stands behind one name fails over by itself.
 */
export function provenForMs(survey: PrimarySurvey, rule: HeartbeatRule, maxStalenessMs: number): number | undefined {
  if (rule === 'off') return Infinity;
  if (survey.superseded) return undefined;
  if (rule === 'auto' && survey.hosts === 1) return Infinity;
  const byHeartbeatMs = survey.heartbeatAgeMs === undefined ? 0 : maxStalenessMs - survey.heartbeatAgeMs;
  const byMajorityMs = rule === 'auto' && survey.answered * 2 > survey.hosts ? maxStalenessMs : 0;
  const provenMs = Math.max(byHeartbeatMs, byMajorityMs);
  return provenMs > 0 ? provenMs : undefined;
}
