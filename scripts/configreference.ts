import { describeConfig } from '../operator/src/config.ts';
import type { ConfigEntry } from '../operator/src/config.ts';
import { codes } from '../operator/src/server/codes.ts';
import { table } from './markdown.ts';

/** `docs/reference/configuration.md`: every environment variable, from the table that the program itself reads. */
export function configurationPage(): string {
  const entries = describeConfig();
  return [
    '# Configuration',
    '',
    'A process reads these environment variables once, when it starts. It lists all faults in one message and exits with 2, also for a name that begins with `KEYWRIGHT_` and is not here (but for what Kubernetes injects for a Service). An empty variable counts as absent. Durations are written as `1h30m15s`.',
    '',
    ...table(['Variable', 'Meaning', 'Form', 'Default'], entries.filter((entry) => entry.inUse).map(rowOf)),
    '',
    '## Reserved',
    '',
    'These names are accepted and their text is checked. They have no effect yet.',
    '',
    ...table(['Variable', 'Meaning', 'Form', 'Default'], entries.filter((entry) => !entry.inUse).map(rowOf)),
    '',
  ].join('\n');
}

/** `docs/reference/verdicts.md`: every code of a denial, with its status and sentence. */
export function verdictsPage(): string {
  const rows = Object.entries(codes).map(([code, { status, detail, retryAfterSeconds }]) => [
    `\`${code}\``,
    String(status),
    detail,
    retryAfterSeconds === undefined ? '' : `${String(retryAfterSeconds)} s`,
  ]);
  return [
    '# Verdicts',
    '',
    'What `POST /v1/verify` says in `code`, `status` and `detail` when a request is not allowed. The answer itself is always a 200. [Verify API](verify.md) has every member of requests and answers.',
    '',
    ...table(['Code', 'Status', 'Detail', 'Try again after'], rows),
    '',
    'A catalog may choose 401 for `key_expired` (`policy.expiredStatus`).',
    '',
    'A gateway sends the last column, `retryAfterSeconds` in the answer, as `Retry-After`.',
    '',
    'Every refusal of a well-formed key (`key_invalid`) has the same bytes and comes at a multiple of 50 ms after the request, whether the key id is unknown, the secret is wrong, or the key was revoked or retired. While look-ups are slow, refusals are held back to the multiple that the slowest recent one needed, for up to 300 ms. A client network (/24 of IPv4, /64 of IPv6, from `request.sourceIp`) with too many of them gets `rate_limited` instead (`KEYWRIGHT_REFUSALS_PER_SECOND`). Only refusals of that network count, and its good keys go on. Pass the address of the client as `sourceIp`, not that of a proxy: without it nothing is limited, because the gateway would pay for all of its clients.',
    '',
    'A `sourceIp` that is not an IP address is a `source_not_allowed` for keys with `allowedSources`, and `detail` says so. For other keys it changes no verdict: refusals are not limited then, and `usedBy` names no network.',
    '',
    'A path that two programs could read differently (`//`, `..`, `;`, `%2f`) is an `endpoint_not_allowed`, and `detail` says what is wrong with it.',
    '',
    'A member that contains NUL or an unpaired surrogate is a 400 that names the member; in `key` it is `key_invalid`.',
    '',
  ].join('\n');
}

function rowOf(entry: ConfigEntry): readonly string[] {
  return [`\`${entry.name}\``, entry.description, entry.form, entry.default === undefined ? '' : `\`${entry.default}\``];
}
