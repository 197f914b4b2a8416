import { Failure } from '../domain/failure.ts';
import { formatRef, type ApiKeyRef } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';
import type { Dependencies } from './dependencies.ts';

/** A resource counts as gone when two live reads this far apart, in milliseconds, both found nothing of its name. */
export const goneAfterMs = 10 * 60_000;
/** More missing resources than this many, and than this share of all keys, are an accident and no deletion. */
const heldAbove = { count: 10, share: 0.2 };

/**
 * Ends the keys whose resource is gone without a deletion that we saw: a finalizer taken away by force, a restored
 * cluster. Nothing is believed at once: the list must lack the uid, two live reads must find nothing, and when many are
 * missing together nothing is revoked at all, because then it is the list that is wrong.
 */
export class Orphans {
  readonly #missingSince = new Map<string, Instant>();

  /** One pass; returns how many keys were ended. Their locations are emptied by the sweeper of withdrawals. */
  async sweep(deps: Dependencies): Promise<number> {
    const kept = await deps.store.listKeys();
    const listed = new Set(deps.resources.list('ApiKey').map((metadata) => metadata.uid));
    const missing = await this.#missing(
      deps,
      kept.filter((ref) => !listed.has(ref.uid)),
    );
    if (missing.length > heldAbove.count && missing.length > heldAbove.share * kept.length) {
      deps.log.error('too many keys without a resource: nothing is revoked', { count: missing.length });
      return 0;
    }
    const now = deps.clock.now();
    const gone = missing.filter((ref) => now - (this.#missingSince.get(ref.uid) ?? now) >= goneAfterMs);
    for (const ref of gone) await this.#end(deps, ref);
    return gone.length;
  }

  /** Those whose name no live read finds. A resource of the name with another uid takes the key over itself. */
  async #missing(deps: Dependencies, unlisted: readonly ApiKeyRef[]): Promise<readonly ApiKeyRef[]> {
    const missing: ApiKeyRef[] = [];
    for (const ref of unlisted) {
      if (await isMissing(deps, ref)) missing.push(ref);
    }
    const uids = new Set(missing.map((ref) => ref.uid));
    for (const uid of this.#missingSince.keys()) {
      if (!uids.has(uid)) this.#missingSince.delete(uid);
    }
    for (const uid of uids) {
      if (!this.#missingSince.has(uid)) this.#missingSince.set(uid, deps.clock.now());
    }
    return missing;
  }

  async #end(deps: Dependencies, ref: ApiKeyRef): Promise<void> {
    deps.assertLeading();
    const now = deps.clock.now();
    await deps.store.revokeAll(ref.uid, { actor: 'operator', detail: 'its ApiKey is gone' }, now);
    await deps.store.releaseKey(ref.uid, now);
    this.#missingSince.delete(ref.uid);
    deps.log.warn('revoked a key without a resource', { apiKey: formatRef(ref) });
  }
}

/** A read that fails proves nothing. */
async function isMissing(deps: Dependencies, ref: ApiKeyRef): Promise<boolean> {
  try {
    return (await deps.resources.readLive('ApiKey', { namespace: ref.namespace, name: ref.name })) === undefined;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return false;
  }
}
