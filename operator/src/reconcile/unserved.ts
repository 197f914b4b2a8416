import { formatRef } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';
import type { UnservedKeys } from '../store/port.ts';
import type { Dependencies } from './dependencies.ts';

const namesTold = 20;
/** They are logged again after this time, in milliseconds. */
const tellAgainMs = 3_600_000;

/** What to do about such keys; completes a sentence. */
export const unservedRemedy: string =
  'serve their namespaces again (KEYWRIGHT_NAMESPACES; chart: namespaces), or end their values with "keywright revoke --direct"';

/** What the log says. */
export function tellUnserved({ keys, total }: UnservedKeys): string {
  const names = keys.slice(0, namesTold).map(({ ref }) => formatRef(ref));
  const rest = total > names.length ? ` and ${total - names.length} more` : '';
  return `${names.join(', ')}${rest}: this operator does not serve their namespaces. Their values keep working, and revocations, deletions and other changes of their ApiKeys have no effect: ${unservedRemedy}`;
}

/**
 * Looks for live keys in namespaces that this operator does not serve (any more). It has no right to read or write anything there,
 * so it can only say so: in its log, at its start and each hour, and by a metric.
 */
export class Unserved {
  #toldAt: Instant | undefined;

  async look({ store, namespaces, clock, log, metrics }: Dependencies): Promise<void> {
    if (namespaces === undefined) return;
    const found = await store.listUnserved(namespaces, namesTold);
    metrics.unserved(found.total);
    const now = clock.now();
    if (found.total === 0) this.#toldAt = undefined;
    else if (this.#toldAt === undefined || now - this.#toldAt >= tellAgainMs) {
      this.#toldAt = now;
      log.error('keys in namespaces that are not served', { count: found.total, message: tellUnserved(found) });
    }
  }
}
