import type { ServerResponse } from 'node:http';

import type { Clock } from '../domain/time.ts';
import type { MetricsPage, MetricsRegistry } from '../telemetry/metrics.ts';
import type { Handler } from './listener.ts';
import { respondProblem, respondText } from './respond.ts';

/** One question about this process; a rejection or no answer in time is a no. */
export interface HealthCheck {
  /** Shown in the answer: `store`, `sync`, `leader`. */
  readonly name: string;
  readonly isWell: () => boolean | Promise<boolean>;
}

/** What the health listener needs. */
export interface HealthApi {
  /** A failing one asks for a restart: only what a restart can cure. */
  readonly live: readonly HealthCheck[];
  /** A failing one takes this process out of service. */
  readonly ready: readonly HealthCheck[];
  readonly metrics: Pick<MetricsRegistry, 'render'>;
  readonly clock: Clock;
}

/** How long one check may take, in milliseconds: under a kubelet's usual second, so that the answer still names what failed. */
const checkTimeoutMs = 800;
/** How long an answer is reused, in milliseconds: probes and scrapes come seconds apart. */
const freshMs = 1_000;

/**
 * Serves `GET /healthz`, `/readyz` and `/metrics`; needs no caller, and shows nothing about keys. However many clients ask, each
 * check and the metrics page run once at a time, and at most once a second.
 */
export function healthHandler(api: HealthApi): Handler {
  const { clock } = api;
  const live = checksPage(api.live, clock);
  const ready = checksPage(api.ready, clock);
  const metrics = new Shared<MetricsPage>(clock, () => api.metrics.render());
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      respondProblem(response, {
        status: 405,
        title: 'Method Not Allowed',
        detail: 'Only GET is served here.',
        headers: { allow: 'GET, HEAD' },
      });
      return;
    }
    switch ((request.url ?? '').split('?', 1)[0]) {
      case '/healthz':
        respondChecks(response, await live.get());
        return;
      case '/readyz':
        respondChecks(response, await ready.get());
        return;
      case '/metrics': {
        const page = await metrics.get();
        respondText(response, 200, page.body, page.contentType);
        return;
      }
      default:
        respondProblem(response, { status: 404, title: 'Not Found', detail: 'There is nothing at this path.' });
    }
  };
}

/** The result of the checks of one path. */
interface ChecksPage {
  readonly allWell: boolean;
  readonly text: string;
}

function respondChecks(response: ServerResponse, { allWell, text }: ChecksPage): void {
  respondText(response, allWell ? 200 : 503, text);
}

function checksPage(checks: readonly HealthCheck[], clock: Clock): Shared<ChecksPage> {
  const timed = checks.map((check) => new TimedCheck(check, clock));
  return new Shared(clock, async () => {
    const results = await Promise.all(timed.map((check) => check.ask()));
    const lines = results.map((well, at) => `[${well ? '+' : '-'}] ${checks[at]?.name ?? ''}\n`);
    const allWell = results.every(Boolean);
    return { allWell, text: `${lines.join('')}${allWell ? 'ok' : 'not ok'}\n` };
  });
}

/** One shared answer for all requests during its computation, and for {@link freshMs} after it. */
class Shared<T> {
  readonly #clock: Clock;
  readonly #make: () => Promise<T>;
  #made: { readonly value: T; readonly atMs: number } | undefined;
  #making: Promise<T> | undefined;

  constructor(clock: Clock, make: () => Promise<T>) {
    this.#clock = clock;
    this.#make = make;
  }

  async get(): Promise<T> {
    if (this.#made !== undefined && this.#clock.monotonicMs() - this.#made.atMs < freshMs) return this.#made.value;
    this.#making ??= this.#remake();
    return await this.#making;
  }

  async #remake(): Promise<T> {
    try {
      const value = await this.#make();
      this.#made = { value, atMs: this.#clock.monotonicMs() };
      return value;
    } finally {
      this.#making = undefined;
    }
  }
}

/** A check that fails if it takes too long; while it runs, it is never started a second time. */
class TimedCheck {
  readonly #check: HealthCheck;
  readonly #clock: Clock;
  #running: Promise<boolean> | undefined;

  constructor(check: HealthCheck, clock: Clock) {
    this.#check = check;
    this.#clock = clock;
  }

  async ask(): Promise<boolean> {
    const answered = new AbortController();
    const late = this.#clock.sleep(checkTimeoutMs, answered.signal).then(
      () => false,
      () => false,
    );
    this.#running ??= this.#run();
    try {
      return await Promise.race([this.#running, late]);
    } finally {
      answered.abort();
    }
  }

  async #run(): Promise<boolean> {
    try {
      return await this.#check.isWell();
    } catch {
      return false;
    } finally {
      this.#running = undefined;
    }
  }
}
