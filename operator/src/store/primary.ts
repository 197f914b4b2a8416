import type { Instant } from '../domain/time.ts';

/** The last heartbeat of an operator that the data of a host has seen. */
export interface LastBeat {
  /** How many there were until then. */
  readonly beats: number;
  /** When it was written, by the clock of the server that was written to. */
  readonly at: Instant;
  /** How long ago that was by the clock of the host that says so, in milliseconds. */
  readonly ageMs: number;
}

/** What one host of the database's URL says about itself. No `last` = there was no heartbeat. */
export type HostView =
  | { readonly kind: 'silent' }
  /** In recovery: it follows a primary. */
  | { readonly kind: 'standby'; readonly last?: LastBeat }
  | {
      readonly kind: 'primary';
      /** Each promotion starts a higher one; 0 = the server does not say. */
      readonly timeline: number;
      readonly last?: LastBeat;
    };

type Standby = Extract<HostView, { kind: 'standby' }>;
type Primary = Extract<HostView, { kind: 'primary' }>;

/** What all hosts of the URL say about the one in use. */
export interface PrimarySurvey {
  /** How many hosts the URL names. */
  readonly hosts: number;
  /** How many of them answered. */
  readonly answered: number;
  /** Another host shows that the one in use is no longer the primary. */
  readonly superseded: boolean;
  /** Another host was promoted later: only a heartbeat can tell which of the two is the primary. */
  readonly contested: boolean;
  /**
   * How long ago the operator wrote to the host in use, in milliseconds; absent = it never did, or the host is silent, or its clock
   * was set back since.
   */
  readonly heartbeatAgeMs?: number;
}

/** How many heartbeats a standby may lack when it is promoted: they come every five seconds. */
const lostBeats = 3;

/** How far apart two heartbeats must be to say which came later, in milliseconds: the time of {@link lostBeats}. */
const apartMs = 15_000;

/**
 * The host to use: of those that accept writes, the one that the operator writes to; of equals, the first. `undefined` = none.
 *
 * It has the later heartbeat, because the operator needs its Lease for one. If no heartbeat is clearly later, it has more of them,
 * except for the last ones, which a promoted standby may lack. If that is no difference either, it was promoted later. The timeline
 * alone does not tell: an old primary that was cut off can be promoted again and again. The count alone does not: a standby that is
 * promoted, or a server that is restored, may be far behind, until the operator writes there.
 */
export function choosePrimary(views: readonly HostView[]): number | undefined {
  const [first] = bestOf(views);
  return first === undefined ? undefined : views.indexOf(first);
}

function bestOf(views: readonly HostView[]): readonly Primary[] {
  const primaries = views.filter((view) => view.kind === 'primary');
  const latest = primaries.filter((view) => !primaries.some((other) => isLater(other, view)));
  const most = Math.max(...latest.map(beatsOf));
  const current = latest.filter((view) => most - beatsOf(view) <= lostBeats);
  const timeline = Math.max(...current.map((view) => view.timeline));
  return current.filter((view) => view.timeline === timeline);
}

function beatsOf(view: Standby | Primary): number {
  return view.last?.beats ?? 0;
}

/**
 * Whether the last heartbeat of one is clearly later than that of the other, by the clocks of those that wrote them and by the clocks
 * of those that were asked. If one of these clocks is wrong, they contradict each other, and the count decides.
 */
function isLater({ last: one }: Standby | Primary, { last: other }: Standby | Primary): boolean {
  if (one === undefined || other === undefined) return false;
  return one.at - other.at > apartMs && Math.max(other.ageMs, 0) - Math.max(one.ageMs, 0) > apartMs;
}

/** Judges the host in use by the answers of all. */
export function surveyOf(views: readonly HostView[], inUse: number): PrimarySurvey {
  const own = views[inUse] ?? { kind: 'silent' };
  const timeline = own.kind === 'primary' ? own.timeline : Number.NEGATIVE_INFINITY;
  const ageMs = own.kind === 'primary' ? own.last?.ageMs : undefined;
  return {
    hosts: views.length,
    answered: views.filter((view) => view.kind !== 'silent').length,
    superseded: own.kind === 'standby' || (own.kind === 'primary' && isReplaced(own, views)),
    contested: views.some((view) => view.kind === 'primary' && view.timeline > timeline),
    ...(ageMs === undefined || ageMs < -apartMs ? {} : { heartbeatAgeMs: Math.max(ageMs, 0) }),
  };
}

function isReplaced(own: Primary, views: readonly HostView[]): boolean {
  return !bestOf(views).includes(own) || views.some((view) => view.kind === 'standby' && followsAnother(view, own));
}

/** A follower is not ahead of its primary. One with more heartbeats, but earlier ones, is left over from before a restore of it. */
function followsAnother(standby: Standby, own: Primary): boolean {
  return isLater(standby, own) || (beatsOf(standby) - beatsOf(own) > lostBeats && !isLater(own, standby));
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
 * then the majority of the hosts decides, because a caller that reaches most of them would see a promotion. If it sees one, only a
 * heartbeat counts: what was revoked since is on one of the two only. A single host proves nothing, but `auto` trusts it: a service
 * behind one name fails over by itself.
 */
export function provenForMs(survey: PrimarySurvey, rule: HeartbeatRule, maxStalenessMs: number): number | undefined {
  if (rule === 'off') return Infinity;
  if (survey.superseded) return undefined;
  if (rule === 'auto' && survey.hosts === 1) return Infinity;
  const byHeartbeatMs = survey.heartbeatAgeMs === undefined ? 0 : maxStalenessMs - survey.heartbeatAgeMs;
  const byMajorityMs = rule === 'auto' && !survey.contested && survey.answered * 2 > survey.hosts ? maxStalenessMs : 0;
  const provenMs = Math.max(byHeartbeatMs, byMajorityMs);
  return provenMs > 0 ? provenMs : undefined;
}
