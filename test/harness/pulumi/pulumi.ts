import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { LocalWorkspace, PulumiCommand, type PulumiFn, type Stack } from '@pulumi/pulumi/automation/index.js';
import { BINARY_LABELS, obtain } from '../binaries.ts';
import type { Kube } from '../kube.ts';
import { noteUse } from '../parts.ts';
import { privateDir, tied } from '../process.ts';

/** What the CLI said. */
export interface PulumiResult {
  readonly code: number;
  /** Both outputs, in the order in which they came. */
  readonly output: string;
}

/** The real engine, CLI and Kubernetes provider of Pulumi, with a state of its own in files. */
export class Pulumi {
  /** For a program that calls `pulumi` itself. */
  readonly env: Readonly<Record<string, string>>;
  readonly #command: PulumiCommand;
  readonly #dir: string;

  private constructor(dir: string, env: Readonly<Record<string, string>>, command: PulumiCommand) {
    this.#dir = dir;
    this.env = env;
    this.#command = command;
  }

  /**
   * With programs that work on this API server as its administrator, or as another user.
   *
   * @throws {PartMissing} where one of its programs cannot be had.
   */
  static async open(kube: Kube, user?: string): Promise<Pulumi> {
    const dir = privateDir('pulumi');
    const bin = join(dir, 'bin');
    const state = join(dir, 'state');
    for (const folder of [bin, state, join(dir, 'home'), join(dir, 'tmp')]) mkdirSync(folder);
    for (const program of ['pulumi', 'pulumi-resource-kubernetes', 'pulumi-language-yaml'] as const) {
      symlinkSync(await obtain(program), join(bin, program));
      await noteUse(BINARY_LABELS[program]);
    }
    const host = join(bin, 'pulumi-language-nodejs');
    writeFileSync(host, `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, 'languagehost.mjs')}' "$@"\n`);
    chmodSync(host, 0o755);
    const env = {
      PATH: [bin, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      HOME: join(dir, 'home'),
      // Its programs keep caches there.
      TMPDIR: join(dir, 'tmp'),
      PULUMI_HOME: join(dir, 'home'),
      PULUMI_BACKEND_URL: `file://${state}`,
      PULUMI_CONFIG_PASSPHRASE: '',
      PULUMI_SKIP_UPDATE_CHECK: 'true',
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
      PULUMI_OPTION_NON_INTERACTIVE: 'true',
      KUBECONFIG: kube.kubeconfig(user),
    };
    return new Pulumi(dir, env, await PulumiCommand.get({ root: dir }));
  }

  /** A stack whose program is a function of the test. */
  async stack(name: string, program: PulumiFn): Promise<Stack> {
    // Else Automation makes a folder that stays when we are gone.
    const workDir = join(this.#dir, 'stacks', name);
    mkdirSync(workDir, { recursive: true });
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: name, projectName: 'keywright-test', program },
      { workDir, envVars: { ...this.env }, pulumiHome: join(this.#dir, 'home'), pulumiCommand: this.#command },
    );
    const [up, preview] = [stack.up.bind(stack), stack.preview.bind(stack)];
    stack.up = (options) => whileUnconnected(() => up(options));
    stack.preview = (options) => whileUnconnected(() => preview(options));
    return stack;
  }

  /** A command of the CLI in a folder; throws what it said unless failure is allowed. Ends after three minutes at most. */
  async run(folder: string, args: readonly string[], options: { readonly allowFailure?: boolean } = {}): Promise<PulumiResult> {
    const { command, args: all } = tied(join(this.#dir, 'bin', 'pulumi'), args);
    const child = spawn(command, all, {
      cwd: folder,
      env: { ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 180_000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode) => resolve(exitCode ?? 1));
    });
    if (code !== 0 && options.allowFailure !== true) throw new Error(`pulumi ${args.join(' ')}: ${output.trim()}`);
    return { code, output };
  }

  /** Everything that the backend keeps, in one text: states, histories, back-ups. */
  stored(): string {
    const state = join(this.#dir, 'state');
    return readdirSync(state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
      .join('\n');
  }

  /** A folder below which a project finds the packages of this repository. */
  project(name: string): string {
    const folder = join(this.#dir, name);
    mkdirSync(folder);
    const modules = dirname(dirname(dirname(createRequire(import.meta.url).resolve('@pulumi/pulumi/package.json'))));
    symlinkSync(modules, join(folder, 'node_modules'));
    return folder;
  }
}

/** How often a command is repeated that had no connection. */
const mostRepeats = 3;

/**
 * Repeats a command that ended because its program could not reach the engine: the gRPC client of the SDK gives up a connection
 * to this machine when the machine is busy, before the program has registered a resource.
 */
async function whileUnconnected<T>(command: () => Promise<T>): Promise<T> {
  for (let repeats = 0; ; repeats += 1) {
    try {
      return await command();
    } catch (error) {
      const isUnconnected = error instanceof Error && error.message.includes('14 UNAVAILABLE: No connection established');
      if (!isUnconnected || repeats === mostRepeats) throw error;
      console.warn(`pulumi: no connection to the engine, tried again: ${error.message}`);
    }
  }
}
