import type { Clock } from '../../domain/time.ts';
import { judge, type Judged } from './faults.ts';
import type { Credentials, Identity } from './credentials.ts';
import type { RequestHandler } from './transport.ts';

/** What a call came to, beside failures: see {@link Judged}. */
export type Answer<T> =
  { readonly kind: 'ok'; readonly value: T } | Extract<Judged, { kind: 'missing' | 'exists' | 'refused' | 'invalid' }>;

/** What {@link call} needs. */
export interface Caller {
  readonly credentials: Credentials;
  readonly clock: Clock;
}

const retryDelayMs = 250;

/**
 * One call, tried once more when AWS could not be reached or failed, and once more with a new login when the
 * credentials were refused; so at most three requests. Every call that is made here is one that may be repeated.
 * Throws only {@link Failure}; `right` names in it what IAM has to allow.
 */
export async function call<T>({ credentials, clock }: Caller, right: string, send: () => Promise<T>): Promise<Answer<T>> {
  let mayRetry = true;
  let mayRenew = true;
  for (;;) {
    const identity = await credentials.current();
    let judged: Judged;
    try {
      return { kind: 'ok', value: await send() };
    } catch (error) {
      // The error may carry the request: only what `judge` makes of it leaves this function.
      judged = judge(error, right);
    }
    if (!('failure' in judged)) return judged;
    if (judged.kind === 'passing' && mayRetry) {
      mayRetry = false;
      await clock.sleep(retryDelayMs);
    } else if (judged.kind === 'credentials' && mayRenew && (await credentials.renew(identity)) === 'renewed') {
      mayRenew = false;
    } else throw judged.failure;
  }
}

/** What both of the SDK's clients are made with. */
export interface ClientSettings {
  readonly region: string;
  /** Scheme, host and port; absent = that of the region. */
  readonly endpoint: string | undefined;
  readonly handler: RequestHandler;
  readonly identity: () => Promise<Identity>;
}

/**
 * The configuration of a client of the SDK. Every option that it would look up in the environment or in `~/.aws` is
 * given: region, endpoint, credentials, retries, FIPS and dual stack, application id, order of signatures.
 */
export function sealed({ region, endpoint, handler, identity }: ClientSettings) {
  return {
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ignoreConfiguredEndpointUrls: true,
    // Without this mark the SDK would keep what it got first, and never see a changed Secret.
    credentials: Object.assign(() => identity(), { memoized: true }),
    requestHandler: handler,
    maxAttempts: 1,
    retryMode: 'standard' as const,
    defaultsMode: 'standard' as const,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    userAgentAppId: async () => undefined,
    authSchemePreference: ['sigv4'],
  };
}
