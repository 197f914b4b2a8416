import { stalled, waiting } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';

/** Reads one entry of a Secret in the operator's namespace; `undefined` when Secret or entry is not there. */
export type ReadSecret = (name: string, entry: string) => Promise<Plaintext | undefined>;

/** How the operator proves itself to a Vault server. One per way to log in. */
export interface VaultAuth {
  /** A token that is believed to be valid. */
  token(): Promise<Plaintext>;
  /** The server refused this token: get another one. `same` = there is no other. */
  renew(refused: Plaintext): Promise<'renewed' | 'same'>;
}

/** `spec.vault.auth` of a KeyDestination, as far as it is read here. */
export interface VaultAuthSpec {
  readonly token?: { readonly secretRef: { readonly name: string; readonly key?: string | undefined } } | undefined;
  readonly kubernetes?: unknown;
  readonly appRole?: unknown;
}

/** How long a token that was read from its Secret is used before the Secret is looked at again. */
const tokenCacheMs = 60_000;

/** Chooses the way to log in. Throws `stalled InvalidSpec` for one that is not supported. */
export function openAuth(
  spec: VaultAuthSpec,
  options: { readonly readSecret: ReadSecret; readonly monotonicMs: () => number },
): VaultAuth {
  if (spec.token !== undefined) return new TokenAuth(spec.token.secretRef.name, spec.token.secretRef.key ?? 'token', options);
  const asked = spec.kubernetes !== undefined ? 'kubernetes' : 'appRole';
  throw stalled('InvalidSpec', `spec.vault.auth.${asked} is not supported yet; use spec.vault.auth.token`);
}

/** A token as it stands in a Secret; re-read each minute, and at once when the server refuses it. */
class TokenAuth implements VaultAuth {
  readonly #name: string;
  readonly #entry: string;
  readonly #readSecret: ReadSecret;
  readonly #monotonicMs: () => number;
  #cached: { readonly token: Plaintext; readonly readAtMs: number } | undefined;

  constructor(name: string, entry: string, options: { readonly readSecret: ReadSecret; readonly monotonicMs: () => number }) {
    this.#name = name;
    this.#entry = entry;
    this.#readSecret = options.readSecret;
    this.#monotonicMs = options.monotonicMs;
  }

  async token(): Promise<Plaintext> {
    const cached = this.#cached;
    if (cached !== undefined && this.#monotonicMs() - cached.readAtMs < tokenCacheMs) return cached.token;
    return this.#read();
  }

  async renew(refused: Plaintext): Promise<'renewed' | 'same'> {
    return (await this.#read()).reveal() === refused.reveal() ? 'same' : 'renewed';
  }

  async #read(): Promise<Plaintext> {
    const found = await this.#readSecret(this.#name, this.#entry);
    // Secrets made with `echo` end in a newline, which no header may hold.
    const text = found?.reveal().trim() ?? '';
    if (!/^[\x21-\x7e]{1,4096}$/.test(text)) {
      this.#cached = undefined;
      throw waiting('DestinationUnavailable', `the Secret ${this.#name} holds no token under ${this.#entry}`);
    }
    const token = new Plaintext(text);
    this.#cached = { token, readAtMs: this.#monotonicMs() };
    return token;
  }
}
