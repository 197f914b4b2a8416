import { waiting, type Failure } from '../../domain/failure.ts';
import { Plaintext } from '../../domain/plaintext.ts';
import type { Clock } from '../../domain/time.ts';
import { noVault } from '../untrusted.ts';
import { isToken, type LoginMethod } from './auth.ts';
import { member } from './metadata.ts';
import type { VaultServer } from './server.ts';

/** A login that is kept alive: every call asks it for the token to send. */
export interface VaultSession {
  /** A token that is believed to be valid; logs in or renews when it is time. Throws DestinationUnavailable. */
  token(): Promise<Plaintext>;
  /** The server denied this token: get another one. `same` = there is no other now. */
  replace(denied: Plaintext): Promise<'replaced' | 'same'>;
  /** Revokes the token of a login of ours. Nothing works afterwards. */
  close(): Promise<void>;
}

/** A token, what it was got with, and when it wants attention, all on the monotonic clock. */
interface Lease {
  readonly token: Plaintext;
  readonly credential: Plaintext;
  /** How long it was given, in milliseconds. */
  readonly durationMs: number;
  readonly renewable: boolean;
  /** When a call with it fails; infinite for a token that does not end. */
  readonly endsAtMs: number;
  /** From here on it is renewed or replaced, at its next use. */
  readonly dueAtMs: number;
  /** From here on its credential is looked at again. */
  readonly lookAtMs: number;
}

interface Refusal {
  readonly credential: Plaintext;
  readonly failure: Failure;
  readonly untilMs: number;
}

/** What of a lease may pass before it is renewed. */
const renewedAfter = 2 / 3;
/** A token near the end of its greatest life gets ever shorter leases; it is not renewed more often than this. */
const shortestPauseMs = 5_000;
/** After this a credential in a Secret is looked at again. */
const lookEveryMs = 60_000;
/** After a renewal or a look that failed while the lease still holds. */
const pauseMs = 15_000;
/** A right that is missing looks like a dead token: a denial leads to a new login no more often than this. */
const denialPauseMs = 60_000;
const revokeTimeoutMs = 2_000;

/** Starts without a login: the first use makes it. */
export function openVaultSession(server: VaultServer, method: LoginMethod, clock: Clock): VaultSession {
  return new Session(server, method, clock);
}

/**
 * Driven by use alone: no timer keeps a lease alive that nobody needs. Whoever comes while it logs in or renews waits
 * for the same call.
 */
class Session implements VaultSession {
  readonly #server: VaultServer;
  readonly #method: LoginMethod;
  readonly #clock: Clock;
  #lease: Lease | undefined;
  #work: Promise<Lease> | undefined;
  #refusal: Refusal | undefined;
  #deniedAtMs = -Infinity;
  #isClosed = false;

  constructor(server: VaultServer, method: LoginMethod, clock: Clock) {
    this.#server = server;
    this.#method = method;
    this.#clock = clock;
  }

  async token(): Promise<Plaintext> {
    const nowMs = this.#clock.monotonicMs();
    const lease = this.#lease;
    const isQuiet = lease !== undefined && nowMs < lease.dueAtMs && nowMs < lease.lookAtMs;
    if (isQuiet && !this.#isClosed) return lease.token;
    return (await this.#alone(() => this.#attend())).token;
  }

  async replace(denied: Plaintext): Promise<'replaced' | 'same'> {
    await this.#work?.catch(() => undefined);
    // Calls that went out together are denied together: the first of them has seen to it.
    const held = this.#lease;
    if (held !== undefined && held.token.reveal() !== denied.reveal()) return 'replaced';
    const lease = await this.#alone(() => this.#afterDenial(held));
    return lease.token.reveal() === denied.reveal() ? 'same' : 'replaced';
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work?.catch(() => undefined);
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease === undefined || !this.#method.makesToken) return;
    const call = { method: 'write', path: 'auth/token/revoke-self', token: lease.token, timeoutMs: revokeTimeoutMs } as const;
    // A token that cannot be revoked ends with its lease.
    await this.#server.send(call).catch(() => undefined);
  }

  /** One piece of work at a time; who comes meanwhile shares its outcome. */
  #alone(work: () => Promise<Lease>): Promise<Lease> {
    if (this.#work !== undefined) return this.#work;
    if (this.#isClosed) return Promise.reject(waiting('DestinationUnavailable', 'the login to the Vault server was ended'));
    const running = work()
      .then((lease) => (this.#lease = lease))
      .finally(() => (this.#work = undefined));
    this.#work = running;
    return running;
  }

  async #attend(): Promise<Lease> {
    const held = this.#lease;
    if (held === undefined) return this.#logIn();
    try {
      return await this.#refresh(held);
    } catch (error) {
      const nowMs = this.#clock.monotonicMs();
      // What still holds is not given up because its renewal, or the Secret behind it, cannot be had now.
      if (nowMs >= held.endsAtMs) throw error;
      return { ...held, dueAtMs: Math.max(held.dueAtMs, nowMs + pauseMs), lookAtMs: nowMs + lookEveryMs };
    }
  }

  async #refresh(held: Lease): Promise<Lease> {
    const nowMs = this.#clock.monotonicMs();
    let current = held;
    if (this.#method.isWatched && nowMs >= held.lookAtMs) {
      const credential = await this.#method.readCredential();
      if (credential.reveal() !== held.credential.reveal()) return this.#logIn(credential);
      current = { ...held, lookAtMs: nowMs + lookEveryMs };
    }
    return nowMs < current.dueAtMs ? current : this.#prolong(current);
  }

  async #prolong(held: Lease): Promise<Lease> {
    if (!held.renewable) return this.#logIn();
    const answer = await this.#server.send({ method: 'write', path: 'auth/token/renew-self', token: held.token });
    // Denied: it died before its time. Refused: it was said to be renewable, and is not.
    if (answer.kind !== 'ok') return this.#logIn();
    const renewed = this.#leaseOf(answer.body, held.credential);
    // Shorter than what it was given before: the end of its greatest life is near.
    return { ...renewed, renewable: renewed.renewable && renewed.durationMs >= held.durationMs };
  }

  async #afterDenial(held: Lease | undefined): Promise<Lease> {
    const nowMs = this.#clock.monotonicMs();
    const { isWatched } = this.#method;
    const credential = isWatched ? await this.#method.readCredential() : undefined;
    const isChanged = credential !== undefined && credential.reveal() !== held?.credential.reveal();
    if (held !== undefined && !isChanged) {
      if (!this.#method.makesToken || nowMs - this.#deniedAtMs < denialPauseMs) return held;
    }
    // Dead, whatever comes of the login: the next use tries it again.
    this.#lease = undefined;
    const lease = await this.#logIn(credential);
    this.#deniedAtMs = nowMs;
    return lease;
  }

  /** `given`: the credential, where it was just read. */
  async #logIn(given?: Plaintext): Promise<Lease> {
    const refusal = this.#standingRefusal();
    // One that is made for each login is no other than the refused one.
    if (refusal !== undefined && !this.#method.isWatched) throw refusal.failure;
    const credential = given ?? (await this.#method.readCredential());
    if (refusal?.credential.reveal() === credential.reveal()) throw refusal.failure;
    const answer = await this.#server.send({ method: 'write', ...this.#method.login(credential) });
    if (answer.kind === 'ok') {
      this.#refusal = undefined;
      return this.#leaseOf(answer.body, credential);
    }
    // A given token that cannot be renewed is used as it is; whether it is dead, the first call tells.
    if (!this.#method.makesToken) return this.#lasting(credential);
    const failure = waiting('DestinationUnavailable', this.#method.describeRefusal(answer));
    this.#refusal = { credential, failure, untilMs: this.#clock.monotonicMs() + this.#method.refusedForMs };
    throw failure;
  }

  #standingRefusal(): Refusal | undefined {
    const refusal = this.#refusal;
    return refusal !== undefined && this.#clock.monotonicMs() < refusal.untilMs ? refusal : undefined;
  }

  /** `auth` of the answer to a login or a renewal; durations are seconds there, and 0 is a token that does not end. */
  #leaseOf(body: unknown, credential: Plaintext): Lease {
    const auth = member(body, 'auth');
    const token = member(auth, 'client_token');
    const seconds = member(auth, 'lease_duration');
    if (!isToken(token) || typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) {
      throw noVault({ class: 'answer', text: 'the answer to the login has an unknown shape' });
    }
    const nowMs = this.#clock.monotonicMs();
    const durationMs = seconds * 1000;
    const lasting = { ...this.#lasting(credential), token: new Plaintext(token) };
    if (durationMs === 0) return lasting;
    return {
      ...lasting,
      durationMs,
      renewable: member(auth, 'renewable') === true,
      endsAtMs: nowMs + durationMs,
      dueAtMs: nowMs + Math.max(durationMs * renewedAfter, Math.min(shortestPauseMs, durationMs)),
    };
  }

  /** A credential that is itself the token, without an end that is known. */
  #lasting(credential: Plaintext): Lease {
    const lookAtMs = this.#method.isWatched ? this.#clock.monotonicMs() + lookEveryMs : Infinity;
    return { token: credential, credential, durationMs: 0, renewable: false, endsAtMs: Infinity, dueAtMs: Infinity, lookAtMs };
  }
}
