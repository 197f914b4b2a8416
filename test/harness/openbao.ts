import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { BINARY_LABELS, obtain } from './binaries.ts';
import { freePort } from './ports.ts';
import { privateDir, startServer } from './process.ts';
import type { ServerProcess } from './process.ts';

/** What a test needs to reach an OpenBao server; plain data. */
export interface OpenBaoHandle {
  /** As `OpenBao 2.4.0`. */
  readonly version: string;
  /** `http://127.0.0.1:<port>`; KV version 2 lies at `secret/`. */
  readonly address: string;
  readonly rootToken: string;
}

/** A server of one's own, for tests that stop, freeze or kill it. Its data is in memory. */
export interface OwnOpenBao {
  readonly openbao: OpenBaoHandle;
  readonly server: ServerProcess;
  readonly stop: () => Promise<void>;
}

/**
 * Starts OpenBao as a development server: unsealed, in memory, KV version 2 at `secret/`.
 *
 * @throws {PartMissing} when the program cannot be had.
 */
export async function startOpenBao(): Promise<OwnOpenBao> {
  const command = await obtain('bao');
  const dir = privateDir('openbao');
  const port = await freePort();
  const firstToken = `root-${randomBytes(12).toString('hex')}`;
  const address = `http://127.0.0.1:${port}`;
  try {
    const server = await startServer({
      name: 'openbao',
      command,
      dir,
      args: [
        'server',
        '-dev',
        `-dev-root-token-id=${firstToken}`,
        `-dev-listen-address=127.0.0.1:${port}`,
        '-dev-no-store-token',
      ],
      // Listed only after the development server has mounted it, which is after it answers health checks.
      ready: async () => {
        const headers = { 'x-vault-token': firstToken };
        return (await fetch(`${address}/v1/secret/config`, { headers, signal: AbortSignal.timeout(1000) })).ok;
      },
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    };
    const handle = { version: BINARY_LABELS.bao, address, rootToken: firstToken };
    // One in the form of Vault's own tokens, which a chosen one cannot have.
    const made = await callOpenBao(handle, 'POST', 'auth/token/create-orphan', { policies: ['root'] });
    const { client_token: rootToken } = (made as { auth: { client_token: string } }).auth;
    return { openbao: { ...handle, rootToken }, server, stop };
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Calls the server's HTTP interface with the root token; `undefined` for 404. For what a test arranges and looks at. */
export async function callOpenBao(openbao: OpenBaoHandle, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${openbao.address}/v1/${path}`, {
    method,
    headers: {
      'x-vault-token': openbao.rootToken,
      'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw new Error(`OpenBao ${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? {} : (JSON.parse(text) as unknown);
}
