import type { ApiKey } from '../api/kinds.ts';
import { annotations } from '../api/meta.ts';
import { formatInstant, parseInstant, type Instant } from '../domain/time.ts';
import { neverAccepted, type Acceptance } from '../store/port.ts';
import type { Observed } from './observed.ts';
import { longestCompromisedRequest, longestRotateRequest, rememberedForm } from './rotation/requests.ts';

/** Whether the admission policy checks writes to ApiKeys. */
export type AdmissionState =
  /** The installation does not require it (`KEYWRIGHT_ADMISSION=off`, standalone mode). */
  | { readonly kind: 'notRequired' }
  /** In force without interruption since then. `period` names that time; nobody can know the name before it begins. */
  | { readonly kind: 'inForce'; readonly period: string; readonly since: Instant }
  /** Missing, changed or unreadable. `why` is a sentence without its full stop. */
  | { readonly kind: 'notInForce'; readonly since: Instant; readonly why: string };

/** The period of an installation without a required policy. */
export const periodOfNoPolicy = 'off';

/** Whether the present state of the resource may take effect. */
export type AcceptanceState =
  | { readonly kind: 'accepted'; readonly acceptance: Acceptance }
  /** Only a check that begins after the read of the resource can prove that the policy was in force until then. */
  | { readonly kind: 'unchecked' }
  /** It narrows the key and has no other effect. `confirm` = the value of the annotation that confirms it. */
  | { readonly kind: 'held'; readonly message: string; readonly confirm?: string };

/**
 * Whether the policy has checked the present state of the resource. It has if nothing changed since the last acceptance, or if
 * the policy was in force without interruption from that acceptance, or from before the creation of the resource, until after the
 * read of the resource. Everything else needs a confirmation by somebody with enough rights: to change the annotation
 * {@link annotations.confirm}, the policy requires all rights of a create, and nobody knows its value before the policy is in
 * force again.
 */
export function acceptanceOf(o: Observed): AcceptanceState {
  const { admission, resource } = o;
  const known = o.store.key?.accepted;
  const state = { generation: resource.metadata.generation ?? 0, requests: requestsText(resource) };
  if (admission.kind === 'notRequired') return { kind: 'accepted', acceptance: { ...state, period: periodOfNoPolicy } };
  const isUnchanged = known?.generation === state.generation && known.requests === state.requests;
  if (admission.kind === 'notInForce') {
    if (isUnchanged) return { kind: 'accepted', acceptance: known };
    return o.admissionChecked ? { kind: 'held', message: notInForceMessage(admission) } : { kind: 'unchecked' };
  }
  const acceptance = { ...state, period: admission.period };
  if (known?.period === admission.period && isUnchanged) return { kind: 'accepted', acceptance };
  // Needed also to carry an acceptance over into this period: the resource may have changed after the read and before the period
  // began.
  if (!o.admissionChecked) return isUnchanged ? { kind: 'accepted', acceptance: known } : { kind: 'unchecked' };
  const isFirst = known === undefined || known.period === neverAccepted.period;
  const wasJudged = isFirst ? isNewer(o, admission.since) : known.period === admission.period;
  if (wasJudged) return { kind: 'accepted', acceptance };
  const confirm = o.confirmations.get(admission.period);
  const said = resource.metadata.annotations?.[annotations.confirm];
  if (confirm !== undefined && said === confirm) return { kind: 'accepted', acceptance };
  if (isUnchanged) return { kind: 'accepted', acceptance: known };
  return { kind: 'held', message: heldMessage(confirm), ...(confirm === undefined ? {} : { confirm }) };
}

/** Created after the period began, or observed by an older program that kept no acceptances. */
function isNewer({ resource, store }: Observed, since: Instant): boolean {
  const { creationTimestamp, generation } = resource.metadata;
  if (store.key !== undefined && store.key.accepted === undefined) return resource.status?.observedGeneration === generation;
  const created = parseInstant(creationTimestamp ?? '');
  // The API server writes whole seconds: a creation in the same second as the begin of the period may have come before it.
  return created !== undefined && created > Math.floor(since / 1_000) * 1_000;
}

/**
 * The request annotations as one text: they can change without a new generation. Drops entries of {@link annotations.compromised}
 * that may be a key, and everything beyond the length of a request.
 */
export function requestsText({ metadata }: Pick<ApiKey, 'metadata'>): string {
  const given = metadata.annotations ?? {};
  const rotate = given[annotations.rotate]?.slice(0, longestRotateRequest + 1);
  const compromised = given[annotations.compromised];
  const reported = compromised === undefined ? undefined : rememberedForm(compromised).slice(0, longestCompromisedRequest + 1);
  const entries = [rotate ?? null, reported ?? null, given[annotations.paused] ?? null];
  return entries.every((entry) => entry === null) ? '' : JSON.stringify(entries).slice(0, 2_048).toWellFormed();
}

function notInForceMessage({ since, why }: Extract<AdmissionState, { kind: 'notInForce' }>): string {
  return `the admission policy has not been in force since ${formatInstant(since)} (${why}): what is written now narrows the key and takes no other effect`;
}

/** Why nothing new is minted although the state of the resource was accepted. */
export function noMintMessage({ since, why }: Extract<AdmissionState, { kind: 'notInForce' }>): string {
  return `the admission policy has not been in force since ${formatInstant(since)} (${why}): nothing new is minted until it is`;
}

function heldMessage(confirm: string | undefined): string {
  const how =
    confirm === undefined
      ? `somebody sets the annotation ${annotations.confirm}`
      : `somebody with all rights of the key sets the annotation ${annotations.confirm}=${confirm}`;
  return `written while the admission policy was not in force, and so it only narrows the key; it takes effect when ${how}`;
}
