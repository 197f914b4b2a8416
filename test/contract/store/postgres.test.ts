import { systemClock } from '../../../operator/src/domain/time.ts';
import { openPostgresStore } from '../../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { usePostgres } from '../../harness/parts.ts';
import { storeSuite } from './suite.ts';

const postgres = await usePostgres();

storeSuite('the store on PostgreSQL', async () => {
  const { url } = await postgres.createDatabase();
  return { open: () => openPostgresStore({ url, clock: systemClock, log: silentLog }), close: () => Promise.resolve() };
});
