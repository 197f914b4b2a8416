import { spawn } from 'node:child_process';
import { tied } from './process.ts';

/** A program of the examples: it runs until it is stopped, and prints a line for each call that it makes or gets. */
export class Client {
  printed = '';
  readonly #child;
  /** Resolves when it has ended, by itself too. */
  readonly ended: Promise<void>;

  constructor(file: string, args: readonly string[]) {
    const { command, args: all } = tied(file, args);
    this.#child = spawn(command, all, {
      env: { PATH: process.env['PATH'], PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (chunk: Buffer) => (this.printed += chunk.toString()));
    this.ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  get lines(): readonly string[] {
    return this.printed.split('\n').slice(0, -1);
  }

  /** The key ids that were allowed. */
  get allowed(): ReadonlySet<string> {
    return new Set(this.lines.flatMap((line) => (line.startsWith('allowed ') ? [line.slice(8)] : [])));
  }

  /** What it printed besides calls that were allowed: a refusal, or why it ended. */
  get complaints(): readonly string[] {
    return this.lines.filter((line) => !/^(allowed |new key$|answers at )/.test(line));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
