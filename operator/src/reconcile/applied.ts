import { narrowedBy, proposalsOf } from '../store/ceilings.ts';
import type { AppliedSettings, KeySettings } from '../store/port.ts';
import { writtenSpec, type Observed } from './observed.ts';
import { sameData, settingsOf } from './settings.ts';
import { narrowTerms, termsOf } from './terms.ts';
import { namespaceFault, validate, validatePermission } from './validate.ts';

/**
 * The settings that decide verdicts. Those of the resource take effect as a whole, once they are accepted, valid and permitted.
 * Until then the last effective settings stay, and all settings that were held since the last acceptance narrow them. If the
 * namespace may no longer have a key with these settings, the key is denied until the namespace may have it again. A namespace
 * that is being deleted may have none.
 */
export function appliedOf(o: Observed): AppliedSettings {
  const wanted = settingsOf(writtenSpec(o));
  const { acceptance } = o;
  const { key } = o.store;
  const accepted = acceptance.kind === 'accepted' ? acceptance.acceptance : key?.accepted;
  const isEffective = acceptance.kind === 'accepted' && validate(o) === undefined && validatePermission(o) === undefined;
  const settings = isEffective || key === undefined ? wanted : key.settings;
  const proposed = acceptance.kind === 'accepted' || key === undefined ? wanted : narrowedBy(wanted, key);
  return {
    settings,
    ...(sameData(settings, proposed) ? {} : { proposed }),
    ...(!o.namespaceTerminating && namespaceFault(o, settings) === undefined ? {} : { notPermitted: true as const }),
    ...(accepted === undefined ? {} : { accepted }),
    ...nextTerms(o, isEffective),
    ...nextPlaces(o),
  };
}

function nextPlaces({ places }: Observed): Pick<AppliedSettings, 'places'> {
  return places === undefined ? {} : { places };
}

/**
 * A state that was accepted, valid and permitted remains the last such state while only something outside it stops permitting it.
 */
function nextTerms(o: Observed, isEffective: boolean): Pick<AppliedSettings, 'terms'> {
  const known = o.store.key?.terms;
  if (o.acceptance.kind !== 'accepted') return known === undefined ? {} : { terms: narrowTerms(known, writtenSpec(o)) };
  if (o.admission.kind === 'notRequired') return {};
  const terms = termsOf(o.resource);
  if (isEffective) return { terms };
  return known?.generation === terms.generation ? { terms: { ...known, paused: terms.paused } } : {};
}

/** Whether the store already has these settings. */
export function isApplied(o: Observed, applied: AppliedSettings): boolean {
  const { key } = o.store;
  if (key === undefined) return true;
  const { settings, proposed, notPermitted, accepted, terms, places } = key;
  const known: AppliedSettings = {
    settings,
    ...(proposed === undefined ? {} : { proposed }),
    ...(notPermitted === undefined ? {} : { notPermitted }),
    ...(accepted === undefined ? {} : { accepted }),
    ...(terms === undefined ? {} : { terms }),
    ...(places === undefined ? {} : { places }),
  };
  return sameData(known, applied);
}

/** All settings that limit a request now, the effective ones first. */
export function layersOf(o: Observed): readonly [KeySettings, ...KeySettings[]] {
  const { settings, proposed } = appliedOf(o);
  return [settings, ...proposalsOf(proposed)];
}
