import { waiting } from '../../domain/failure.ts';
import type { Clock } from '../../domain/time.ts';

/** What requests are signed with, in the shape of the SDK. */
export interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** How the operator proves itself to AWS. One per way to log in. */
export interface Credentials {
  /** What is believed to be valid. */
  current(): Promise<Identity>;
  /** AWS refused this one: get another one. `same` = there is no other. */
  renew(refused: Identity): Promise<'renewed' | 'same'>;
}

/** What a login gave, and how long it is good for. */
export interface Login {
  readonly identity: Identity;
  /** After this time another login is tried, in milliseconds from now. */
  readonly refreshAfterMs: number;
  /** After this time it is not used any more, in milliseconds from now. */
  readonly usableForMs: number;
}

/** A session is renewed this long before its end, or after half of its life when that is longer, in milliseconds. */
const renewBeforeEndMs = 300_000;

/** The login of a session that ends at an instant of AWS. */
export function sessionLogin(identity: Identity, expiresAt: number, clock: Clock): Login {
  const usableForMs = expiresAt - clock.now();
  if (usableForMs <= 0) throw waiting('DestinationUnavailable', 'AWS gave a session that has ended; is the clock right?');
  return { identity, refreshAfterMs: Math.max(usableForMs - renewBeforeEndMs, usableForMs / 2), usableForMs };
}

/**
 * Keeps the result of a login, and makes one login for all who ask at the same time. A login that fails while the last
 * one is still good does no harm; it is tried again with the next call.
 */
export function keepLogin(login: () => Promise<Login>, clock: Clock): Credentials {
  let kept: { readonly identity: Identity; readonly refreshAtMs: number; readonly endsAtMs: number } | undefined;
  let underWay: Promise<Identity> | undefined;
  const again = async (): Promise<Identity> => {
    const startedAtMs = clock.monotonicMs();
    const { identity, refreshAfterMs, usableForMs } = await login();
    kept = { identity, refreshAtMs: startedAtMs + refreshAfterMs, endsAtMs: startedAtMs + usableForMs };
    return identity;
  };
  const single = (): Promise<Identity> => {
    underWay ??= again().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
  return {
    current: async () => {
      const before = kept;
      if (before !== undefined && clock.monotonicMs() < before.refreshAtMs) return before.identity;
      try {
        return await single();
      } catch (error) {
        if (before !== undefined && kept === before && clock.monotonicMs() < before.endsAtMs) return before.identity;
        throw error;
      }
    },
    renew: async (refused) => {
      // Somebody else may have renewed it since the refused request was signed.
      if (kept !== undefined && !isSame(kept.identity, refused)) return 'renewed';
      kept = undefined;
      return isSame(await single(), refused) ? 'same' : 'renewed';
    },
  };
}

function isSame(one: Identity, other: Identity): boolean {
  const { accessKeyId, secretAccessKey, sessionToken } = one;
  return accessKeyId === other.accessKeyId && secretAccessKey === other.secretAccessKey && sessionToken === other.sessionToken;
}
