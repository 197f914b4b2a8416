import { spawn } from 'node:child_process';

/** Where and with what {@link runShell} runs commands. */
export interface ShellOptions {
  readonly cwd: string;
  /** Where programs keep what is theirs. Default: the working directory. */
  readonly home?: string;
  /** Besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Folders that are searched for programs first. */
  readonly path?: readonly string[];
  /** How long they may take together. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Runs commands as a page of the docs has them, in one shell that stops at the first failure. Returns what they printed. */
export async function runShell(
  commands: string,
  { cwd, home = cwd, env = {}, path = [], timeoutMs = 30_000 }: ShellOptions,
): Promise<string> {
  const child = spawn('sh', ['-eu'], {
    cwd,
    env: { HOME: home, ...env, PATH: [...path, process.env['PATH'] ?? ''].join(':') },
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.end(commands);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`the shell ended with ${String(code)}: ${said}`);
  return said;
}
