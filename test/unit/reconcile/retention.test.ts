import { expect, test } from 'vitest';

import { waiting } from '../../../operator/src/domain/failure.ts';
import { Retention } from '../../../operator/src/reconcile/retention.ts';
import { prunedTables, type PruneBefore, type Pruned, type PrunedTable } from '../../../operator/src/store/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import type { LogFields } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const hour = 3_600_000;
const limits = { feedMs: hour, auditMs: 2 * hour, versionMs: 3 * hour, deliveryMs: 4 * hour };

function removed(feed: number, next?: number): Pruned {
  const rows = Object.fromEntries(prunedTables.map((table) => [table, 0])) as Record<PrunedTable, number>;
  return { rows: { ...rows, feed }, ...(next === undefined ? {} : { next }) };
}

function retention(answers: (Pruned | Error)[]) {
  const clock = new FakeClock();
  const calls: { readonly before: PruneBefore; readonly after: number | undefined }[] = [];
  const lines: LogFields[] = [];
  let feed = 0;
  let isRight = true;
  const runs = new Retention({
    clock,
    limits,
    log: { ...silentLog, warn: (_event, fields = {}) => lines.push(fields) },
    clockIsRight: () => isRight,
    metrics: {
      pruned: (rows) => {
        feed += rows['feed'] ?? 0;
      },
    },
    store: {
      prune: (before, after) => {
        calls.push({ before, after });
        const answer = answers.shift() ?? removed(0);
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    },
  });
  return { runs, clock, calls, lines, counted: () => feed, setRight: (right: boolean) => (isRight = right) };
}

test('goes on where the last call ended, until nothing is left, and counts what went', async () => {
  const { runs, clock, calls, counted } = retention([removed(1_000, 5), removed(7, 9), removed(0)]);
  runs.start();
  await clock.advance(61_000);
  runs.stop();
  expect(calls.map((one) => one.after)).toEqual([0, 5, 9]);
  expect(counted()).toBe(1_007);
  const { before } = calls[0] ?? {};
  const started = clock.now() - 1_000;
  expect(before).toEqual({
    feed: started - hour,
    audit: started - 2 * hour,
    ended: started - 3 * hour,
    deliveries: started - 4 * hour,
  });
});

test('comes again each hour, also after a database that did not answer', async () => {
  const { runs, clock, calls } = retention([waiting('StoreUnavailable', 'away')]);
  runs.start();
  await clock.advance(59_000);
  expect(calls).toHaveLength(0);
  await clock.advance(2 * hour + 2_000);
  expect(calls).toHaveLength(3);
  runs.stop();
  await clock.advance(2 * hour);
  expect(calls).toHaveLength(3);
});

test('removes nothing while the clock is wrong, says so, and comes again when it is right', async () => {
  const { runs, clock, calls, lines, setRight } = retention([]);
  setRight(false);
  runs.start();
  await clock.advance(61_000 + hour);
  expect(calls).toHaveLength(0);
  expect(lines.map((line) => line.reason)).toEqual(['ClockWrong', 'ClockWrong']);
  setRight(true);
  await clock.advance(hour);
  runs.stop();
  expect(calls).toHaveLength(1);
});

test('a clock that jumps a year ahead makes nothing old at once, and one that is set back is followed', async () => {
  const { runs, clock, calls, lines } = retention([]);
  runs.start();
  await clock.advance(60_000);
  const first = calls[0]?.before.feed ?? 0;
  clock.jump(365 * 24 * hour);
  await clock.advance(hour);
  expect(calls[1]?.before.feed).toBe(first + 2 * hour);
  expect(lines).toMatchObject([{ reason: 'ClockWrong', message: expect.stringContaining('the clock jumped') as string }]);
  clock.jump(-365 * 24 * hour);
  await clock.advance(hour);
  runs.stop();
  expect(calls[2]?.before.feed).toBe(first + 2 * hour);
  expect(lines).toHaveLength(1);
});
