import { sql } from 'kysely';

import type { UsedVersion } from '../port.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.recordUse}. The same twice changes nothing more, so that it may be tried again. */
export async function recordUse(context: StoreContext, used: readonly UsedVersion[]): Promise<void> {
  if (used.length === 0) return;
  const [keyIds, instants] = [used.map((one) => one.keyId), used.map((one) => one.at)];
  const query = sql`select keywright.record_use(${keyIds}::text[], ${instants}::float8[])`;
  await attempt(context, 'recordUse', () => query.execute(context.db));
}
