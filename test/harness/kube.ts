import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'undici';

/** What a test needs to reach an API server; plain data, so that it travels between processes. */
export interface KubeHandle {
  /** As `kube-apiserver 1.37.1`. */
  readonly version: string;
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** User → bearer token: `admin` (system:masters), `outsider` (no right), and who was asked for. */
  readonly tokens: Readonly<Record<string, string>>;
  /** User → path of a kubeconfig file. */
  readonly kubeconfigs: Readonly<Record<string, string>>;
  /** The path of kubectl. */
  readonly kubectl: string;
  readonly dir: string;
}

/** What kubectl said. */
export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What goes with a call of kubectl. */
export interface KubectlOptions {
  /** Fed to its standard input, for `apply -f -`: text, or an object that is sent as JSON. */
  readonly input?: string | object;
  /** Default `admin`. */
  readonly user?: string;
  /** Return a failure instead of throwing it. Default false. */
  readonly allowFailure?: boolean;
}

/** What an API server answered. */
export interface KubeAnswer {
  readonly status: number;
  /** The parsed JSON, or the text when it is none. */
  readonly body: unknown;
}

/** A real API server, as tests see it. */
export class Kube {
  readonly handle: KubeHandle;
  readonly #agent: Agent;

  constructor(handle: KubeHandle) {
    this.handle = handle;
    this.#agent = new Agent({ connect: { ca: handle.ca } });
  }

  get url(): string {
    return this.handle.url;
  }

  /** The path of a user's kubeconfig file. */
  kubeconfig(user = 'admin'): string {
    const path = this.handle.kubeconfigs[user];
    if (path === undefined) throw new Error(`no user ${user}`);
    return path;
  }

  /** A user's bearer token. */
  token(user = 'admin'): string {
    const token = this.handle.tokens[user];
    if (token === undefined) throw new Error(`no user ${user}`);
    return token;
  }

  /** Runs kubectl; throws what it said on standard error unless failure is allowed. Ends after a minute at most. */
  async kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<KubectlResult> {
    const child = spawn(this.handle.kubectl, ['--kubeconfig', this.kubeconfig(options.user), ...args], {
      env: { PATH: process.env['PATH'], HOME: this.handle.dir },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    // kubectl may end without reading what it was given.
    child.stdin.on('error', () => undefined);
    child.stdin.end(typeof options.input === 'object' ? JSON.stringify(options.input) : (options.input ?? ''));
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode) => resolve(exitCode ?? 1));
    });
    if (code !== 0 && options.allowFailure !== true) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return { code, stdout, stderr };
  }

  /** Raw HTTP with JSON, without any client library in between. */
  async request(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    options: { body?: unknown; contentType?: string; user?: string } = {},
  ): Promise<KubeAnswer> {
    const answer = await request(`${this.url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { authorization: `Bearer ${this.token(options.user)}`, 'content-type': options.contentType ?? 'application/json' },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: parse(text) };
  }

  /** Makes a namespace with a name of its own and returns that name. Nobody waits for its end. */
  async createNamespace(prefix = 'test', labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const name = `${prefix}-${randomBytes(4).toString('hex')}`;
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
    const answer = await this.request('POST', '/api/v1/namespaces', { body });
    if (answer.status !== 201) throw new Error(`namespace ${name} refused: ${JSON.stringify(answer.body)}`);
    return name;
  }

  /** Closes the connections; the server goes on. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
