import { spawn } from 'node:child_process';
import { BINARY_LABELS, obtain } from './binaries.ts';
import type { Kube } from './kube.ts';
import { noteUse } from './parts.ts';
import { privateDir, tied } from './process.ts';

/** What Helm said. */
export interface HelmResult {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What goes with a call of Helm. */
export interface HelmOptions {
  /** Return a failure instead of throwing it. Default false. */
  readonly allowFailure?: boolean;
  /** Written to a file that is given as `--values`. */
  readonly values?: object;
  /** Ends it by SIGKILL when aborted, as a person or a pipeline may. */
  readonly signal?: AbortSignal;
}

/** The real Helm 4, with folders of its own. */
export class Helm {
  readonly #path: string;
  readonly #dir: string;
  readonly #kubeconfig: string | undefined;

  private constructor(path: string, dir: string, kubeconfig: string | undefined) {
    this.#path = path;
    this.#dir = dir;
    this.#kubeconfig = kubeconfig;
  }

  /**
   * Against this API server, or (absent) without any.
   *
   * @throws {PartMissing} where it cannot be had.
   */
  static async open(kube?: Kube, user?: string): Promise<Helm> {
    const path = await obtain('helm');
    await noteUse(BINARY_LABELS.helm);
    return new Helm(path, privateDir('helm'), kube?.kubeconfig(user));
  }

  /** Where the program lies, for a script that calls `helm`. */
  get path(): string {
    return this.#path;
  }

  /** Throws what it said on standard error unless failure is allowed. Ends after two minutes at most. */
  async run(args: readonly string[], options: HelmOptions = {}): Promise<HelmResult> {
    const { values, allowFailure = false, signal } = options;
    const { command, args: all } = tied(this.#path, [...args, ...(values === undefined ? [] : ['--values', '-'])]);
    const child = spawn(command, all, {
      env: {
        PATH: process.env['PATH'],
        HOME: this.#dir,
        HELM_CACHE_HOME: `${this.#dir}/cache`,
        HELM_CONFIG_HOME: `${this.#dir}/config`,
        HELM_DATA_HOME: `${this.#dir}/data`,
        // Without one, none of this machine's must be found.
        KUBECONFIG: this.#kubeconfig ?? `${this.#dir}/none`,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 120_000,
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin.on('error', () => undefined);
    child.stdin.end(values === undefined ? '' : JSON.stringify(values));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (error) => {
        if (error.name !== 'AbortError') reject(error);
      });
      child.once('close', resolve);
    });
    if (code !== 0 && !allowFailure && signal?.aborted !== true) throw new Error(`helm ${args.join(' ')}: ${stderr.trim()}`);
    return { code, stdout, stderr };
  }
}
