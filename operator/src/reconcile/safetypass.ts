import type { ApiKey } from '../api/kinds.ts';
import { transient } from '../domain/failure.ts';
import { formatRef } from '../domain/key.ts';
import { within, type Instant } from '../domain/time.ts';
import type { EventRecord } from '../resources/port.ts';
import type { AdmissionState } from './acceptance.ts';
import type { Action } from './action.ts';
import type { Dependencies } from './dependencies.ts';
import { storyOf, type Story } from './events.ts';
import { execute } from './execute.ts';
import { observe } from './observe.ts';
import type { Observed } from './observed.ts';
import { plan, urgentRules } from './plan.ts';

/** More steps than all safety rules together need. */
const maxSteps = 20;

/** How long a check of the admission policy may hold up what an edit takes away, and the lane. */
const checkWithinMs = 300;

function unanswered(since: Instant): AdmissionState {
  return { kind: 'notInForce', since, why: 'it is still being checked' };
}

/** The steps that take effect in the store alone. */
const inStoreOnly = ['takeOver', 'revokeAll', 'endVersions', 'saveSettings', 'saveHandled', 'setExpiry'] as const;

/**
 * Writes to the store what an ApiKey, just read live, takes away: it revokes, suspends or narrows the key, or ends versions
 * sooner. It calls no destination and writes no status, so only the database can delay it; a full pass follows. Returns the
 * recorded events, so that the status does not record them again. See {@link Precedence} for why it may run next to a full pass.
 */
export async function reconcileSafety(deps: Dependencies, resource: ApiKey): Promise<Story> {
  const told: EventRecord[] = [];
  let last: { readonly before: Observed; readonly action: Action } | undefined;
  let admission: AdmissionState | undefined;
  for (let step = 0; step < maxSteps; step += 1) {
    const observed = await observe(deps, resource, { sights: new Map(), workloads: new Map(), compare: 'none', admission });
    if (last !== undefined) {
      const story = storyOf({ ...last, after: observed });
      for (const event of story) deps.resources.recordEvent('ApiKey', resource.metadata, event);
      told.push(...story);
    }
    const { action, rule } = plan(observed, urgentRules);
    if (action?.kind === 'checkAdmission') {
      // No answer counts as a no: what narrows is saved now, and the full pass accepts the rest.
      admission = (await within(deps.clock, checkWithinMs, deps.admission.check())) ?? unanswered(deps.clock.now());
      last = undefined;
      continue;
    }
    if (action === undefined || !isInStoreOnly(action)) return told;
    deps.log.debug('step', { apiKey: formatRef(observed.ref), action: action.kind, message: rule });
    last = { before: observed, action };
    await execute(deps, observed, action);
  }
  throw transient('InternalError', `not finished after ${maxSteps} steps; will retry`);
}

function isInStoreOnly(action: Action): action is Extract<Action, { kind: (typeof inStoreOnly)[number] }> {
  return inStoreOnly.some((kind) => kind === action.kind);
}
