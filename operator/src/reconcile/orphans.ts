import { createHash } from 'node:crypto';
import { Failure } from '../domain/failure.ts';
import { formatRef, type ApiKeyRef } from '../domain/key.ts';
import { formatInstant, type Instant } from '../domain/time.ts';
import type { MissingKey } from '../store/port.ts';
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
  'lost their ApiKey, so nothing is revoked. The keys keep working until the ApiKeys are applied again, or somebody confirms with "keywright orphans".';
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
 * not act at once: the list must lack the uid, and two live reads must find nothing. The store keeps the time of the first read,
 * so a restart or another leader continues the count; a failed read neither counts nor resets it. If many are missing together,
 * they are held, reported, and revoked only after a confirmation (`keywright orphans`).
 */
export class Orphans {
  #told: { readonly digest: string; readonly at: Instant } | undefined;

  /** One pass; returns how many keys were ended. Their locations are emptied by the sweeper of withdrawals. */
  async sweep(deps: Dependencies): Promise<number> {
    const kept = await deps.store.listKeys();
    const listed = new Set(deps.resources.list('ApiKey').map((metadata) => metadata.uid));
    const look = await lookFor(
      deps,
      kept.filter((ref) => !listed.has(ref.uid)),
    );
    const now = deps.clock.now();
    const missing = await deps.store.noteMissing(look, now);
    const held = heldBack(missing, kept.length);
    const heldSince = held.length === 0 ? undefined : Math.min(...held.map(({ since }) => since));
    deps.metrics.missing({ waiting: missing.length - held.length, held: held.length, heldSince });
    this.#tell(deps, held, kept.length, now);
    const afterMs = deps.orphanAfterMs ?? goneAfterMs;
    const gone = missing.filter((one) => one.confirmedBy !== undefined || (held.length === 0 && now - one.since >= afterMs));
    for (const one of gone) await end(deps, one);
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

/** The keys whose name no live read finds. (A resource with the name and another uid takes the key over by itself.) */
async function lookFor(
  { resources }: Dependencies,
  unlisted: readonly ApiKeyRef[],
): Promise<{ readonly missing: readonly string[]; readonly unsure: readonly string[] }> {
  const missing: string[] = [];
  const unsure: string[] = [];
  for (const { namespace, name, uid } of unlisted) {
    try {
      if ((await resources.readLive('ApiKey', { namespace, name })) === undefined) missing.push(uid);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      unsure.push(uid);
    }
  }
  return { missing, unsure };
}

async function end(deps: Dependencies, { ref, confirmedBy }: MissingKey): Promise<void> {
  deps.assertLeading();
  const now = deps.clock.now();
  const detail = `its ApiKey is gone${confirmedBy === undefined ? '' : `, confirmed by ${confirmedBy}`}`;
  await deps.store.revokeAll(ref.uid, { actor: 'operator', detail }, now);
  await deps.store.releaseKey(ref.uid, now);
  deps.log.warn('revoked a key without a resource', { apiKey: formatRef(ref) });
}
