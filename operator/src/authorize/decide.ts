import type { Instant } from '../domain/time.ts';
import type { KeyRecord } from '../store/port.ts';
import type { Lookup } from './lookup.ts';
import type { AuthRequest } from './request.ts';
import type { Denial, DenyCode, Verdict } from './verdict.ts';

/**
 * Decides one request. The order of the questions is the contract (a client with two faults hears of the first):
 * stale → credential present → known, proven, not revoked, within its catalog → not expired → not suspended → rights.
 * Rights are not known yet, so that a key that is alive hears `endpoint_not_allowed`, with its key id.
 */
export function decide(found: Lookup, request: Pick<AuthRequest, 'catalog'>, now: Instant): Verdict {
  switch (found.kind) {
    case 'stale':
      return deny('authorizer_stale');
    case 'missing':
      return deny('key_missing');
    case 'unknown':
      return deny('key_invalid');
    case 'known':
      return decideKnown(found.record, request, now);
  }
}

function decideKnown(record: KeyRecord, request: Pick<AuthRequest, 'catalog'>, now: Instant): Verdict {
  const { version, key } = record;
  if (hasEnded(record, now)) return deny('key_invalid');
  if (request.catalog !== undefined && request.catalog !== key.settings.catalog) return deny('key_invalid');
  if (isExpired(record, now)) return deny('key_expired', version.keyId);
  if (key.settings.suspended) return deny('key_suspended', version.keyId);
  return deny('endpoint_not_allowed', version.keyId);
}

/** Revoked, retired, abandoned, or past its overlap: such a key answers as if it had never been. */
function hasEnded({ version, key }: KeyRecord, now: Instant): boolean {
  if (key.revokedReason !== undefined) return true;
  if (version.state === 'ended') return version.endedReason !== 'expired';
  return version.notAfter !== undefined && now >= version.notAfter;
}

/** An expired version stays known as long as its ApiKey exists, so that its client hears what to do. */
function isExpired({ version }: KeyRecord, now: Instant): boolean {
  return version.state === 'ended' || (version.expiresAt !== undefined && now >= version.expiresAt);
}

function deny(code: DenyCode, keyId?: string): Denial {
  return keyId === undefined ? { allowed: false, code } : { allowed: false, code, keyId };
}
