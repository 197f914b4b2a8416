import { termsSpecSchema } from '../api/apikey.ts';
import type { ApiKey, ApiKeySpec } from '../api/kinds.ts';
import { annotations, type ObjectMeta } from '../api/meta.ts';
import type { Instant } from '../domain/time.ts';
import { exceeds, narrowedBy, proposalsOf } from '../store/ceilings.ts';
import type { KeyRow, KeySettings, Terms } from '../store/port.ts';
import type { AcceptanceState } from './acceptance.ts';
import { expiryOf } from './rotation/policy.ts';
import { settingsOf } from './settings.ts';

/** How a resource counts. */
export interface Counting {
  readonly acceptance: AcceptanceState;
  /** While a change is held, the accepted members replace the held ones, if they are known. */
  readonly resource: ApiKey;
  /** Set with such a resource. */
  readonly held?: HeldChange;
}

/** The parts of a held change that count: those that narrow. */
export interface HeldChange {
  /** The spec as it is written. */
  readonly spec: ApiKeySpec;
  /** See {@link Terms.endsAt}. */
  readonly endsAt?: Instant;
}

/** The terms of a state that is accepted, valid and permitted. */
export function termsOf({ metadata, spec }: ApiKey): Terms {
  const { contactEmail, expiry, rotation, deliverTo, consumers } = spec;
  const given = Object.entries({ contactEmail, expiry, rotation, deliverTo, consumers }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    generation: metadata.generation ?? 0,
    paused: metadata.annotations?.[annotations.paused] === 'true',
    spec: Object.fromEntries(given),
  };
}

/**
 * The terms under a held change. The change can remove places and bring the end nearer. Everything else stays as accepted: a held
 * change of rotations could only make a value live longer, or make the operator mint. A change that leaves no accepted place
 * moves the key, and has to wait for its acceptance: otherwise it would stop every rotation.
 */
export function narrowTerms(terms: Terms, written: ApiKeySpec): Terms {
  const kept = new Set(written.deliverTo.map(({ name }) => name));
  const places = termsSpec(terms)?.deliverTo.filter(({ name }) => kept.has(name)) ?? [];
  const expiry = expiryOf(written, undefined);
  const ends = [terms.endsAt, expiry?.kind === 'at' ? expiry.at : undefined].filter((at) => at !== undefined);
  return {
    ...terms,
    ...(places.length === 0 ? {} : { spec: { ...terms.spec, deliverTo: places } }),
    ...(ends.length === 0 ? {} : { endsAt: Math.min(...ends) }),
  };
}

/**
 * How a written resource counts. One with a held change counts as it was accepted, but narrowed; if the accepted state is
 * unknown, nothing goes on.
 */
export function countingOf(written: ApiKey, key: KeyRow | undefined, acceptance: AcceptanceState): Counting {
  if (acceptance.kind !== 'held' || key === undefined) return { acceptance, resource: written };
  const found = goingOn(written, key);
  const narrowed = narrowedMembers(written, key, found?.held.endsAt);
  const told = narrowed.length === 0 ? '' : `; held changes have narrowed ${narrowed.join(', ')}`;
  return { acceptance: { ...acceptance, message: `${acceptance.message}${told}` }, resource: written, ...found };
}

/** The members of the spec in which held changes narrow the key now. */
function narrowedMembers({ spec }: ApiKey, key: KeyRow, endsAt: Instant | undefined): readonly string[] {
  const layers = proposalsOf(narrowedBy(settingsOf(spec), key));
  const members = new Set(layers.flatMap((layer) => exceeds(key.settings, layer)));
  return [...[...members].sort().map((name) => `spec.${name}`), ...(endsAt === undefined ? [] : ['spec.expiry.at'])];
}

function goingOn(resource: ApiKey, key: KeyRow): Required<Omit<Counting, 'acceptance'>> | undefined {
  // Terms of another state than the one that was accepted say nothing of it.
  if (key.terms === undefined || key.terms.generation !== key.accepted?.generation) return undefined;
  const terms = narrowTerms(key.terms, resource.spec);
  const accepted = termsSpec(terms);
  if (accepted === undefined) return undefined;
  const { contactEmail: _c, expiry: _e, consumers: _w, ...written } = resource.spec;
  const isSuspended = key.settings.suspended || key.proposed?.suspended === true || written.suspend;
  return {
    resource: {
      ...resource,
      metadata: withRequests(resource.metadata, key, terms),
      spec: { ...withSettings(written, key.settings), ...accepted, suspend: isSuspended },
    },
    held: { spec: resource.spec, ...(terms.endsAt === undefined ? {} : { endsAt: terms.endsAt }) },
  };
}

/** Checked, because a row may be older than this program's schema. */
function termsSpec({ spec }: Terms): Pick<ApiKeySpec, keyof (typeof termsSpecSchema)['shape']> | undefined {
  return termsSpecSchema.safeParse(spec).data;
}

/** A held request to rotate, or the removal of one, has no effect; neither has a held pause, or its end. */
function withRequests(metadata: ObjectMeta, { handled }: KeyRow, { paused }: Terms): ObjectMeta {
  const { [annotations.rotate]: _r, [annotations.paused]: _p, ...others } = metadata.annotations ?? {};
  return {
    ...metadata,
    annotations: {
      ...others,
      ...(handled?.rotate === undefined ? {} : { [annotations.rotate]: handled.rotate }),
      ...(paused ? { [annotations.paused]: 'true' } : {}),
    },
  };
}

/** The spec with the rights that apply. */
function withSettings<T extends Partial<ApiKeySpec>>(spec: T, { accessType, selections }: KeySettings) {
  const { scopes: _s, endpoints: _e, applications: _a, channels: _c, customerChannels: _cc, attributes: _at, ...kept } = spec;
  const { rateLimit: _r, allowedSources, ...selected } = selections;
  return { ...kept, accessType, ...selected, ...(allowedSources === undefined ? {} : { allowedSources }) };
}
