import type { Instant } from '../domain/time.ts';

/** The last heartbeat of an operator that the data of a host has seen. */
export interface LastBeat {
  /** How many there were until then. */
  readonly beats: number;
  /** When it was written, by the clock of the server that was written to. */
  readonly at: Instant;
  /** How long ago that was by the clock of the host that says so, in milliseconds. */
  readonly ageMs: number;
  /** For how long this process has found the same count there, by its own clock; absent = it is asked for the first time. */
  readonly stillMs?: number;
  /** This process saw the count grow while the host accepted writes: an operator writes there, or did `stillMs` ago. */
  readonly hasGrown?: boolean;
}

/** Which history of the data a server goes on with. */
export interface Lineage {
  /** The identifier that copies of one server share; empty = the server does not say. */
  readonly system: string;
  /** Each promotion starts a higher one; 0 = the server does not say. */
  readonly timeline: number;
}

/** What a server that lets us in says. */
interface Seen {
  /** Absent = there was no heartbeat. */
  readonly last?: LastBeat;
  /** The same for all names that lead to one running server, and for no other server; absent = it does not say. */
  readonly server?: string;
}

/** What one host of the database's URL says about itself. */
export type HostView =
  | { readonly kind: 'silent' }
  /** It runs, and lets nobody in, or not us: no connection is left, or our password is wrong. */
  | { readonly kind: 'refusing' }
  /** In recovery: it follows a primary. */
  | ({ readonly kind: 'standby' } & Seen)
  | ({ readonly kind: 'primary' } & Seen & Lineage);

type Standby = Extract<HostView, { kind: 'standby' }>;
type Primary = Extract<HostView, { kind: 'primary' }>;

/** The primary that was used last, as it was when it was seen last. Whoever is used next must have what that one had. */
export type Remembered = Lineage & { readonly last: LastBeat };

/** What all hosts of the URL say about the one in use. */
export interface PrimarySurvey {
  /** How many hosts the URL names. */
  readonly hosts: number;
  /** How many of them answered, be it with a refusal. Several names of one server count once. */
  readonly answered: number;
  /** Another host, or what is remembered, shows that the one in use is not the primary, or no longer. */
  readonly superseded: boolean;
  /** Another host was promoted later, or refuses to say: only a heartbeat can tell which of the two is the primary. */
  readonly contested: boolean;
  /** The number of the choice of this host: what is proven of one host says nothing about the next. Absent = there is no choice. */
  readonly selection?: number;
  /**
   * How long ago the operator wrote to the host in use, in milliseconds; absent = it never did, or the host is silent, or its clock
   * was set back since.
   */
  readonly heartbeatAgeMs?: number;
}

/** How many heartbeats a standby may lack when it is promoted: they come every five seconds. */
const lostBeats = 3;

/** How far apart two heartbeats must be to say which came later, in milliseconds: longer than {@link lostBeats} take. */
const apartMs = 20_000;

/**
 * The host to use: of those that accept writes and are not {@link isBehind}, the one that the operator writes to; of equals, the
 * first. `undefined` = none.
 *
 * It has the later heartbeat, because the operator needs its Lease for one. If no heartbeat is clearly later, it has more of them,
 * except for the last ones, which a promoted standby may lack. If that is no difference either, it was promoted later. The timeline
 * alone does not tell: an old primary that was cut off can be promoted again and again. The count alone does not: a standby that is
 * promoted, or a server that is restored, may be far behind, until the operator writes there.
 */
export function choosePrimary(views: readonly HostView[], remembered?: Remembered): number | undefined {
  const [first] = bestOf(views, remembered);
  return first === undefined ? undefined : views.indexOf(first);
}

/**
 * Whether a primary lacks what the remembered one had. It may lack the last heartbeats, but only if it was promoted since: of one
 * that was not, the remembered one is the successor, and an operator may have written there between two heartbeats. It is behind
 * until an operator writes to it.
 */
export function isBehind(view: Primary, remembered: Remembered | undefined): boolean {
  if (remembered === undefined || isLater(view, remembered)) return false;
  if (isLater(remembered, view) || beatsOf(remembered) - beatsOf(view) > lostBeats) return true;
  return view.system === remembered.system && view.timeline > 0 && view.timeline < remembered.timeline;
}

function bestOf(views: readonly HostView[], remembered: Remembered | undefined): readonly Primary[] {
  const primaries = views.filter((view) => view.kind === 'primary').filter((view) => !isBehind(view, remembered));
  const latest = primaries.filter((view) => !primaries.some((other) => isLater(other, view)));
  const most = Math.max(...latest.map(beatsOf));
  const current = latest.filter((view) => most - beatsOf(view) <= lostBeats);
  const timeline = Math.max(...current.map((view) => view.timeline));
  return current.filter((view) => view.timeline === timeline);
}

interface Beating {
  readonly last?: LastBeat;
}

function beatsOf(view: Beating): number {
  return view.last?.beats ?? 0;
}

/**
 * Whether the last heartbeat of one is clearly later than that of the other. What this process saw counts first: one count grew
 * while the other stood still. Otherwise the clocks of those that wrote them and the clocks of those that were asked must say so. If
 * one of these clocks is wrong, they contradict each other, and the count decides.
 */
function isLater({ last: one }: Beating, { last: other }: Beating): boolean {
  if (one === undefined || other === undefined || isSame(one, other) || wasSeenLater(other, one)) return false;
  if (wasSeenLater(one, other)) return true;
  return one.at - other.at > apartMs && Math.max(other.ageMs, 0) - Math.max(one.ageMs, 0) > apartMs;
}

function isSame(one: LastBeat, other: LastBeat): boolean {
  return one.beats === other.beats && one.at === other.at;
}

function wasSeenLater(one: LastBeat, other: LastBeat): boolean {
  return one.hasGrown === true && (other.stillMs ?? 0) - (one.stillMs ?? 0) > apartMs;
}

/** Judges the host in use by the answers of all, and by what is remembered. */
export function surveyOf(views: readonly HostView[], inUse: number, remembered?: Remembered): PrimarySurvey {
  const own = views[inUse] ?? { kind: 'silent' };
  const others = views.filter((_view, index) => index !== inUse);
  const timeline = own.kind === 'primary' ? own.timeline : Number.NEGATIVE_INFINITY;
  const last = own.kind === 'primary' ? own.last : undefined;
  return {
    hosts: views.length,
    answered: countServers(views),
    superseded:
      own.kind === 'standby' || (own.kind === 'primary' ? isReplaced(own, views, remembered) : isSucceeded(others, remembered)),
    contested: others.some((view) => view.kind === 'refusing' || (view.kind === 'primary' && view.timeline > timeline)),
    // By a clock that stood still for a while, a heartbeat is younger than this process knows it to be.
    ...(last === undefined || last.ageMs < -apartMs ? {} : { heartbeatAgeMs: Math.max(last.ageMs, last.stillMs ?? 0, 0) }),
  };
}

/** How many servers answered. Names must not count: an old primary with two of them would look like a majority. */
function countServers(views: readonly HostView[]): number {
  const answered = views.filter((view) => view.kind !== 'silent');
  const named = answered.flatMap((view) => ('server' in view ? [view.server] : []));
  return new Set(named).size + answered.length - named.length;
}

function isReplaced(own: Primary, views: readonly HostView[], remembered: Remembered | undefined): boolean {
  return !bestOf(views, remembered).includes(own) || views.some((view) => view.kind === 'standby' && followsAnother(view, own));
}

/**
 * Whether another primary has taken over from the one in use, which lets nobody in: a server that was fenced may still serve the
 * connections that it has.
 */
function isSucceeded(others: readonly HostView[], remembered: Remembered | undefined): boolean {
  if (remembered === undefined) return false;
  return others.some(
    (view) =>
      view.kind === 'primary' &&
      !isBehind(view, remembered) &&
      (isLater(view, remembered) || (view.system === remembered.system && view.timeline > remembered.timeline)),
  );
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
