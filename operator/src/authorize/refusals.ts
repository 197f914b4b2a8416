import type { Clock } from '../domain/time.ts';
import type { Presented } from './lookup.ts';
import type { Lane } from './reads.ts';
import { RecentSet } from './recent.ts';
import { RefusalLimit } from './refusallimit.ts';
import { Steps } from './steps.ts';
import type { Verdict } from './verdict.ts';

/** How many proven tokens are remembered, by their hash; about 150 bytes each. */
const provenMax = 50_000;
/** How many refusals a second one client network gets, in the long run. */
export const defaultRefusalsPerSecond = 10;
/** When a refusal is sent, in milliseconds after the request: well after the store's usual answer. */
export const defaultRefusalStepMs = 50;

/** What {@link Refusals} needs. */
export interface RefusalsInput {
  readonly clock: Clock;
  /** See {@link defaultRefusalsPerSecond}; from 1. */
  readonly perSecond?: number | undefined;
  /** See {@link defaultRefusalStepMs}; 0 = at once. */
  readonly stepMs?: number | undefined;
}

/** One request with a well-formed token, from its arrival to its verdict. */
export interface Attempt {
  readonly lane: Lane;
  /** The verdict to send: a refusal spends one of the source's refusals, and becomes `rate_limited` when none is left. */
  readonly settle: (verdict: Verdict) => Verdict;
  /** Resolves when a refusal may be sent. */
  readonly refuse: () => Promise<void>;
}

/**
 * Makes all refusals of a well-formed key alike, whatever the cause: an unknown id, a wrong secret, a revoked or retired version.
 * Each is sent at the same step after its request, and spends one of its source's refusals. Remembers which tokens were proven,
 * so that no flood of others delays them.
 */
export class Refusals {
  readonly #limit: RefusalLimit;
  readonly #proven = new RecentSet(provenMax);
  readonly #steps: Steps;

  constructor({ clock, perSecond = defaultRefusalsPerSecond, stepMs = defaultRefusalStepMs }: RefusalsInput) {
    this.#limit = new RefusalLimit(clock, perSecond);
    this.#steps = new Steps(clock, stepMs);
  }

  /** The lane of a request that presents no well-formed token. */
  laneOf(sourceIp: string | undefined): Lane {
    return this.#limit.isSpent(sourceIp) ? 'limited' : 'new';
  }

  /** Call it before anything depends on whether the key exists. */
  begin({ hashed }: Extract<Presented, { kind: 'token' }>, sourceIp: string | undefined): Attempt {
    // By the whole token: an id alone is public, and would let anybody into that key's lane.
    const proof = Buffer.from(hashed.hash).toString('base64');
    const lane = this.#proven.has(proof) ? 'proven' : this.laneOf(sourceIp);
    const steps = this.#steps.begin();
    return {
      lane,
      settle: (verdict) => {
        steps.found();
        if (verdict.allowed || verdict.keyId !== undefined) this.#proven.add(proof);
        if (verdict.allowed || verdict.code !== 'key_invalid') return verdict;
        this.#proven.delete(proof);
        return this.#limit.spend(sourceIp) ? verdict : { allowed: false, code: 'rate_limited' };
      },
      refuse: steps.reached,
    };
  }
}
