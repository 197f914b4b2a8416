import { isRolledOut } from './consuming.ts';
import { openTargets, type Observed } from './observed.ts';
import { outlookOf, type Evidence, type Outlook } from './rotation/outlook.ts';
import { windowFault } from './rotation/windows.ts';
import { pacedUntil } from './rules/places.ts';

/** What of an observation decides about retirements and rotations besides the versions. */
export function evidenceOf(o: Observed): Evidence {
  const writableAt = Math.max(0, ...openTargets(o).map((target) => pacedUntil(o, target)));
  return { horizon: o.horizon, rolledOut: isRolledOut(o), writableAt };
}

/** {@link outlookOf}, or `undefined` while the windows of the spec cannot be read: then nothing is planned. */
export function readableOutlook(o: Observed): Outlook | undefined {
  return windowFault(o.resource.spec.rotation.windows, o.now) === undefined ? outlookOf(o, evidenceOf(o)) : undefined;
}
