import type { Clock } from '../domain/time.ts';
import { networkOf } from './source.ts';

/** The burst of a network: the refusals that this many seconds refill. */
const burstSeconds = 10;
/** How many networks are counted; the one with the oldest refusal is forgotten first. */
const networksMax = 10_000;
/** What one subscriber of a provider usually has; see RFC 6177. */
const ipv6Bits = 64;

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/**
 * Limits how many refusals (`key_invalid` of a well-formed key) a client network gets: a token bucket for each /24 of IPv4 and
 * /64 of IPv6. It counts only that network's own refusals, so it reveals nothing about any key. An unknown source is not limited:
 * the peer is a gateway, which must not pay for its clients.
 */
export class RefusalLimit {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  /** `perSecond`: refusals that a network gets in the long run, from 1. */
  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** Whether the network of this address has spent its refusals. */
  isSpent(sourceIp: string | undefined): boolean {
    const network = networkOf(sourceIp, ipv6Bits);
    return network !== undefined && this.#tokensOf(network) < 1;
  }

  /** Takes one refusal from the network of this address; false = none was left. */
  spend(sourceIp: string | undefined): boolean {
    const network = networkOf(sourceIp, ipv6Bits);
    if (network === undefined) return true;
    const tokens = this.#tokensOf(network);
    // Keeps the map in order of use.
    this.#buckets.delete(network);
    this.#buckets.set(network, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: this.#clock.monotonicMs() });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > networksMax && oldest !== undefined) this.#buckets.delete(oldest);
    return tokens >= 1;
  }

  #tokensOf(network: string): number {
    const full = this.#perSecond * burstSeconds;
    const bucket = this.#buckets.get(network);
    if (bucket === undefined) return full;
    const refilled = ((this.#clock.monotonicMs() - bucket.atMs) / 1_000) * this.#perSecond;
    return Math.min(full, bucket.tokens + refilled);
  }
}
