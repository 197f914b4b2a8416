import type { ApiCatalogSpec, ApiKeySpec, ApiKind } from '../api/kinds.ts';
import { no, type Statement } from './verdict.ts';

/** Members of a specification that this version accepts and that have no effect, or not all of it. */
export interface Unenforced<Spec> {
  /** As `spec.endpoints[].cost`; a member of it counts with it. */
  readonly field: string;
  /** What happens instead; reads on after the field and a colon. */
  readonly instead: string;
  /** Whether somebody set it: the API server writes defaults, so a default counts as not set. */
  readonly isSet: (spec: Spec) => boolean;
}

const ofApiKey: readonly Unenforced<ApiKeySpec>[] = [
  {
    field: 'spec.rateLimit',
    instead: 'nobody counts requests, and the key has no limit',
    isSet: ({ rateLimit }) => rateLimit !== undefined,
  },
];

const ofApiCatalog: readonly Unenforced<ApiCatalogSpec>[] = [
  {
    field: 'spec.endpoints[].cost',
    instead: 'nobody counts requests, so none costs anything',
    isSet: ({ endpoints }) => endpoints.some(({ cost }) => cost !== 1),
  },
  {
    field: 'spec.requests.application.header',
    instead: 'the authorizer sees no headers; the gateway must say which application a request names',
    isSet: ({ requests }) => requests.application?.header !== undefined,
  },
  {
    field: 'spec.requests.customer.header',
    instead: 'the authorizer sees no headers; the gateway must say which customer a request names',
    isSet: ({ requests }) => requests.customer !== undefined,
  },
  {
    field: 'spec.requests.targetChannels.jsonPath',
    instead: 'the authorizer sees no bodies; the gateway must say which channels a request names',
    isSet: ({ requests }) => requests.targetChannels !== undefined,
  },
  {
    field: 'spec.credentials.headers[]',
    instead: 'the first one is the delivered header line, but the gateway decides in which headers it accepts a key',
    isSet: ({ credentials: { headers } }) =>
      headers.map(({ name, scheme = '' }) => `${name} ${scheme}`).join() !== 'Authorization Bearer,X-API-Key ',
  },
  {
    field: 'spec.credentials.foreignBearer',
    instead: 'the authorizer sees no token beside the key; the gateway decides what follows',
    isSet: ({ credentials }) => credentials.foreignBearer !== 'Reject',
  },
];

/** Every such member. A test compares this list, and that of what is enforced, with the schemas. */
export const unenforced: Readonly<Record<ApiKind, readonly Unenforced<never>[]>> = {
  ApiKey: ofApiKey,
  ApiCatalog: ofApiCatalog,
  KeyOwner: [],
  KeyOwnerGroup: [],
  KeyDestination: [],
};

/** The condition `Enforced`, only where a member is set that has no effect. */
export function enforcedOf(kind: ApiKind, spec: unknown): { readonly Enforced?: Statement } {
  const set = unenforced[kind].filter(({ isSet }) => isSet(spec as never));
  if (set.length === 0) return {};
  const told = set.map(({ field, instead }) => `${field}: ${instead}`).join('; ');
  return { Enforced: no('NotEnforced', `This version does not enforce ${told}.`) };
}
