import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Observed } from '../../operator/src/reconcile/observed.ts';
import { plan, type everyRule } from '../../operator/src/reconcile/plan.ts';
import { observed, summaryOf, type ObservedCase } from './observed.ts';

/** The golden plans: one folder for each rule, one file for each case of it. */
export const goldenFolder = join(import.meta.dirname, '../unit/reconcile/plans');

/** What the case in a golden file observes. Throws when there is no such file. */
export function goldenCase(rule: string, file: string): Observed {
  const document = parseDocument(readFileSync(join(goldenFolder, rule, file), 'utf8')).toJS() as { observed: ObservedCase };
  return observed(document.observed ?? {});
}

/** What comes of a case when only these rules are left, whatever the name of the rule that decided. */
export function outcomeOf(given: Observed, left: typeof everyRule): string {
  const { rule: _, ...outcome } = summaryOf(plan(given, left));
  return JSON.stringify(outcome);
}
