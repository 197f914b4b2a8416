import { sql } from 'kysely';

import type { ApiKeyRef } from '../../domain/key.ts';
import type { Instant } from '../../domain/time.ts';
import type { Actor, MissingKey, MissingLook } from '../port.ts';
import { present } from './rows.ts';
import { at } from './tables.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.noteMissing}. Repeating a look changes nothing. */
export async function noteMissing(
  context: StoreContext,
  { missing, unsure }: MissingLook,
  now: Instant,
): Promise<readonly MissingKey[]> {
  const [gone, kept] = [[...missing], [...missing, ...unsure]];
  await attempt(context, 'noteMissing', async () => {
    await sql`delete from keywright.missing_key where not (apikey_uid = any(${kept}::text[]))`.execute(context.db);
    await sql`
      insert into keywright.missing_key (apikey_uid, since) select uid, ${at(now)} from unnest(${gone}::text[]) as u (uid)
      on conflict do nothing`.execute(context.db);
  });
  const found = await listMissing(context);
  return found.filter(({ ref }) => gone.includes(ref.uid));
}

interface MissingJson {
  readonly ref: ApiKeyRef;
  readonly since: Instant;
  readonly confirmedBy: string | null;
}

/** See {@link Store.listMissing}. */
export async function listMissing(context: StoreContext): Promise<readonly MissingKey[]> {
  const query = sql<MissingJson>`
    select json_build_object('namespace', k.namespace, 'name', k.name, 'uid', k.uid) as ref,
      keywright.ms(m.since)::float8 as since, m.confirmed_by as "confirmedBy"
    from keywright.missing_key m join keywright.apikey k on k.uid = m.apikey_uid
    where k.released_at is null order by k.namespace, k.name`;
  const { rows } = await attempt(context, 'listMissing', () => query.execute(context.db));
  return rows.map(({ ref, since, confirmedBy }) => ({ ref, since, ...present({ confirmedBy }) }));
}

/** See {@link Store.confirmMissing}. */
export async function confirmMissing(context: StoreContext, uids: readonly string[], actor: Actor): Promise<number> {
  const query = sql`
    update keywright.missing_key set confirmed_by = left(${actor}, 64)
    where apikey_uid = any(${[...uids]}::text[]) and confirmed_by is null`;
  const { numAffectedRows } = await attempt(context, 'confirmMissing', () => query.execute(context.db));
  return Number(numAffectedRows ?? 0);
}
