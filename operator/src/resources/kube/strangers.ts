import { canonicalJson } from '../../domain/canonical.ts';

/**
 * The merge patch that removes from a status everything that was not just applied: an apply leaves what another manager wrote,
 * and an attacker who forges a status is one. `undefined` = there is nothing to remove. A removal gives our manager no field that
 * the next apply would have to share.
 */
export function withoutStrangers(found: unknown, applied: unknown): unknown {
  if (isRecord(found) && isRecord(applied)) {
    const members = Object.entries(found).flatMap(([name, member]) => {
      const change = applied[name] === undefined ? null : withoutStrangers(member, applied[name]);
      return change === undefined ? [] : [[name, change] as const];
    });
    return members.length === 0 ? undefined : Object.fromEntries(members);
  }
  return inOneOrder(found) === inOneOrder(applied) ? undefined : applied;
}

/** A server keeps lists by a key, in an order of its own. */
function inOneOrder(value: unknown): string {
  return Array.isArray(value) ? value.map(canonicalJson).sort().join() : canonicalJson(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
