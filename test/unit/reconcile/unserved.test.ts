import { describe, expect, it } from 'vitest';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import { Unserved } from '../../../operator/src/reconcile/unserved.ts';
import { silentLog, type LogFields } from '../../../operator/src/telemetry/log.ts';
import { keySpec, World } from '../../builders/world.ts';

const hour = 3_600_000;

/** A world with so many keys in one namespace, seen by an operator that serves these namespaces. */
async function worldOf(count: number, namespaces?: readonly string[]) {
  const world = await World.open();
  for (let at = 0; at < count; at += 1) {
    const name = `key-${String(at).padStart(2, '0')}`;
    const deliverTo = [{ name: 'local', secret: { name } }];
    const key = world.resources.create('ApiKey', { metadata: { namespace: 'payments', name }, spec: keySpec({ deliverTo }) });
    await reconcile(world.deps, key, 'none');
  }
  const lines: (LogFields | undefined)[] = [];
  const counts: number[] = [];
  const deps = {
    ...world.deps,
    ...(namespaces === undefined ? {} : { namespaces }),
    log: { ...silentLog, error: (_: string, fields?: LogFields) => lines.push(fields) },
    metrics: { ...world.deps.metrics, unserved: (count: number) => counts.push(count) },
  };
  return { world, deps, lines, counts };
}

describe('keys in a namespace that is not served any more', () => {
  it('are named in the log at the start and each hour, at most twenty of them, and counted', async () => {
    const { world, deps, lines, counts } = await worldOf(22, ['elsewhere']);
    const unserved = new Unserved();
    await unserved.look(deps);
    await world.clock.advance(hour - 1);
    await unserved.look(deps);
    expect(lines).toHaveLength(1);
    await world.clock.advance(1);
    await unserved.look(deps);
    expect(lines).toHaveLength(2);
    expect(counts).toEqual([22, 22, 22]);
    expect(lines[0]).toMatchObject({ count: 22 });
    const message = lines[0]?.message ?? '';
    expect(message.match(/payments\/key-\d\d/g)).toHaveLength(20);
    expect(message).toContain('payments/key-19 and 2 more: this operator does not serve their namespaces.');
    expect(message).toContain('keywright revoke --direct');
  });

  it.each([
    ['whose namespaces are served', ['elsewhere', 'payments']],
    ['where all are served', undefined],
  ] as const)('are none %s', async (_, namespaces) => {
    const { deps, lines, counts } = await worldOf(1, namespaces);
    await new Unserved().look(deps);
    expect([lines, counts.filter((count) => count > 0)]).toEqual([[], []]);
  });
});
