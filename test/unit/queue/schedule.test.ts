import { expect, it } from 'vitest';
import fc from 'fast-check';
import { Schedule } from '../../../operator/src/queue/schedule.ts';

it('gives the keys in the order of their earliest instants, as a plain map would', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), key: fc.nat(30), due: fc.nat(100) }),
    fc.record({ kind: fc.constant('delete' as const), key: fc.nat(30) }),
    fc.record({ kind: fc.constant('take' as const), now: fc.nat(100) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const schedule = new Schedule<number>();
      const model = new Map<number, number>();
      for (const one of steps) {
        if (one.kind === 'set') {
          schedule.set(one.key, one.due);
          model.set(one.key, Math.min(one.due, model.get(one.key) ?? Infinity));
        } else if (one.kind === 'delete') {
          schedule.delete(one.key);
          model.delete(one.key);
        } else {
          const taken = schedule.takeDue(one.now);
          const earliest = Math.min(...model.values());
          if (earliest > one.now) expect(taken).toBeUndefined();
          else expect(model.get(taken ?? -1)).toBe(earliest);
          if (taken !== undefined) model.delete(taken);
        }
        expect(schedule.size).toBe(model.size);
        expect(schedule.next()).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
      }
    }),
  );
});
