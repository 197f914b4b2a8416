import { Failure, stalled, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import { checkMount } from '../location.ts';
import type { ReadSecret } from '../readsecret.ts';
import type { VaultAnswer } from './server.ts';

/** A token of the operator's own ServiceAccount for this audience. */
export type RequestToken = (audience: string) => Promise<Plaintext>;

/** Where credentials come from. */
export interface CredentialSources {
  readonly readSecret: ReadSecret;
  /** Absent where there is no API server that issues tokens (standalone mode). */
  readonly requestToken?: RequestToken | undefined;
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
 * @see https://developer.hashicorp.com/vault/api-docs/auth for the calls
 */
export function openLogin(spec: VaultAuthSpec, sources: CredentialSources): LoginMethod {
  if (spec.kubernetes !== undefined) return kubernetesLogin(spec.kubernetes, sources.requestToken);
  if (spec.appRole !== undefined) return appRoleLogin(spec.appRole, sources.readSecret);
  if (spec.token !== undefined) return givenToken(spec.token.secretRef, sources.readSecret);
  throw stalled('InvalidSpec', 'spec.vault.auth names no way to log in');
}

function kubernetesLogin(spec: KubernetesAuthSpec, requestToken: RequestToken | undefined): LoginMethod {
  if (requestToken === undefined) {
    throw stalled(
      'InvalidSpec',
      'spec.vault.auth.kubernetes needs a Kubernetes cluster, and there is none in standalone mode; use spec.vault.auth.appRole or spec.vault.auth.token',
    );
  }
  const { role, audience = 'vault' } = spec;
  const mount = checkMount(spec.mount ?? 'kubernetes', 'spec.vault.auth.kubernetes');
  return {
    readCredential: async () => {
      try {
        return await requestToken(audience);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        throw waiting('DestinationUnavailable', `no login with spec.vault.auth.kubernetes: ${error.message}`);
      }
    },
    isWatched: false,
    login: (credential) => ({ path: `auth/${mount}/login`, body: { role, jwt: credential.reveal() } }),
    makesToken: true,
    describeRefusal: (answer) =>
      refusal(answer, mount, `is its role ${role} there, for our ServiceAccount and audience ${audience}?`),
    refusedForMs: 10_000,
  };
}

function appRoleLogin(spec: AppRoleAuthSpec, readSecret: ReadSecret): LoginMethod {
  const { roleId, secretRef } = spec;
  const mount = checkMount(spec.mount ?? 'approle', 'spec.vault.auth.appRole');
  return {
    readCredential: () => readEntry(readSecret, secretRef, 'secret-id'),
    isWatched: true,
    login: (credential) => ({ path: `auth/${mount}/login`, body: { role_id: roleId, secret_id: credential.reveal() } }),
    makesToken: true,
    describeRefusal: (answer) => refusal(answer, mount, `are role id and the secret id in the Secret ${secretRef.name} valid?`),
    // Vault locks a role for 15 minutes after five wrong secret ids within 15 minutes ("User lockout").
    refusedForMs: 240_000,
  };
}

function givenToken(secretRef: SecretRef, readSecret: ReadSecret): LoginMethod {
  return {
    readCredential: () => readEntry(readSecret, secretRef, 'token'),
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

async function readEntry(readSecret: ReadSecret, { name, key }: SecretRef, what: 'token' | 'secret-id'): Promise<Plaintext> {
  const entry = key ?? what;
  const found = await readSecret(name, entry);
  // Secrets made with `echo` end in a newline, which no header may hold.
  const text = found?.reveal().trim() ?? '';
  if (isCredential(text)) return new Plaintext(text);
  throw waiting('DestinationUnavailable', `the Secret ${name} holds no ${what.replace('-', ' ')} under ${entry}`);
}

/** Whether a text can be a token or a secret id: it goes into a header or JSON, and servers know no longer ones. */
export function isCredential(text: unknown): text is string {
  return typeof text === 'string' && /^[\x21-\x7e]{1,8192}$/.test(text);
}
