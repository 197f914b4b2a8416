import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { reasons } from '../../../operator/src/domain/reason.ts';
import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';

const page = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
const entries = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text] as const),
);

describe('the operations page', () => {
  it('has an entry for every reason, and none for anything else', () => {
    expect([...entries.keys()].sort()).toEqual(Object.keys(reasons).sort());
  });

  it.each(Object.entries(reasons))('says what %s means, where it comes from and what to do', (reason, meaning) => {
    const lines = entries.get(reason)?.split('\n') ?? [];
    expect(lines).toContain(`- **Means:** ${meaning}`);
    for (const part of ['Cause', 'Cure']) expect(lines.some((line) => line.startsWith(`- **${part}:** `))).toBe(true);
  });

  it('names only metrics that there are', async () => {
    const { body } = await createMetrics().render();
    const names = new Set(page.match(/keywright_[a-z_]+/g) ?? []);
    // Of a histogram, rules name its series.
    const isThere = (name: string) =>
      body.includes(`# HELP ${name} `) || body.includes(`# TYPE ${name.replace(/_(bucket|count|sum)$/, '')} histogram\n`);
    expect([...names].filter((name) => !isThere(name))).toEqual([]);
    expect(names.size).toBeGreaterThan(4);
  });
});
