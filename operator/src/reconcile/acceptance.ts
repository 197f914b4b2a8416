import type { ApiKey } from '../api/kinds.ts';
import { annotations } from '../api/meta.ts';
import { floorToSecond, formatInstant, parseInstant, type Instant } from '../domain/time.ts';
import { neverAccepted, type Acceptance, type KeyRow } from '../store/port.ts';
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
  /** `confirmed` = only because somebody confirmed it. */
  | { readonly kind: 'accepted'; readonly acceptance: Acceptance; readonly confirmed?: true }
  /** Only a check that begins after the read of the resource can prove that the policy was in force until then. */
  | { readonly kind: 'unchecked' }
  /** It narrows the key and has no other effect. */
  | { readonly kind: 'held'; readonly message: string };

/** What {@link acceptanceOf} judges by. */
export interface AcceptanceInput {
  readonly resource: Pick<ApiKey, 'metadata'>;
  /** The key's row in the store; absent before the first mint. */
  readonly key: Pick<KeyRow, 'accepted'> | undefined;
  readonly admission: AdmissionState;
  /** Whether `admission` was checked after the read of the resource. */
  readonly checked: boolean;
  /** The value of {@link annotations.confirm} that confirms the present state in this period. */
  readonly confirmIn: (period: string) => string;
}

/**
 * Whether the policy has checked the present state of the resource. It has if nothing changed since the last acceptance, or if
 * the policy was in force without interruption from that acceptance, or from before the creation of the resource, until after the
 * read of the resource. Everything else needs a confirmation by somebody with enough rights: to change the annotation
 * {@link annotations.confirm}, the policy requires all rights of a create, and nobody knows its value before the policy is in
 * force again.
 */
export function acceptanceOf({ resource, key, admission, checked, confirmIn }: AcceptanceInput): AcceptanceState {
  const known = key?.accepted;
  const state = { generation: resource.metadata.generation ?? 0, requests: requestsText(resource) };
  if (admission.kind === 'notRequired') return { kind: 'accepted', acceptance: { ...state, period: periodOfNoPolicy } };
  const isUnchanged = known?.generation === state.generation && known.requests === state.requests;
  // Keeps its period: the resource may change between the read and the beginning of the present period.
  if (isUnchanged) return { kind: 'accepted', acceptance: known };
  if (!checked) return { kind: 'unchecked' };
  if (admission.kind === 'notInForce') return { kind: 'held', message: notInForceMessage(admission, key) };
  // Whatever makes a row writes an acceptance. One without would be held until somebody confirms it.
  const isFirst = key === undefined || known?.period === neverAccepted.period;
  const isJudged = isFirst ? isNewer(resource, admission.since) : known?.period === admission.period;
  const acceptance = { ...state, period: admission.period };
  if (isJudged) return { kind: 'accepted', acceptance };
  const confirm = confirmIn(admission.period);
  if (isConfirmedBy(resource, confirm)) return { kind: 'accepted', acceptance, confirmed: true };
  return { kind: 'held', message: heldMessage({ metadata: resource.metadata, since: admission.since, confirm, key }) };
}

/** Created after the period began. */
function isNewer({ metadata }: Pick<ApiKey, 'metadata'>, since: Instant): boolean {
  const created = parseInstant(metadata.creationTimestamp ?? '');
  // The API server writes whole seconds: a creation in the same second as the begin of the period may have come before it.
  return created !== undefined && created > floorToSecond(since);
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

function notInForceMessage({ since, why }: Extract<AdmissionState, { kind: 'notInForce' }>, key: AcceptanceInput['key']): string {
  return `the admission policy has not been in force since ${formatInstant(since)} (${why}): ${effectOf(key)} until it is in force again and somebody confirms this`;
}

/** What a held write does, as the middle of a sentence. */
function effectOf(key: AcceptanceInput['key']): string {
  return key === undefined ? 'nothing is minted' : 'this change can only narrow the key';
}

/** Why nothing new is minted although the state of the resource was accepted. */
export function noMintMessage({ since, why }: Extract<AdmissionState, { kind: 'notInForce' }>): string {
  return `the admission policy has not been in force since ${formatInstant(since)} (${why}): nothing new is minted until it is`;
}

/** Whether a resource bears this value of {@link annotations.confirm}. */
export function isConfirmedBy({ metadata }: Pick<ApiKey, 'metadata'>, confirm: string): boolean {
  return metadata.annotations?.[annotations.confirm] === confirm;
}

/** The command that confirms a key with this value. */
export function howToConfirm({ namespace, name }: ApiKey['metadata'], confirm: string): string {
  const where = namespace === undefined ? '' : ` -n ${namespace}`;
  return `kubectl annotate apikey ${name}${where} --overwrite ${annotations.confirm}=${confirm}`;
}

function heldMessage({ metadata, since, confirm, key }: Held): string {
  const how = howToConfirm(metadata, confirm);
  return `nothing proves that the admission policy checked this, because it has been in force without interruption only since ${formatInstant(since)}: ${effectOf(key)} until somebody with all rights of the key confirms it: ${how}`;
}

interface Held {
  readonly metadata: ApiKey['metadata'];
  /** Since when the policy has been in force. */
  readonly since: Instant;
  readonly confirm: string;
  readonly key: AcceptanceInput['key'];
}
