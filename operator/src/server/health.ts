import type { ServerResponse } from 'node:http';

import type { Clock } from '../domain/time.ts';
import type { MetricsRegistry } from '../telemetry/metrics.ts';
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

/** Serves `GET /healthz`, `/readyz` and `/metrics`; needs no caller, and tells nothing of keys. */
export function healthHandler(api: HealthApi): Handler {
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
        await respondChecks(response, api.live, api.clock);
        return;
      case '/readyz':
        await respondChecks(response, api.ready, api.clock);
        return;
      case '/metrics': {
        const page = await api.metrics.render();
        respondText(response, 200, page.body, page.contentType);
        return;
      }
      default:
        respondProblem(response, { status: 404, title: 'Not Found', detail: 'There is nothing at this path.' });
    }
  };
}

async function respondChecks(response: ServerResponse, checks: readonly HealthCheck[], clock: Clock): Promise<void> {
  const results = await Promise.all(checks.map(async (check) => ({ name: check.name, well: await ask(check, clock) })));
  const lines = results.map(({ name, well }) => `[${well ? '+' : '-'}] ${name}\n`);
  const allWell = results.every(({ well }) => well);
  respondText(response, allWell ? 200 : 503, `${lines.join('')}${allWell ? 'ok' : 'not ok'}\n`);
}

async function ask(check: HealthCheck, clock: Clock): Promise<boolean> {
  const answered = new AbortController();
  const late = clock.sleep(checkTimeoutMs, answered.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([Promise.resolve(check.isWell()), late]);
  } catch {
    return false;
  } finally {
    answered.abort();
  }
}
