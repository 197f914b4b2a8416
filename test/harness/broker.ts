import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PartMissing } from './binaries.ts';
import { startControlPlane } from './controlplane.ts';
import { startMoto } from './moto.ts';
import { startOpenBao } from './openbao.ts';
import { startPostgres } from './postgres.ts';
import { sweepDirs } from './process.ts';

/** The real parts that all suites of a run share. */
export type SharedPart = 'kube' | 'moto' | 'openbao' | 'postgres';

/** A suite, and one part that it asked for. */
export interface PartUse {
  /** The test file's path. */
  readonly suite: string;
  /** Name and version, as `OpenBao 2.4.0`. */
  readonly part: string;
}

/** Starts shared parts when the first suite asks, and knows who asked for what. */
export interface Broker {
  readonly url: string;
  /** Stops everything that was started. */
  stop(): Promise<void>;
}

interface Started {
  readonly handle: { readonly version: string };
  readonly stop: () => Promise<void>;
}

const STARTERS: Readonly<Record<SharedPart, () => Promise<Started>>> = {
  kube: async () => {
    const plane = await startControlPlane();
    return {
      handle: plane.kube.handle,
      stop: async () => {
        await plane.kube.close();
        await plane.stop();
      },
    };
  },
  moto: async () => {
    const own = await startMoto();
    return { handle: own.moto, stop: own.stop };
  },
  openbao: async () => {
    const own = await startOpenBao();
    return { handle: own.openbao, stop: own.stop };
  },
  postgres: async () => {
    const own = await startPostgres();
    return { handle: own.postgres, stop: own.stop };
  },
};

/**
 * Serves on loopback: `GET /need/<part>?suite=<file>` starts a part once and answers its handle, 424 when it cannot be
 * had; `POST /used` notes a part that a suite started for itself; `GET /used` tells all uses.
 */
export async function startBroker(): Promise<Broker> {
  sweepDirs();
  const parts = new Map<SharedPart, Promise<Started>>();
  const uses: PartUse[] = [];
  const need = async (part: SharedPart, suite: string): Promise<object> => {
    const starting = parts.get(part) ?? STARTERS[part]();
    parts.set(part, starting);
    const { handle } = await starting;
    uses.push({ suite, part: handle.version });
    return handle;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://broker');
    const part = /^\/need\/(\w+)$/.exec(url.pathname)?.[1];
    if (part !== undefined && isSharedPart(part)) send(response, 200, await need(part, url.searchParams.get('suite') ?? ''));
    else if (url.pathname === '/used' && request.method === 'POST')
      send(response, 200, { noted: uses.push(await readJson(request)) });
    else if (url.pathname === '/used') send(response, 200, uses);
    else send(response, 404, { message: 'no such part' });
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      send(response, error instanceof PartMissing ? 424 : 500, { message: (error as Error).message });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const stop = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    const started = await Promise.allSettled(parts.values());
    await Promise.all(started.map((one) => (one.status === 'fulfilled' ? one.value.stop() : Promise.resolve())));
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

function isSharedPart(text: string): text is SharedPart {
  return Object.hasOwn(STARTERS, text);
}

async function readJson(request: IncomingMessage): Promise<PartUse> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text) as PartUse;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
