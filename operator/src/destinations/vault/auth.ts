import { loginServiceAccountName } from '../../api/meta.ts';
import { Failure, stalled, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import { checkMount } from '../location.ts';
import { hasShape, unusableCredential, type CredentialKind, type WantedCredential } from '../credential.ts';
import type { ReadCredential } from '../readcredential.ts';
import type { VaultAnswer } from './server.ts';

/** A token of a ServiceAccount in the operator's namespace for this audience. */
export type RequestToken = (serviceAccount: string, audience: string) => Promise<Plaintext>;

/** Where credentials come from. */
export interface CredentialSources {
  readonly readCredential: ReadCredential;
  /** Absent where there is no API server that issues tokens (standalone mode). */
  readonly requestToken?: RequestToken | undefined;
}

/** The server that credentials go to. */
export interface VaultPlace {
  readonly address: string;
  /** Whether the installation lists it: then it may get credentials not made for it alone. */
  readonly isListed: boolean;
}

interface SecretRef {
  readonly name: string;
  readonly key?: string | undefined;
}

/** `spec.vault.auth` of a KeyDestination. Exactly one member is there; the schema sees to that. */
export interface VaultAuthSpec {
  readonly kubernetes?: KubernetesAuthSpec | undefined;
  readonly appRole?: AppRoleAuthSpec | undefined;
  readonly token?: { readonly secretRef: SecretRef } | undefined;
}
interface KubernetesAuthSpec {
  readonly role: string;
  readonly serviceAccountRef?: { readonly name: string } | undefined;
  readonly audience?: string | undefined;
  readonly mount?: string | undefined;
}
interface AppRoleAuthSpec {
  readonly roleId: string;
  readonly secretRef: SecretRef;
  readonly mount?: string | undefined;
}

/** One way to get a token from a Vault server; {@link VaultSession} says when. */
export interface LoginMethod {
  /** What the login is made with, read anew each time. Throws DestinationUnavailable. */
  readCredential(): Promise<Plaintext>;
  /** Whether the credential stands somewhere and may change there, so that it is looked at again while a lease holds. */
  readonly isWatched: boolean;
  /** The call that turns it into a lease. `token`: the call is made with this token. */
  login(credential: Plaintext): { readonly path: string; readonly body: object; readonly token?: Plaintext };
  /** True when the login makes a token, which we revoke at the end; false when it only takes a given one over. */
  readonly makesToken: boolean;
  /** Our words for a login that the server refuses. */
  describeRefusal(answer: VaultAnswer): string;
  /** How long a refused credential is not tried again, in milliseconds. */
  readonly refusedForMs: number;
}

/**
 * Chooses the way to log in. Throws `stalled InvalidSpec`, naming the field, for one that cannot work here.
 *
 * The author of a KeyDestination chooses the server, and that server could replay a credential at another one. So the operator
 * sends a credential only if it is useless elsewhere (a token whose audience is the server's address), if its Secret names the
 * server, or if the installation trusts the server with all credentials.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/auth for the calls
 */
export function openLogin(spec: VaultAuthSpec, sources: CredentialSources, place: VaultPlace): LoginMethod {
  if (spec.kubernetes !== undefined) return kubernetesLogin(spec.kubernetes, sources.requestToken, place);
  if (spec.appRole !== undefined) return appRoleLogin(spec.appRole, sources.readCredential, place);
  if (spec.token !== undefined) return givenToken(spec.token.secretRef, sources.readCredential, place);
  throw stalled('InvalidSpec', 'spec.vault.auth must name a login method');
}

function kubernetesLogin(
  spec: KubernetesAuthSpec,
  requestToken: RequestToken | undefined,
  { address, isListed }: VaultPlace,
): LoginMethod {
  if (requestToken === undefined) {
    throw stalled(
      'InvalidSpec',
      'spec.vault.auth.kubernetes needs a Kubernetes cluster, and there is none in standalone mode; use spec.vault.auth.appRole or spec.vault.auth.token',
    );
  }
  const { role, audience = address } = spec;
  if (audience !== address && !isListed) {
    throw stalled(
      'InvalidSpec',
      `spec.vault.auth.kubernetes.audience must be ${address}: a token for another audience may be valid at another server; to permit it, list ${address} in KEYWRIGHT_VAULT_ADDRESSES (chart: destinations.vaultAddresses)`,
    );
  }
  const account = spec.serviceAccountRef?.name ?? loginServiceAccountName;
  const mount = checkMount(spec.mount ?? 'kubernetes', 'spec.vault.auth.kubernetes');
  return {
    readCredential: async () => {
      try {
        return await requestToken(account, audience);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const message = `no login with spec.vault.auth.kubernetes: ${error.message}`;
        throw error.kind === 'stalled' ? stalled(error.reason, message) : waiting('DestinationUnavailable', message);
      }
    },
    isWatched: false,
    login: (credential) => ({ path: `auth/${mount}/login`, body: { role, jwt: credential.reveal() } }),
    makesToken: true,
    describeRefusal: (answer) =>
      refusal(answer, mount, `is its role ${role} there, for the ServiceAccount ${account} and the audience ${audience}?`),
    refusedForMs: 10_000,
  };
}

function appRoleLogin(spec: AppRoleAuthSpec, readCredential: ReadCredential, place: VaultPlace): LoginMethod {
  const { roleId, secretRef } = spec;
  const mount = checkMount(spec.mount ?? 'approle', 'spec.vault.auth.appRole');
  return {
    readCredential: () => readEntry(readCredential, secretRef, wanted('vault-approle', place)),
    isWatched: true,
    login: (credential) => ({ path: `auth/${mount}/login`, body: { role_id: roleId, secret_id: credential.reveal() } }),
    makesToken: true,
    describeRefusal: (answer) => refusal(answer, mount, `are role id and the secret id in the Secret ${secretRef.name} valid?`),
    // Vault locks a role for 15 minutes after five wrong secret ids within 15 minutes ("User lockout").
    refusedForMs: 240_000,
  };
}

function givenToken(secretRef: SecretRef, readCredential: ReadCredential, place: VaultPlace): LoginMethod {
  return {
    readCredential: () => readEntry(readCredential, secretRef, wanted('vault-token', place)),
    isWatched: true,
    // Nothing else says how long a given token lives, and a periodic one dies when nobody renews it.
    login: (credential) => ({ path: 'auth/token/renew-self', body: {}, token: credential }),
    makesToken: false,
    describeRefusal: ({ statusCode }) => `the Vault server refuses the token in the Secret ${secretRef.name} (${statusCode})`,
    refusedForMs: 0,
  };
}

function refusal({ kind, statusCode }: VaultAnswer, mount: string, question: string): string {
  if (kind === 'missing') return `the Vault server has no auth method mounted at ${mount} (${statusCode})`;
  return `the Vault server refuses the login at ${mount} (${statusCode}); ${question}`;
}

type VaultCredentialKind = Exclude<CredentialKind, 'aws'>;
type WantedVaultCredential = WantedCredential & { readonly kind: VaultCredentialKind };

const entries: Readonly<Record<VaultCredentialKind, { readonly key: string; readonly what: string }>> = {
  'vault-token': { key: 'token', what: 'a token of Vault' },
  'vault-approle': { key: 'secret-id', what: 'a secret id that Vault generated' },
};

function wanted(kind: VaultCredentialKind, { address, isListed }: VaultPlace): WantedVaultCredential {
  return { kind, server: address, isListed };
}

async function readEntry(
  readCredential: ReadCredential,
  { name, key }: SecretRef,
  credential: WantedVaultCredential,
): Promise<Plaintext> {
  const { kind } = credential;
  const entry = key ?? entries[kind].key;
  const needed = `${entries[kind].what} under ${entry}`;
  const found = (await readCredential(name, credential, needed))(entry);
  // Secrets made with `echo` end in a newline, which no header may hold.
  const text = found?.reveal().trim() ?? '';
  if (hasShape(kind, text)) return new Plaintext(text);
  const fault = found === undefined ? `it has no entry ${entry}` : `what it holds under ${entry} is not ${entries[kind].what}`;
  throw unusableCredential(name, credential, needed, fault);
}

/** Whether a text from a server can be a token: it goes into a header. */
export function isToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\x21-\x7e]{1,8192}$/.test(text);
}
