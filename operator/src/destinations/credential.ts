import { credentialLabel, group } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import { addressOf } from '../domain/serveraddress.ts';
import type { SecretObject } from '../resources/port.ts';

/**
 * The purpose of a Secret: the value of its label {@link credentialLabel}. An author of Secrets opts in with it; the author of a
 * KeyDestination cannot.
 */
export type CredentialKind = 'vault-token' | 'vault-approle' | 'aws';

/** The Vault servers that a Secret may be sent to: their addresses with their path, separated by commas. */
export const addressAnnotation = `${group}/vault-address`;

/** The Secrets that the chart makes for the operator and the authorizer, whatever labels they bear. */
const ownSecrets = [
  ...['keywright-peppers', 'keywright-database', 'keywright-callers'],
  ...['keywright-postgres', 'keywright-postgres-operator', 'keywright-postgres-authorizer'],
];

/**
 * The exact formats of credentials, so that no other text is sent by mistake or on purpose.
 * - `vault-token`: a service, batch or recovery token of Vault 1.10 and later (`hvs.`, `hvb.`, `hvr.`), or of OpenBao and older
 *   ones (`s.`, `b.`, `r.`), with the id of a namespace after it.
 * - `vault-approle`: a secret id that Vault generated, which is a UUID.
 *
 * @see https://developer.hashicorp.com/vault/docs/concepts/tokens#token-prefixes
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html
 */
const shapes = {
  'vault-token': /^(?:hv)?[sbr]\.[A-Za-z0-9_-]{20,4096}(?:\.[A-Za-z0-9]{1,64})?$/,
  'vault-approle': /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/,
  'access-key-id': /^(?:AKIA|ASIA)[A-Z0-9]{12,124}$/,
  'secret-access-key': /^[A-Za-z0-9/+=]{40,128}$/,
  'session-token': /^[A-Za-z0-9/+=_-]{16,8192}$/,
} as const;

/** Whether a text has the format of this credential. */
export function hasShape(shape: keyof typeof shapes, text: string): boolean {
  return shapes[shape].test(text);
}

/** Which credential is wanted, and which server gets it. */
export interface WantedCredential {
  readonly kind: CredentialKind;
  /** The address of the Vault server that gets it; absent for AWS, whose endpoints are the installation's choice. */
  readonly server?: string;
  /** Whether the installation lists that server, so that the Secret need not name it. */
  readonly isListed?: boolean;
}

/** Why a Secret must not be used as this credential, for the log; `undefined` = it may be used. */
export function credentialFault(name: string, secret: SecretObject | undefined, wanted: WantedCredential): string | undefined {
  if (ownSecrets.includes(name)) return 'it is a Secret of the operator itself';
  if (secret === undefined) return 'there is no such Secret';
  const { labels = {}, annotations = {} } = secret.metadata;
  if (labels[credentialLabel] !== wanted.kind) return `it lacks the label ${credentialLabel}: ${wanted.kind}`;
  if (secret.type !== undefined && secret.type !== 'Opaque') return 'its type is not Opaque';
  if (wanted.server === undefined || wanted.isListed === true) return undefined;
  const named = (annotations[addressAnnotation] ?? '').split(',').map((one) => addressOf(one.trim()));
  return named.includes(wanted.server) ? undefined : `its annotation ${addressAnnotation} does not name the server`;
}

/**
 * One sentence for a Secret that is absent, has another purpose, or holds something else: the author of a KeyDestination learns
 * what to do, and nothing about the Secrets of the operator's namespace. `entries` names the required entries.
 */
export function unusableCredential(name: string, wanted: WantedCredential, entries: string, fault: string): Failure {
  const { kind, server, isListed = false } = wanted;
  const address = server === undefined || isListed ? '' : `, the annotation ${addressAnnotation}: ${server}`;
  return new Failure({
    kind: 'waiting',
    reason: 'DestinationUnavailable',
    message: `the Secret ${name} cannot be used here: it needs the label ${credentialLabel}: ${kind}${address} and ${entries}`,
    detail: { class: 'credential', text: fault },
  });
}
