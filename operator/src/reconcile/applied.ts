import type { AppliedSettings, KeySettings } from '../store/port.ts';
import { acceptanceOf } from './acceptance.ts';
import type { Observed } from './observed.ts';
import { sameData, settingsOf } from './settings.ts';
import { namespaceFault, validate, validatePermission } from './validate.ts';

/**
 * What verdicts are to be made under. What the resource says takes effect as a whole, when it is accepted, valid and permitted; until
 * then the last settings that were stay, and what is proposed narrows them. A key whose settings its namespace may not have any more is
 * denied, and comes back when it may.
 */
export function appliedOf(o: Observed): AppliedSettings {
  const wanted = settingsOf(o.resource.spec);
  const state = acceptanceOf(o);
  const { key } = o.store;
  const accepted = state.kind === 'accepted' ? state.acceptance : key?.accepted;
  const isEffective = state.kind === 'accepted' && validate(o) === undefined && validatePermission(o) === undefined;
  const settings = isEffective || key === undefined ? wanted : key.settings;
  return {
    settings,
    ...(sameData(settings, wanted) ? {} : { proposed: wanted }),
    ...(namespaceFault(o, settings) === undefined ? {} : { notPermitted: true as const }),
    ...(accepted === undefined ? {} : { accepted }),
  };
}

/** Whether the store has it so. */
export function isApplied(o: Observed, applied: AppliedSettings): boolean {
  const { key } = o.store;
  if (key === undefined) return true;
  const { settings, proposed, notPermitted, accepted } = key;
  const known: AppliedSettings = {
    settings,
    ...(proposed === undefined ? {} : { proposed }),
    ...(notPermitted === undefined ? {} : { notPermitted }),
    ...(accepted === undefined ? {} : { accepted }),
  };
  return sameData(known, applied);
}

/** All settings that a request is held to now, the ones that apply first. */
export function layersOf(o: Observed): readonly [KeySettings, ...KeySettings[]] {
  const { settings, proposed } = appliedOf(o);
  return proposed === undefined ? [settings] : [settings, proposed];
}
