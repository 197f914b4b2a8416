import type { Instant } from '../domain/time.ts';

/** What one host of the database's URL says about itself. */
export type HostView =
  | { readonly kind: 'silent' }
  /** In recovery: it follows a primary. */
  | { readonly kind: 'standby'; readonly heartbeatAt?: Instant }
  | {
      readonly kind: 'primary';
      /** Each promotion starts a higher one; 0 = the server does not say. */
      readonly timeline: number;
      /** When the operator last wrote, by the clock of the server that it wrote to. */
      readonly heartbeatAt?: Instant;
      /** How long ago that was, by this server's clock, in milliseconds. */
      readonly heartbeatAgeMs?: number;
    };

/** What all hosts of the URL say about the one in use. */
export interface PrimarySurvey {
  /** How many hosts the URL names. */
  readonly hosts: number;
  /** How many of them answered. */
  readonly answered: number;
  /** Another host shows that the one in use is no longer the primary. */
  readonly superseded: boolean;
  /** How long ago the operator wrote to the host in use, in milliseconds; absent = it never did, or the host is silent. */
  readonly heartbeatAgeMs?: number;
}

/** How much newer another server's heartbeat must be, in milliseconds: replication lag and clock differences are smaller. */
const newerByMs = 15_000;

/** The host to use: the most recently promoted one that accepts writes; of equals, the first. `undefined` = none. */
export function choosePrimary(views: readonly HostView[]): number | undefined {
  let best: { readonly index: number; readonly timeline: number } | undefined;
  for (const [index, view] of views.entries()) {
    if (view.kind === 'primary' && (best === undefined || view.timeline > best.timeline))
      best = { index, timeline: view.timeline };
  }
  return best?.index;
}

/** Judges the host in use by the answers of all. */
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

/**
 * What proves the primary. `auto`: a heartbeat or, with several hosts, a majority. `on`: only a heartbeat. `off`: nothing is
 * needed.
 */
export type HeartbeatRule = 'auto' | 'on' | 'off';

/**
 * How long after the survey the host in use counts as the primary, in milliseconds; `undefined` = the survey does not prove it.
 *
 * The heartbeat shows that the operator writes there. Without one, the operator may just be down, which must not stop verdicts:
 * then the majority of the hosts decides, because a caller that reaches most of them would see a promotion. A single host proves
 * nothing, but `auto` trusts it: a service behind one name fails over by itself.
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
