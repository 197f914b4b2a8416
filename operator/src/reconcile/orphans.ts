import { createHash } from 'node:crypto';
import { Failure } from '../domain/failure.ts';
import { formatRef } from '../domain/key.ts';
import { reasons } from '../domain/reason.ts';
import { formatInstant, type Instant } from '../domain/time.ts';
import { neverAccepted, type ListedKey, type MissingKey, type MissingLook } from '../store/port.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * A resource counts as gone when two live reads this far apart, in milliseconds, both found nothing under its name. With a minute
 * between two sweeps, a key whose finalizer was removed lives at most ten minutes longer.
 */
export const goneAfterMs = 8 * 60_000;
/** More missing resources than this number, and than this share of all keys, may be an accident: somebody has to confirm it. */
const heldAbove = { count: 10, share: 0.2 };
/** Held keys are reported again after this time, in milliseconds: events expire after an hour. */
const tellAgainMs = 55 * 60_000;
/** Follows the number of keys, in the log and in the event. */
const heldOutcome: string =
  'lost their ApiKey, so nothing is revoked. The keys keep working until the ApiKeys are applied again and accepted, or somebody confirms with "keywright orphans".';
const namesTold = 3;

/** The missing keys that wait for a confirmation; `total` = all keys of the store. */
export function heldBack(missing: readonly MissingKey[], total: number): readonly MissingKey[] {
  const open = missing.filter(({ confirmedBy }) => confirmedBy === undefined);
  return open.length > heldAbove.count && open.length > heldAbove.share * total ? open : [];
}

/** Eight hex digits that stand for exactly these keys, so that a confirmation covers exactly what somebody has seen. */
export function digestOf(missing: readonly MissingKey[]): string {
  const uids = missing.map(({ ref }) => ref.uid).sort();
  return createHash('sha256').update(JSON.stringify(uids)).digest('hex').slice(0, 8);
}

/**
 * Ends the keys whose resource is gone without a deletion that we saw: a finalizer removed by force, a restored cluster. It does
 * not act at once: the list must lack the uid, and two live reads must find nothing of it. The store keeps the time of the first
 * read, so a restart or another leader continues the count; a failed read neither counts nor resets it. If many are missing
 * together, they are held, reported, and revoked only after a confirmation (`keywright orphans`).
 *
 * An ApiKey that takes the rows of a missing one over ends the count when it is accepted, and not before: else anybody who can
 * create an ApiKey of its name without our verbs could keep the old value alive.
 */
export class Orphans {
  #told: { readonly digest: string; readonly at: Instant } | undefined;
  #sweeping = false;

  /**
   * One pass; returns how many keys were ended. Their locations are emptied by the sweeper of withdrawals. Does nothing while an
   * earlier sweep goes on. `onEnded` is called for an ApiKey that is still there.
   */
  async sweep(deps: Dependencies, onEnded: (uid: string) => void = () => {}): Promise<number> {
    if (this.#sweeping) return 0;
    this.#sweeping = true;
    try {
      return await this.#sweep(deps, onEnded);
    } finally {
      this.#sweeping = false;
    }
  }

  async #sweep(deps: Dependencies, onEnded: (uid: string) => void): Promise<number> {
    const kept = await deps.store.listKeys();
    const look = await lookFor(deps, kept);
    const now = deps.clock.now();
    const isClockRight = deps.clockIsRight();
    if (!isClockRight) deps.log.warn('sweep put off', { reason: 'ClockWrong', message: reasons.ClockWrong });
    const missing = isClockRight ? await deps.store.noteMissing(look, now) : await knownMissing(deps, look);
    const held = heldBack(missing, kept.length);
    const heldSince = held.length === 0 ? undefined : Math.min(...held.map(({ since }) => since));
    deps.metrics.missing({ waiting: missing.length - held.length, held: held.length, heldSince });
    this.#tell(deps, held, kept.length, now);
    const afterMs = deps.orphanAfterMs ?? goneAfterMs;
    // By a wrong clock no time is over; what somebody confirmed needs none.
    const isOver = ({ since }: MissingKey): boolean => isClockRight && held.length === 0 && now - since >= afterMs;
    const gone = missing.filter((one) => one.confirmedBy !== undefined || isOver(one));
    for (const one of gone) {
      if (!look.unaccepted.includes(one.ref.uid)) await end(deps, one);
      else if (await endInherited(deps, one)) onEnded(one.ref.uid);
    }
    return gone.length;
  }

  /** Logs an error, and records an event on one key in each namespace, when the held keys change, and each hour. */
  #tell(deps: Dependencies, held: readonly MissingKey[], total: number, now: Instant): void {
    const digest = digestOf(held);
    if (held.length > 0 && this.#told?.digest === digest && now - this.#told.at < tellAgainMs) return;
    this.#told = { digest, at: now };
    if (held.length === 0) return;
    const most = `${held.length} of ${total} keys`;
    deps.log.error('too many keys lost their ApiKey: nothing is revoked', {
      count: held.length,
      message: `${most} ${heldOutcome}`,
    });
    for (const [namespace, keys] of byNamespace(held)) {
      const [first] = keys;
      if (first === undefined) continue;
      const names = keys.slice(0, namesTold).map(({ ref }) => ref.name);
      const rest = keys.length > names.length ? ` and ${keys.length - names.length} more` : '';
      const message = `gone without a deletion since ${formatInstant(first.since)}: ${names.join(', ')}${rest}. ${most} ${heldOutcome}`;
      const metadata = { namespace, name: first.ref.name, uid: first.ref.uid, resourceVersion: '' };
      deps.resources.recordEvent('ApiKey', metadata, { type: 'Warning', reason: 'OrphansHeld', message });
    }
  }
}

function byNamespace(missing: readonly MissingKey[]): ReadonlyMap<string, readonly MissingKey[]> {
  return Map.groupBy(
    missing.toSorted((a, b) => a.since - b.since),
    ({ ref }) => ref.namespace,
  );
}

/** What one look found, and which of the missing have a resource that was not accepted. */
interface Look extends MissingLook {
  readonly unaccepted: readonly string[];
}

/** A resource of the same name and another uid does not stand for the key: its first pass takes the rows over, date included. */
async function lookFor({ resources }: Dependencies, kept: readonly ListedKey[]): Promise<Look> {
  const listed = new Set(resources.list('ApiKey').map(({ uid }) => uid));
  const [gone, unsure, unaccepted]: [string[], string[], string[]] = [[], [], []];
  for (const key of kept) {
    const { uid } = key.ref;
    try {
      const isThere = listed.has(uid) || (await resources.readLive('ApiKey', key.ref))?.metadata.uid === uid;
      if (!isThere) gone.push(uid);
      else if (key.unaccepted) unaccepted.push(uid);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      unsure.push(uid);
    }
  }
  return { missing: [...gone, ...unaccepted], unsure, unaccepted };
}

/** What earlier looks recorded of those that this one misses. */
async function knownMissing({ store }: Dependencies, { missing }: MissingLook): Promise<readonly MissingKey[]> {
  return (await store.listMissing()).filter(({ ref }) => missing.includes(ref.uid));
}

/** Ends what an ApiKey took over that was not accepted until now. It may have been accepted meanwhile. */
async function endInherited(deps: Dependencies, { ref }: MissingKey): Promise<boolean> {
  const { key, versions } = await deps.store.readKey(ref.uid);
  if (key?.accepted?.period !== neverAccepted.period) return false;
  deps.assertLeading();
  const keyIds = versions.map(({ keyId }) => keyId);
  await deps.store.endVersions(ref.uid, keyIds, 'revoked', deps.clock.now());
  deps.log.warn('revoked what an ApiKey took over that is not accepted', { apiKey: formatRef(ref) });
  return true;
}

async function end(deps: Dependencies, { ref, confirmedBy }: MissingKey): Promise<void> {
  deps.assertLeading();
  const now = deps.clock.now();
  const detail = `its ApiKey is gone${confirmedBy === undefined ? '' : `, confirmed by ${confirmedBy}`}`;
  await deps.store.revokeAll(ref.uid, { actor: 'operator', detail }, now);
  await deps.store.releaseKey(ref.uid, now);
  deps.log.warn('revoked a key without a resource', { apiKey: formatRef(ref) });
}
