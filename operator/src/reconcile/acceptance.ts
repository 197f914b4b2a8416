import type { ApiKey } from '../api/kinds.ts';
import { annotations } from '../api/meta.ts';
import { formatInstant, parseInstant, type Instant } from '../domain/time.ts';
import type { Acceptance } from '../store/port.ts';
import type { Observed } from './observed.ts';
import { longestCompromisedRequest, longestRotateRequest, rememberedForm } from './rotation/requests.ts';

/** Whether the admission policy judges what is written to ApiKeys. */
export type AdmissionState =
  /** The installation does not require it (`KEYWRIGHT_ADMISSION=off`, standalone mode). */
  | { readonly kind: 'notRequired' }
  /** In force without interruption since then. `period` names that time, and nobody can know it before it has begun. */
  | { readonly kind: 'inForce'; readonly period: string; readonly since: Instant }
  /** Missing, changed, or not to be read. `why` is a sentence without its full stop. */
  | { readonly kind: 'notInForce'; readonly since: Instant; readonly why: string };

/** The period of an installation that requires no policy. */
export const periodOfNoPolicy = 'off';

/** Whether what the resource says now may take effect. */
export type AcceptanceState =
  | { readonly kind: 'accepted'; readonly acceptance: Acceptance }
  /** Only a check that begins after the resource was read can say that the policy was in force until then. */
  | { readonly kind: 'unchecked' }
  /** It narrows the key, and takes no other effect. `confirm` = the value of the annotation that confirms it. */
  | { readonly kind: 'held'; readonly message: string; readonly confirm?: string };

/**
 * Whether the policy judged what the resource says. It did when nothing changed since the last acceptance, or when the policy has been
 * in force without interruption from that acceptance, or from before the resource was created, until after the resource was read.
 * Everything else needs somebody whom the policy lets pass: the policy asks for all rights of a create when the annotation
 * {@link annotations.confirm} changes, and its value is not known before the policy is in force again.
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
  // Also to carry an acceptance over into this period: what was read before the check may have changed before the period began.
  if (!o.admissionChecked) return isUnchanged ? { kind: 'accepted', acceptance: known } : { kind: 'unchecked' };
  const wasJudged = known === undefined ? isNewer(o, admission.since) : known.period === admission.period;
  if (wasJudged) return { kind: 'accepted', acceptance };
  const confirm = o.confirmations.get(admission.period);
  const said = resource.metadata.annotations?.[annotations.confirm];
  if (confirm !== undefined && said === confirm) return { kind: 'accepted', acceptance };
  if (isUnchanged) return { kind: 'accepted', acceptance: known };
  return { kind: 'held', message: heldMessage(confirm), ...(confirm === undefined ? {} : { confirm }) };
}

/** Created after the period began, or made and observed by a program that kept no acceptances. */
function isNewer({ resource, store }: Observed, since: Instant): boolean {
  const { creationTimestamp, generation } = resource.metadata;
  if (store.key !== undefined) return resource.status?.observedGeneration === generation;
  const created = parseInstant(creationTimestamp ?? '');
  // The API server writes whole seconds: a creation in the second in which the period began may have come before it.
  return created !== undefined && created > Math.floor(since / 1_000) * 1_000;
}

/**
 * The request annotations as one text: they change without the generation. An entry of {@link annotations.compromised} that may be a
 * key is not kept, and neither is more than a request may have.
 */
export function requestsText({ metadata }: Pick<ApiKey, 'metadata'>): string {
  const given = metadata.annotations ?? {};
  const rotate = given[annotations.rotate]?.slice(0, longestRotateRequest + 1);
  const compromised = given[annotations.compromised];
  const reported = compromised === undefined ? undefined : rememberedForm(compromised).slice(0, longestCompromisedRequest + 1);
  const entries = [rotate ?? null, reported ?? null, given[annotations.paused] ?? null];
  return entries.every((entry) => entry === null) ? '' : JSON.stringify(entries).slice(0, 2_048);
}

function notInForceMessage({ since, why }: Extract<AdmissionState, { kind: 'notInForce' }>): string {
  return `the admission policy has not been in force since ${formatInstant(since)} (${why}): what is written now narrows the key and takes no other effect`;
}

/** Why nothing new is minted although what the resource says was accepted. */
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
