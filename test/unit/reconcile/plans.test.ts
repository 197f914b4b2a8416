import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { everyRule, plan } from '../../../operator/src/reconcile/plan.ts';
import { progressRules } from '../../../operator/src/reconcile/rules/progress.ts';
import { safetyRules } from '../../../operator/src/reconcile/rules/safety.ts';
import { goldenCase, goldenFolder as folder, outcomeOf } from '../../builders/golden.ts';
import { observed, summaryOf, type ObservedCase } from '../../builders/observed.ts';

// Each file is a pair: what is observed (see test/builders/observed.ts), and the plan for it. Its folder is the rule
// that must decide. KEYWRIGHT_WRITE_GOLDEN=1 writes the plans anew; read the diff.
const rules = readdirSync(folder).sort();
const write = process.env['KEYWRIGHT_WRITE_GOLDEN'] === '1';

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe.each(rules)('the rule %s', (rule) => {
  const files = readdirSync(join(folder, rule)).sort();
  it.each(files)('plans as written: %s', async (file) => {
    const path = join(folder, rule, file);
    const document = parseDocument(readFileSync(path, 'utf8'));
    const { observed: given } = document.toJS() as { observed: ObservedCase };
    const decided = plain(summaryOf(plan(observed(given ?? {}))));
    if (write) {
      document.set('plan', decided);
      writeFileSync(path, await format(document.toString({ lineWidth: 0 }), { ...(await resolveConfig(path)), parser: 'yaml' }));
    }
    const { plan: golden } = parseDocument(readFileSync(path, 'utf8')).toJS() as { plan: unknown };
    expect(decided).toEqual(golden);
    expect((decided as { rule: string }).rule).toBe(rule);
  });
});

describe('each rule matters', () => {
  const cases = rules.flatMap((rule) =>
    readdirSync(join(folder, rule)).map((file) => {
      const given = goldenCase(rule, file);
      return { given, outcome: outcomeOf(given, everyRule) };
    }),
  );

  it.each(everyRule.map(([rule]) => rule))('without %s some golden plan does something else', (rule) => {
    const left = everyRule.filter(([name]) => name !== rule);
    expect(cases.some(({ given, outcome }) => outcomeOf(given, left) !== outcome)).toBe(true);
  });
});

describe('the golden plans', () => {
  it('have a case for every rule', () => {
    expect(rules).toEqual([...Object.keys(safetyRules), ...Object.keys(progressRules), 'steady'].sort());
  });

  it.each(Object.keys(safetyRules))('have %s with each missing reference: safety waits for none', (rule) => {
    const files = readdirSync(join(folder, rule));
    for (const missing of ['catalog', 'owner', 'destination']) expect(files).toContain(`without-${missing}.yaml`);
  });
});
