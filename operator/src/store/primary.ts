/** What one host of the database's URL says about itself. */
export type HostView =
  | { readonly kind: 'silent' }
  /** In recovery: it follows a primary. */
  | { readonly kind: 'standby'; readonly beats?: number }
  | {
      readonly kind: 'primary';
      /** Each promotion starts a higher one; 0 = the server does not say. */
      readonly timeline: number;
      /** How many heartbeats of operators are in its data; absent = none. */
      readonly beats?: number;
      /** How long ago the last one was, by this server's clock, in milliseconds. */
      readonly heartbeatAgeMs?: number;
    };

type Primary = Extract<HostView, { kind: 'primary' }>;

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

/** How many heartbeats a standby may lack when it is promoted: they come every five seconds. */
const lostBeats = 3;

/**
 * The host to use: among those that accept writes and that the operator writes to, the most recently promoted one; if several are
 * equal, the first. `undefined` = none.
 *
 * The timeline alone is not enough: an old primary that was cut off can be promoted again and again. Heartbeats decide, because
 * the operator needs its Lease for them, and a count needs no clock. A promoted standby may lack the last ones.
 */
export function choosePrimary(views: readonly HostView[]): number | undefined {
  const primaries = views.filter((view) => view.kind === 'primary');
  const most = Math.max(...primaries.map(beatsOf));
  const current = primaries.filter((view) => most - beatsOf(view) <= lostBeats);
  const latest = Math.max(...current.map(({ timeline }) => timeline));
  const index = views.findIndex((view) => view.kind === 'primary' && current.includes(view) && view.timeline === latest);
  return index === -1 ? undefined : index;
}

function beatsOf(view: HostView): number {
  return view.kind === 'silent' ? 0 : (view.beats ?? 0);
}

/** Judges the host in use by the answers of all. */
export function surveyOf(views: readonly HostView[], inUse: number): PrimarySurvey {
  const own = views[inUse] ?? { kind: 'silent' };
  const age = own.kind === 'primary' ? own.heartbeatAgeMs : undefined;
  return {
    hosts: views.length,
    answered: views.filter((view) => view.kind !== 'silent').length,
    superseded: own.kind === 'standby' || (own.kind === 'primary' && isReplaced(own, views)),
    ...(age === undefined ? {} : { heartbeatAgeMs: Math.max(age, 0) }),
  };
}

function isReplaced(own: Primary, views: readonly HostView[]): boolean {
  // A standby that has seen more heartbeats follows another primary.
  if (views.some((view) => beatsOf(view) - beatsOf(own) > lostBeats)) return true;
  const chosen = views[choosePrimary(views) ?? -1];
  return chosen?.kind === 'primary' && chosen.timeline > own.timeline;
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
